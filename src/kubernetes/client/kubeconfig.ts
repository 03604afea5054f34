/** The API server and who asks it, as the current context of a kubeconfig says. */
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import * as v from "valibot";
import { ConfigError } from "../../config/error.ts";
import { readConfigFile } from "../../config/file.ts";
import { Secret } from "../../config/secret.ts";
import type { PemSource, TlsSources } from "../../rest/credentials.ts";
import { type AccessSettings, type Asker, EXEC_VERSIONS, type ExecSettings } from "./access-settings.ts";

/** `paths`: with colons between them; of entries with the same name the first counts. Throws ConfigError. */
export function fromKubeconfig(paths: string, warn: (message: string) => void): AccessSettings {
  const files = readFiles(paths.split(":").filter((path) => path !== ""));
  const at = files.find(({ config }) => config["current-context"])?.config["current-context"];
  if (at === undefined)
    throw wrong(files[0].path, "it has no current-context; choose one with kubectl config use-context");
  const context = named(files, "contexts", at, "the current-context").entry.context;
  const cluster = named(files, "clusters", context.cluster, `context ${at}`);
  const user = named(files, "users", context.user, `context ${at}`);
  const { "insecure-skip-tls-verify": insecureSkipVerify = false } = cluster.entry.cluster;
  if (insecureSkipVerify)
    warn(
      `insecure-skip-tls-verify of cluster ${context.cluster} in ${cluster.path}: the API server's certificate is not verified, so anybody in between can take the credentials; give its certificate-authority instead`,
    );
  const asker = askerOf(user);
  return {
    server: serverOf(cluster),
    namespace: context.namespace || undefined,
    tls: { ca: authorityOf(cluster), ...certificateOf(user) },
    insecureSkipVerify,
    serverName: cluster.entry.cluster["tls-server-name"] || undefined,
    asker,
  };
}

const text = v.optional(v.string(), "");

const ClusterSchema = v.object({
  server: text,
  "certificate-authority": text,
  "certificate-authority-data": text,
  "insecure-skip-tls-verify": v.optional(v.boolean()),
  "tls-server-name": text,
  "proxy-url": text,
});

const ExecSchema = v.object({
  apiVersion: v.string(),
  command: v.pipe(v.string(), v.nonEmpty()),
  args: v.nullish(v.array(v.string())),
  env: v.nullish(v.array(v.object({ name: v.string(), value: v.string() }))),
  interactiveMode: text,
  provideClusterInfo: v.optional(v.boolean(), false),
});

const UserSchema = v.looseObject({
  token: text,
  tokenFile: text,
  "client-certificate": text,
  "client-certificate-data": text,
  "client-key": text,
  "client-key-data": text,
  exec: v.optional(ExecSchema),
});

const list = <T extends v.GenericSchema>(entry: T) => v.optional(v.nullable(v.array(entry)));
const name = v.string();
const KubeconfigSchema = v.object({
  "current-context": text,
  clusters: list(v.object({ name, cluster: ClusterSchema })),
  users: list(v.object({ name, user: v.optional(UserSchema, {}) })),
  contexts: list(
    v.object({ name, context: v.object({ cluster: v.string(), user: v.string(), namespace: text }) }),
  ),
});
type Kubeconfig = v.InferOutput<typeof KubeconfigSchema>;

interface File {
  readonly path: string;
  readonly config: Kubeconfig;
}

/** What an entry says, and the file that it stands in: relative paths start there. */
interface Found<T> {
  readonly path: string;
  readonly entry: T;
}

/** Of several files some may be missing, as kubectl has it. */
function readFiles(paths: readonly string[]): [File, ...File[]] {
  const there = paths.length > 1 ? paths.filter((path) => existsSync(path)) : paths;
  const [first, ...others] = there.map((path) => ({ path, config: readKubeconfig(path) }));
  if (first !== undefined) return [first, ...others];
  throw new ConfigError({
    text: `none of the kubeconfig files ${paths.join(", ")} exists; correct the paths`,
  });
}

/** Nothing of what the file holds is quoted, for it holds keys. */
function readKubeconfig(path: string): Kubeconfig {
  const parsed = v.safeParse(KubeconfigSchema, yamlOf(path) ?? {});
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw wrong(path, `${v.getDotPath(issue) ?? "it"} ${problemOf(issue.expected ?? "something else")}`);
}

/** Of a member that is not there valibot expects its name, in quotes. */
function problemOf(expected: string): string {
  if (expected.startsWith('"')) return "is missing";
  return `must be ${expected === "Object" ? "a mapping" : `of type ${expected}`}`;
}

function yamlOf(path: string): unknown {
  try {
    return readConfigFile(path, "--kubeconfig").value;
  } catch (error) {
    const line = error instanceof ConfigError ? error.problems[0].line : undefined;
    throw line === undefined ? error : wrong(path, `line ${line} is not valid YAML`);
  }
}

function named<K extends "clusters" | "users" | "contexts">(
  files: readonly [File, ...File[]],
  kind: K,
  name: string,
  by: string,
): Found<NonNullable<Kubeconfig[K]>[number]> {
  for (const { path, config } of files) {
    const entries: readonly NonNullable<Kubeconfig[K]>[number][] = config[kind] ?? [];
    const entry = entries.find((candidate) => candidate.name === name);
    if (entry !== undefined) return { path, entry };
  }
  throw wrong(files[0].path, `${by} names ${JSON.stringify(name)}, which is not among its ${kind}`);
}

