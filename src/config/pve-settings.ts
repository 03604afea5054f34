/** Makes of the file, of pve.yml and of the variables PVE_… what Proxmox VE is asked with. */
import { dirname, resolve } from "node:path";
import * as v from "valibot";
import { aboutOf, entriesOf } from "./catalogue.ts";
import { ConfigError, type Problem } from "./error.ts";
import { type ConfigFile, type Place, pathText, type ReadFile } from "./file.ts";
import type { Environment } from "./load.ts";
import type { PveCredentials, PveHostModule, PveSettings, PveTarget } from "./pve.ts";
import { MODULE, type ModuleEntry, type TargetEntry } from "./pve-schema.ts";
import type { Config } from "./schema.ts";
import { Secret, secretFrom } from "./secret.ts";
import { inOrder, mustBe, problemsAt, wrongPart } from "./validate.ts";

export interface PveSources {
  /** plumbline's own file, in which the targets stand. */
  readonly file: ReadFile | undefined;
  /** Where it lies. */
  readonly directory: string;
  /** pve.yml, where there is one and it counts. */
  readonly modules: ReadFile | undefined;
  readonly environment: Environment;
  warn(message: string): void;
}

/** Throws ConfigError. */
export function pveSettings(pve: Config["pve"], sources: PveSources): PveSettings {
  const settings = settingsOf(pve, sources);
  for (const warning of warningsOf(settings)) sources.warn(warning);
  const { file, modules } = sources;
  const holdsSecrets = pve.targets.some(({ token_value, password }) => hasSecret(token_value ?? password));
  for (const { path, isOpen } of [holdsSecrets ? file : undefined, modules].filter(
    (one) => one !== undefined,
  ))
    if (isOpen)
      sources.warn(`${path} holds a token or password and may be read by everybody; chmod o-r ${path}`);
  return settings;
}

function settingsOf(pve: Config["pve"], sources: PveSources): PveSettings {
  return {
    allowedTargets: pve.allowed_targets,
    zeroStates: pve.zero_states,
    deprecatedGauges: pve.deprecated_gauges,
    apiMetrics: pve.api_metrics,
    targetMetrics: pve.target_metrics,
    targets: targetsOf(pve.targets, sources),
    modules: modulesFromEnvironment(sources.environment) ?? modulesFromFile(sources.modules),
  };
}

/** Of one that stands in a variable the file knows the name alone. */
const hasSecret = (written: string | undefined): boolean =>
  written !== undefined && !/^\$\{\w+\}$/.test(written);

/** /pve sends the module's token to whatever host the caller names. */
function* warningsOf({ allowedTargets, targets, modules }: PveSettings): Generator<string> {
  const isOpen = ([, module]: readonly [string, PveHostModule]) => !module.tls.verify;
  for (const [name] of allowedTargets === undefined ? [...modules].filter(isOpen) : [])
    yield `module ${name} has verify_ssl: false and pve.allowed_targets is not set: whoever can ask /pve can have its token or password sent to a host of his own; set pve.allowed_targets (--pve.allowed-targets), or verify_ssl to the file of an authority`;
  for (const { name } of targets.filter(({ module }) => !module.tls.verify))
    yield `target ${name} has verify_ssl: false: whoever is on the way may read its token or password; set ca_file or fingerprint instead`;
}

/** Whether the file is a pve.yml: a mapping of names to mappings that each hold a `user`. */
export function isModulesFile({ value }: ConfigFile): boolean {
  const modules = Object.values(mapping(value));
  return modules.length > 0 && modules.every((one) => Object.hasOwn(merged(one), "user"));
}

/** Whether the variables stand in the place of pve.yml. */
export const hasPveVariables = ({ PVE_USER }: Environment): boolean => (PVE_USER ?? "") !== "";

function targetsOf(entries: readonly TargetEntry[], sources: PveSources): PveTarget[] {
  const problems: Problem[] = [];
  const names = new Set<string>();
  const targets: PveTarget[] = [];
  for (const [index, entry] of entries.entries()) {
    const path = ["pve", "targets", index];
    const wrong = (text: string, key?: string): void =>
      void problems.push({ text, ...sources.file?.place(key === undefined ? path : [...path, key]) });
    if (names.has(entry.name))
      wrong(
        `${pathText(path)}.name: another target has this name; the label target tells them apart`,
        "name",
      );
    names.add(entry.name);
    try {
      const target = targetOf(entry, pathText(path), sources, wrong);
      if (target !== undefined) targets.push(target);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      wrong(error.problems[0].text);
    }
  }
  refuse(problems);
  return targets;
}

