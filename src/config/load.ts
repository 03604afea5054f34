/** Brings flags, environment, file and defaults together into the settings that the program runs with. */
import { hostname } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import * as v from "valibot";
import { type Catalogue, catalogue, type Setting } from "./catalogue.ts";
import { ConfigError, type Problem } from "./error.ts";
import { type ReadFile, readConfigFile } from "./file.ts";
import { nearest } from "./nearest.ts";
import type { PveSettings } from "./pve.ts";
import { hasPveVariables, isModulesFile, pveSettings } from "./pve-settings.ts";
import { type Config, pveName } from "./schema.ts";
import { credentialPath } from "./secret.ts";
import { SWITCH_WORDS } from "./setting.ts";
import type { Settings } from "./settings.ts";
import { fileProblems, mustBe, wrongPart } from "./validate.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** By flag name without its dashes; `--no-x` is `x: false`, a repeated flag is a list. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[]>>;

/** Where the value of one setting came from. */
export interface Origin {
  /** As in the configuration file: `web.telemetry_path`. */
  readonly name: string;
  /** As text; `<set>` for a secret, empty where nothing is set. */
  readonly value: string;
  readonly from: "flag" | "environment" | "file" | "default";
  /** The flag, the variable, or `file:line:column`. */
  readonly detail?: string;
}

export interface Loaded {
  readonly settings: Settings;
  readonly origins: readonly Origin[];
  readonly warnings: readonly string[];
}

/**
 * The name that the program is called by. As `pve_exporter` it stands in the place of prometheus-pve-exporter: it reads
 * that one's file, listens at that one's port and collects nothing but what Proxmox VE tells.
 */
export type Program = "plumbline" | "pve_exporter";

/** `collectors`: the names of all collectors that exist. Throws ConfigError. */
export function load(
  flags: FlagValues,
  environment: Environment,
  collectors: readonly string[],
  program: Program = "plumbline",
): Loaded {
  const known = catalogue(collectors);
  const [configFile, ...others] = known.settings;
  if (configFile === undefined) throw new Error("the catalogue is empty");

  const fileOrigin = find(configFile, flags, environment, undefined);
  const path = fileOrigin === undefined ? DEFAULT_FILE[program] : String(fileOrigin.raw);
  const { own: file, modules } = filesAt(path, program, environment, known);

  const found = new Map(others.map((setting) => [setting, find(setting, flags, environment, file)]));
  const defaults = DEFAULTS[program];
  const config = v.parse(known.schema, assemble(found, defaults, at(file?.value, ["pve", "targets"])));
  const warnings = mistypedVariables(environment, known.settings);
  const pve = pveSettings(config.pve, {
    file,
    directory: file?.directory ?? ".",
    modules: modules ?? modulesFile(config.pve.modules_file, environment),
    environment,
    warn: (message) => void warnings.push(message),
  });
  const settings = settingsOf(config, path, pve, collectorsOff(program, collectors));
  return {
    settings,
    origins: [
      origin(configFile, fileOrigin, path ?? ""),
      ...[...found].map(([setting, value]) =>
        origin(setting, value, DERIVED[setting.name]?.(settings) ?? "", defaults[setting.name]),
      ),
    ],
    warnings,
  };
}

const DEFAULT_FILE: Readonly<Record<Program, string | undefined>> = {
  plumbline: undefined,
  pve_exporter: "/etc/prometheus/pve.yml",
};

/** Where they are not those of the schema; by name. */
const DEFAULTS: Readonly<Record<Program, Readonly<Record<string, unknown>>>> = {
  plumbline: {},
  pve_exporter: { "web.listen_addresses": ["[::]:9221"] },
};

/** A default that the program's name changes, as text; by the setting's name. */
export function defaultUnder(program: Program, name: string): string | undefined {
  const value = name === "config.file" ? DEFAULT_FILE[program] : DEFAULTS[program][name];
  return value === undefined ? undefined : String(value);
}

function collectorsOff(program: Program, collectors: readonly string[]): Record<string, boolean> {
  const others = program === "plumbline" ? [] : collectors.filter((name) => pveName(name) === undefined);
  return Object.fromEntries(others.map((name) => [name, false]));
}

interface Files {
  /** plumbline's own. */
  readonly own?: LoadedFile;
  readonly modules?: ReadFile;
}

/** The file at `path` may be a pve.yml, and as `pve_exporter` it is one. */
function filesAt(
  path: string | undefined,
  program: Program,
  environment: Environment,
  known: Catalogue,
): Files {
  if (path === undefined || (program === "pve_exporter" && hasPveVariables(environment))) return {};
  const file = readConfigFile(path);
  if (program === "pve_exporter" || isModulesFile(file)) return { modules: file };
  return { own: checkedFile(path, file, known) };
}

/** Not read where the variables stand in its place. */
function modulesFile(path: string | undefined, environment: Environment): ReadFile | undefined {
  if (path === undefined || hasPveVariables(environment)) return undefined;
  return readConfigFile(path, "pve.modules_file");
}