type Cluster = Found<NonNullable<Kubeconfig["clusters"]>[number]>;
type User = Found<NonNullable<Kubeconfig["users"]>[number]>;

function serverOf({ path, entry: { name, cluster } }: Cluster): string {
  const { server } = cluster;
  const of = `the server of cluster ${name}`;
  if (server === "") throw wrong(path, `${of} is missing; give its address, https://host:6443`);
  const url = URL.parse(server);
  if (url?.protocol === "http:")
    throw wrong(
      path,
      `${of} begins with http://, which would show the credentials to everybody; use https://`,
    );
  if (url?.protocol !== "https:" || url.username + url.password + url.search + url.hash !== "")
    throw wrong(path, `${of} must be like https://host:6443`);
  if (cluster["proxy-url"] !== "")
    throw wrong(
      path,
      `the proxy-url of cluster ${name} is not supported; remove it, and reach the server directly`,
    );
  return url.origin + url.pathname.replace(/\/+$/, "");
}

function authorityOf({ path, entry: { name, cluster } }: Cluster): PemSource | undefined {
  const source = pem(path, "certificate-authority", cluster, `cluster ${name}`);
  if (source !== undefined && cluster["insecure-skip-tls-verify"] === true)
    throw wrong(
      path,
      `cluster ${name} has both a certificate-authority and insecure-skip-tls-verify; keep one of them`,
    );
  return source;
}

function certificateOf({ path, entry: { name, user } }: User): Pick<TlsSources, "cert" | "key"> {
  const cert = pem(path, "client-certificate", user, `user ${name}`);
  const key = pem(path, "client-key", user, `user ${name}`);
  if ((cert === undefined) === (key === undefined)) return { cert, key };
  const [given, lacking] =
    cert === undefined ? ["client-key", "client-certificate"] : ["client-certificate", "client-key"];
  throw wrong(path, `user ${name} has a ${given} and no ${lacking}`);
}

/** `FIELD-data` goes before `FIELD`. */
function pem<F extends string>(
  path: string,
  field: F,
  entry: { readonly [member in F | `${F}-data`]: string },
  of: string,
): PemSource | undefined {
  const inline = entry[`${field}-data`];
  if (inline === "") return entry[field] === "" ? undefined : resolve(dirname(path), entry[field]);
  if (!BASE64.test(inline)) throw wrong(path, `${field}-data of ${of} is not base64`);
  return {
    origin: `${field}-data of ${of} in ${path}`,
    text: Buffer.from(inline, "base64").toString("latin1"),
  };
}

const BASE64 = /^[A-Za-z0-9+/\s]+={0,2}\s*$/;

function askerOf({ path, entry: { name, user } }: User): Asker {
  const impersonation = Object.keys(user).find((field) => field === "as" || field.startsWith("as-"));
  if (impersonation !== undefined)
    throw wrong(
      path,
      `user ${name} has ${impersonation}: acting as somebody else is not supported; give a user of its own rights`,
    );
  if (user.tokenFile !== "") return { kind: "token_file", path: resolve(dirname(path), user.tokenFile) };
  if (user.token !== "") {
    if (!/^[\x21-\x7e]+$/.test(user.token))
      throw wrong(path, `the token of user ${name} holds what no token may hold`);
    return { kind: "token", token: Secret.of(user.token) };
  }
  if (user.exec !== undefined) return { kind: "exec", exec: execOf(user.exec, path, name) };
  if (certificateOf({ path, entry: { name, user } }).cert !== undefined) return { kind: "certificate" };
  const gone = ["username", "auth-provider"].find((field) => field in user);
  throw wrong(
    path,
    gone === undefined
      ? `user ${name} has no credentials; give a client-certificate, a token, a tokenFile or exec`
      : `user ${name} has ${gone}, which Kubernetes knows no more; give a client-certificate, a token, a tokenFile or exec`,
  );
}

function execOf(exec: v.InferOutput<typeof ExecSchema>, path: string, user: string): ExecSettings {
  const apiVersion = EXEC_VERSIONS.find((version) => version === exec.apiVersion);
  if (apiVersion === undefined)
    throw wrong(
      path,
      `exec of user ${user} has an apiVersion that is not supported; use ${EXEC_VERSIONS.join(" or ")}`,
    );
  if (exec.interactiveMode === "Always")
    throw wrong(
      path,
      `exec of user ${user} wants a terminal (interactiveMode: Always), and a service has none`,
    );
  const { command } = exec;
  return {
    apiVersion,
    command: command.includes("/") ? resolve(dirname(path), command) : command,
    args: exec.args ?? [],
    env: Object.fromEntries((exec.env ?? []).map(({ name, value }) => [name, value])),
    provideClusterInfo: exec.provideClusterInfo,
  };
}

const wrong = (path: string, problem: string): ConfigError =>
  new ConfigError({ text: `cannot use the kubeconfig ${path}: ${problem}` });