type Complain = (text: string, key?: string) => void;

/** Undefined where it has complained. Throws ConfigError. */
function targetOf(
  entry: TargetEntry,
  path: string,
  { directory, environment, warn }: PveSources,
  complain: Complain,
): PveTarget | undefined {
  const around = { environment, directory, warn };
  const { "physical-disks": physicalDisks, config, ...switches } = entry.collectors;
  const disks = typeof physicalDisks === "object" ? physicalDisks : undefined;
  const trusts = [entry.ca_file, entry.fingerprint, entry.verify_ssl ? undefined : "verify_ssl"];
  if (trusts.filter((one) => one !== undefined).length > 1)
    complain(`${path}: of ca_file, fingerprint and verify_ssl: false only one can hold; keep one of them`);
  const credentials = credentialsOf(
    {
      user: entry.user,
      tokenName: entry.token_name,
      secret: secretFrom(
        {
          name: `${path}.token_value`,
          value: entry.token_value,
          fileName: `${path}.token_file`,
          file: entry.token_file,
        },
        around,
      ),
      password: secretFrom(
        { name: `${path}.password`, value: entry.password, file: entry.password_file },
        around,
      ),
      otp: secretFrom({ name: `${path}.otp`, value: entry.otp, file: undefined }, around),
    },
    path,
    complain,
    { ...KEYS, secret: "token_value or token_file" },
  );
  if (credentials === undefined) return undefined;
  return {
    name: entry.name,
    endpoints: [...new Set(entry.endpoints)],
    module: {
      credentials,
      tls: {
        caFile: entry.ca_file === undefined ? undefined : resolve(directory, entry.ca_file),
        fingerprint: entry.fingerprint,
        verify: entry.verify_ssl,
      },
      timeoutMs: entry.timeout,
    },
    cluster: entry.cluster,
    collectors: switchesOf({ ...switches, "physical-disks": physicalDisks, config }),
    physicalDisks: {
      smartIntervalMs: disks?.smart_interval ?? DEFAULT_SMART_INTERVAL_MS,
      excludeNodes: disks?.exclude_nodes ?? [],
    },
    configGuestLimit: typeof config === "object" ? config.guest_limit : DEFAULT_GUEST_LIMIT,
  };
}

const DEFAULT_SMART_INTERVAL_MS = 3_600_000;
const DEFAULT_GUEST_LIMIT = 500;

/** A mapping of a collector's settings says nothing of on or off. */
function switchesOf(collectors: Readonly<Record<string, unknown>>): Record<string, boolean> {
  return Object.fromEntries(
    Object.entries(collectors).flatMap(([name, on]) => (typeof on === "boolean" ? [[name, on]] : [])),
  );
}

interface Login {
  readonly user: string;
  readonly tokenName: string | undefined;
  readonly secret: Secret | undefined;
  readonly password: Secret | undefined;
  readonly otp: Secret | undefined;
}

/** What each is called where it is set. */
interface LoginNames {
  readonly user: string;
  readonly tokenName: string;
  readonly secret: string;
  readonly password: string;
}

const KEYS: LoginNames = {
  user: "user",
  tokenName: "token_name",
  secret: "token_value",
  password: "password",
};

const VARIABLE_NAMES: LoginNames = {
  user: "PVE_USER",
  tokenName: "PVE_TOKEN_NAME",
  secret: "PVE_TOKEN_VALUE",
  password: "PVE_PASSWORD",
};

/** Undefined where it has complained. */
function credentialsOf(
  { user, tokenName, secret, password, otp }: Login,
  path: string,
  complain: Complain,
  names: LoginNames,
): PveCredentials | undefined {
  const hasToken = tokenName !== undefined || secret !== undefined;
  if (hasToken === (password !== undefined)) {
    complain(
      hasToken
        ? `${path} has both a token and a password; keep one of them, better the token`
        : `${path} says nothing to log in with; set ${names.tokenName} and ${names.secret}, or ${names.password}`,
    );
    return undefined;
  }
  if (password !== undefined) return { kind: "password", user, password, otp };
  if (tokenName === undefined || secret === undefined) {
    complain(`${path}: ${names.tokenName} and ${names.secret} belong together; set both`);
    return undefined;
  }
  if (otp !== undefined) complain(`${path}: otp goes with a password; a token needs none`, "otp");
  const [owner, name] = tokenName.includes("!") ? tokenName.split("!", 2) : [user, tokenName];
  if (owner === user && name !== undefined) return { kind: "token", user, tokenName: name, secret };
  complain(
    `${path}.token_name is "${tokenName}", a token of ${owner}, and user is ${user}; set ${names.tokenName} to the part after the ! and ${names.user} to the part before it`,
    "token_name",
  );
  return undefined;
}