/** A value that somebody set. */
interface Found {
  /** As it could stand in the file. */
  readonly raw: unknown;
  readonly from: "flag" | "environment" | "file";
  readonly detail: string;
}

interface LoadedFile extends ReadFile {
  readonly directory: string;
}

function checkedFile(path: string, file: ReadFile, known: Catalogue): LoadedFile {
  const [first, ...rest] = fileProblems(file, known.schema);
  if (first !== undefined) throw new ConfigError(first, ...rest);
  return { ...file, directory: dirname(path) };
}

/** Flag, environment, file, and variables that stand back behind the file: the first that says something. */
function find(
  setting: Setting,
  flags: FlagValues,
  environment: Environment,
  file: LoadedFile | undefined,
): Found | undefined {
  const given = [setting.flag, setting.about.otherFlag ?? ""].find((name) => flags[name] !== undefined);
  const flag = flags[given ?? ""];
  if (flag !== undefined) {
    const name = flag === false ? `--no-${given}` : `--${given}`;
    const raw = typeof flag === "string" ? fromText(setting, flag) : flag;
    return checked(setting, { raw: located(setting, raw, environment), from: "flag", detail: name });
  }
  const [before, after] = [false, true].map((isAfterFile) =>
    setting.variables.filter(({ afterFile = false }) => afterFile === isAfterFile),
  );
  return (
    fromVariables(setting, before, environment) ??
    fromFile(setting, file, environment) ??
    fromVariables(setting, after, environment)
  );
}

function fromVariables(
  setting: Setting,
  variables: Setting["variables"] = [],
  environment: Environment,
): Found | undefined {
  for (const { name, take } of variables) {
    const text = environment[name];
    if (text === undefined || text === "") continue;
    const raw = located(setting, fromText(setting, take === undefined ? text : take(text)), environment);
    return checked(setting, { raw, from: "environment", detail: name });
  }
  return undefined;
}

function fromFile(
  setting: Setting,
  file: LoadedFile | undefined,
  environment: Environment,
): Found | undefined {
  const raw = at(file?.value, setting.path);
  if (file === undefined || raw === undefined) return undefined;
  const place = file.place(setting.path);
  const detail = `${place.file}:${place.line}:${place.column}`;
  return { raw: located(setting, raw, environment, file.directory), from: "file", detail };
}

/** A path that is found wherever the program was started. */
function located({ about }: Setting, raw: unknown, environment: Environment, directory?: string): unknown {
  if (typeof raw !== "string" || isAbsolute(raw)) return raw;
  const credential = about.isCredential ? credentialPath(raw, environment) : undefined;
  return credential ?? (about.besideFile && directory !== undefined ? resolve(directory, raw) : raw);
}

/** Text of a flag or variable as the value that would stand in the file; text that does not fit is left as it is. */
function fromText(setting: Setting, text: string): unknown {
  switch (setting.kind) {
    case "switch":
      return SWITCH_WORDS.get(text.toLowerCase()) ?? text;
    case "number":
      return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
    case "list":
      return text.split(",").map((item) => item.trim());
    case "text":
      return text;
  }
}

function checked(setting: Setting, found: Found): Found {
  const wrong = wrongPart(setting.schema, setting.about, found.raw);
  if (wrong === undefined) return found;
  const problem: Problem = { text: mustBe(found.detail, setting.about, wrong) };
  if (found.from !== "flag") throw new ConfigError(problem);
  const isSeveral = setting.kind === "list" && String(wrong.value).includes(",");
  const help = isSeveral ? "; to give several, repeat the flag" : "";
  throw new ConfigError({ text: `${problem.text}${help}`, usage: true });
}

function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}

/** All that was found as one file would hold it: a tree of sections. */
function assemble(
  found: ReadonlyMap<Setting, Found | undefined>,
  defaults: Readonly<Record<string, unknown>>,
  pveTargets: unknown,
): unknown {
  const tree: Record<string, unknown> = {};
  const sections = new Map<string, Record<string, unknown>>();
  const put = (path: readonly string[], raw: unknown): void => {
    const [section, key] = path;
    if (raw === undefined || section === undefined) return;
    if (key === undefined) {
      tree[section] = raw;
      return;
    }
    const entries = sections.get(section) ?? {};
    entries[key] = raw;
    sections.set(section, entries);
    tree[section] = entries;
  };
  for (const [{ path, name }, value] of found) put(path, value === undefined ? defaults[name] : value.raw);
  put(["pve", "targets"], pveTargets);
  return tree;
}