function modulesFromFile(file: PveSources["modules"]): ReadonlyMap<string, PveHostModule> {
  if (file === undefined) return new Map();
  const modules = new Map<string, PveHostModule>();
  const problems: Problem[] = [];
  const written = Object.entries(mapping(file.value));
  if (written.length === 0)
    problems.push({
      text: "a pve.yml is a mapping of modules, each with user and password or token; it begins with `default:`",
      ...file.place([]),
    });
  for (const [name, module] of written) {
    // What stands there may be a password: it is not shown.
    if (!v.is(MAPPING, module) || Array.isArray(module)) {
      const text = `${name} must be a module, a mapping with user and password or token; a pve.yml begins with \`default:\``;
      problems.push({ text, ...file.place([name]) });
      continue;
    }
    const value = merged(module);
    const found = [...problemsAt(value, MODULE, [name], file)];
    problems.push(...found);
    if (found.length > 0) continue;
    const place = (key?: string): Place => file.place(key === undefined ? [name] : [name, key]);
    const complain: Complain = (text, key) => void problems.push({ text, ...place(key) });
    const host = moduleOf(v.parse(MODULE, value), name, dirname(file.path), complain, KEYS);
    if (host !== undefined) modules.set(name, host);
  }
  refuse(problems);
  return modules;
}

/** Undefined where PVE_USER is not set: then the other variables mean nothing, as in prometheus-pve-exporter. */
function modulesFromEnvironment(environment: Environment): ReadonlyMap<string, PveHostModule> | undefined {
  if (!hasPveVariables(environment)) return undefined;
  const entries = entriesOf(MODULE) ?? {};
  const written: Record<string, unknown> = {};
  for (const [variable, key] of VARIABLES) {
    const text = environment[variable];
    if (text === undefined || text === "") continue;
    const schema = entries[key];
    const about = schema && aboutOf(schema);
    const wrong = about && wrongPart(schema, about, text);
    if (wrong) throw new ConfigError({ text: mustBe(variable, about, wrong) });
    written[key] = text;
  }
  const { PVE_VERIFY_SSL: verify = "", PVE_MODULE } = environment;
  const entry = v.parse(MODULE, { ...written, verify_ssl: !["false", "0"].includes(verify.toLowerCase()) });
  const problems: Problem[] = [];
  const complain: Complain = (text) => void problems.push({ text });
  const module = moduleOf(entry, "PVE_USER", ".", complain, VARIABLE_NAMES);
  refuse(problems);
  return new Map(module === undefined ? [] : [[PVE_MODULE || "default", module]]);
}

const VARIABLES = [
  ["PVE_USER", "user"],
  ["PVE_PASSWORD", "password"],
  ["PVE_TOKEN_NAME", "token_name"],
  ["PVE_TOKEN_VALUE", "token_value"],
] as const;

function moduleOf(
  entry: ModuleEntry,
  path: string,
  directory: string,
  complain: Complain,
  names: LoginNames,
): PveHostModule | undefined {
  const secret = (text: string | undefined) => (text === undefined ? undefined : Secret.of(text));
  const credentials = credentialsOf(
    {
      user: entry.user,
      tokenName: entry.token_name,
      secret: secret(entry.token_value),
      password: secret(entry.password),
      otp: secret(entry.otp),
    },
    path,
    complain,
    names,
  );
  const { verify_ssl: verify } = entry;
  return (
    credentials && {
      credentials,
      tls: {
        caFile: typeof verify === "string" ? resolve(directory, verify) : undefined,
        fingerprint: undefined,
        verify: verify !== false,
      },
      timeoutMs: entry.timeout,
      port: entry.port,
      pathPrefix: entry.path_prefix,
    }
  );
}

/** With the keys of what `<<` names, as PyYAML has them; its own come first. */
function merged(module: unknown): Readonly<Record<string, unknown>> {
  const { "<<": from, ...own } = mapping(module);
  if (from === undefined) return own;
  const sources: readonly unknown[] = Array.isArray(from) ? from : [from];
  return Object.assign({}, ...sources.toReversed().map(merged), own);
}

function mapping(value: unknown): Readonly<Record<string, unknown>> {
  return v.is(MAPPING, value) && !Array.isArray(value) ? value : {};
}

const MAPPING = v.record(v.string(), v.unknown());

function refuse(problems: readonly Problem[]): void {
  const [first, ...rest] = inOrder(problems);
  if (first !== undefined) throw new ConfigError(first, ...rest);
}