function settingsOf(
  config: Config,
  configFile: string | undefined,
  pve: PveSettings,
  collectorsOff: Readonly<Record<string, boolean>>,
): Settings {
  const { web, scrape, path, textfile } = config;
  const { disable_defaults: disableDefaults, ...switches } = config.collectors;
  return {
    configFile,
    web: {
      listenAddresses: web.listen_addresses,
      telemetryPath: web.telemetry_path,
      configFile: web.config_file,
      keyPair: keyPairOf(web),
      maxRequests: web.max_requests,
      timeoutOffsetMs: web.timeout_offset,
      enableLifecycle: web.enable_lifecycle,
      disableExporterMetrics: web.disable_exporter_metrics,
    },
    scrape: { timeoutMs: scrape.timeout, timeoutMaxMs: scrape.timeout_max },
    collectors: { disableDefaults, chosen: { ...collectorsOff, ...chosen(switches) } },
    path: { ...path, kubelet: path.kubelet ?? join(path.rootfs, "var/lib/kubelet") },
    kubeletIsNamed: path.kubelet !== undefined,
    nodeName: config.node_name ?? hostname(),
    nodeNameIsHostName: config.node_name === undefined,
    clusterId: config.cluster_id,
    ebs: { device: config.ebs.device },
    csi: { vendorFiles: [...new Set(config.csi.vendor_files)] },
    mayastor: mayastorSettings(config.mayastor),
    pve,
    textfile: { directory: textfile.directory, name: textfile.name, strict: textfile.strict },
    state: config.state,
    operator: operatorSettings(config.operator),
    log: config.log,
  };
}

function keyPairOf({
  cert_file: certFile,
  key_file: keyFile,
  config_file: configFile,
}: Config["web"]): Settings["web"]["keyPair"] {
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined)
    throw new ConfigError({
      text: "web.cert_file (--server.certfile) and web.key_file (--server.keyfile) belong together; set both or neither",
    });
  if (configFile !== undefined)
    throw new ConfigError({
      text: "web.config_file and web.cert_file both say with which certificate to serve; keep one of them",
    });
  return { certFile, keyFile };
}

/** Throws ConfigError. */
export function mayastorSettings(mayastor: Config["mayastor"]): Settings["mayastor"] {
  const { endpoint, token_file: tokenFile, cert_file: certFile, key_file: keyFile } = mayastor;
  const allowPlaintextToken = mayastor.allow_plaintext_token;
  if (tokenFile !== undefined && endpoint?.startsWith("http:") && !allowPlaintextToken)
    throw new ConfigError({
      text: "mayastor.token_file would be shown to everybody on the way, as mayastor.endpoint is http; use https, or set mayastor.allow_plaintext_token to true",
    });
  if ((certFile === undefined) !== (keyFile === undefined))
    throw new ConfigError({
      text: "mayastor.cert_file and mayastor.key_file belong together; set both or neither",
    });
  return {
    endpoint,
    timeoutMs: mayastor.timeout,
    nodeName: mayastor.node_name,
    tokenFile,
    allowPlaintextToken,
    caFile: mayastor.ca_file,
    certFile,
    keyFile,
    insecureSkipVerify: mayastor.insecure_skip_verify,
    resources: [...new Set(mayastor.resources)],
    officialPoolNames: mayastor.official_pool_names,
    ignoreNodes: mayastor.ignore_nodes ?? [],
  };
}

function operatorSettings(operator: Config["operator"]): Settings["operator"] {
  return {
    kubeconfig: operator.kubeconfig,
    namespace: operator.namespace,
    identity: operator.identity ?? hostname(),
    leaderElect: operator.leader_elect,
    image: operator.image,
    metricsListenAddresses: operator.metrics_listen_addresses,
    metricsConfigFile: operator.metrics_config_file,
    healthListenAddresses: operator.health_listen_addresses,
  };
}

function chosen(switches: Readonly<Record<string, boolean | undefined>>): Record<string, boolean> {
  return Object.fromEntries(
    Object.entries(switches).flatMap(([name, on]) => (on === undefined ? [] : [[name, on]])),
  );
}

/** Defaults that are no fixed value, as `check` shows them. */
const DERIVED: Readonly<Record<string, (settings: Settings) => string>> = {
  node_name: (settings) => settings.nodeName,
  "path.kubelet": (settings) => settings.path.kubelet,
  "operator.identity": (settings) => settings.operator.identity,
};

function origin(
  setting: Setting,
  found: Found | undefined,
  derived: string,
  fallback: unknown = setting.fallback,
): Origin {
  const raw = found === undefined ? fallback : found.raw;
  const shown = raw === undefined ? derived : shownValue(raw);
  const value = setting.about.secret && shown !== "" ? "<set>" : shown;
  if (found === undefined) return { name: setting.name, value, from: "default" };
  return { name: setting.name, value, from: found.from, detail: found.detail };
}

const shownValue = (raw: unknown) => (Array.isArray(raw) ? raw.join(", ") : String(raw));

const PREFIX = "PLUMBLINE_";

/** Variables that look like ours and are not. Kubernetes adds PLUMBLINE_PORT and others for a Service of our name. */
function mistypedVariables(environment: Environment, settings: readonly Setting[]): string[] {
  const known = new Set(settings.flatMap((setting) => setting.variables.map((variable) => variable.name)));
  const endings = [...known]
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => name.slice(PREFIX.length));
  return Object.keys(environment)
    .filter((name) => name.startsWith(PREFIX) && !known.has(name))
    .flatMap((name) => {
      const meant = nearest(name.slice(PREFIX.length), endings);
      return meant === undefined ? [] : [`variable ${name} is not known; did you mean ${PREFIX}${meant}?`];
    });
}
