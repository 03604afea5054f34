/**
 * The web configuration file (`--web.config.file`): TLS, client certificates, basic auth, response headers and a
 * rate limit, as other exporters have them.
 *
 * What a Prometheus needs on its side for `RequireAndVerifyClientCert` with `basic_auth_users`:
 * `scheme: https`, `tls_config: {ca_file, cert_file, key_file, server_name}` and `basic_auth: {username, password}`.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, type Stats, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import * as v from "valibot";
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from "yaml";
import { type Problem, problemText } from "../config/error.ts";
import { nearest } from "../config/nearest.ts";
import { errorCode, name as runtimeName } from "../runtime/index.ts";
import { fileStamp } from "./file-stamp.ts";
import { CIPHER_SUITES, CURVES, TLS_VERSIONS, type TlsVersion } from "./tls-names.ts";
import {
  type ClientAuthType,
  KNOWN_KEYS,
  SECTIONS,
  type WebConfigFile,
  WebConfigSchema,
} from "./web-config-schema.ts";

/** The file as validated, with certificates and keys read. */
export interface WebConfig {
  readonly file: string;
  /** All files that were read, with their stamps from just before: when one of them changes, all are read again. */
  readonly stamps: ReadonlyMap<string, string>;
  readonly tls: TlsSettings | undefined;
  /** By name, as they are added to every answer. */
  readonly headers: ReadonlyMap<string, string>;
  /** bcrypt hashes by user name; empty: whoever comes is served. */
  readonly users: ReadonlyMap<string, string>;
  readonly rateLimit: { readonly intervalMs: number; readonly burst: number } | undefined;
  /** What works but should not stay as it is. */
  readonly warnings: readonly string[];
}

export interface TlsSettings {
  /** PEM, as the runtime takes them. */
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
  readonly clientAuth: ClientAuthType;
  readonly clientAllowedSans: readonly string[] | undefined;
  readonly minVersion: (typeof TLS_VERSIONS)[TlsVersion];
  readonly maxVersion: (typeof TLS_VERSIONS)[TlsVersion];
  /** OpenSSL's names, `:` between them. */
  readonly ciphers: string | undefined;
  readonly preferServerCiphers: boolean;
  readonly curves: string | undefined;
}

/** Wrong content of the web configuration file; the message is for the user and names the file and the place. */
export class WebConfigError extends Error {
  override readonly name = "WebConfigError";

  constructor(problem: Problem) {
    super(problemText(problem));
  }
}

const MAX_FILE_BYTES = 1024 * 1024;

/** A certificate and its key where there is no file that says more. */
export interface KeyPair {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Reads, validates and loads all that the file names. Throws `WebConfigError`. */
export function loadWebConfig(source: string | KeyPair): WebConfig {
  const file = webConfigPath(source);
  const files = new PemFiles(file);
  const { written, problemAt } = typeof source === "string" ? parse(source) : pairAlone(source);
  const { tls, warnings } = tlsSettings(written, files, problemAt);
  const { interval, burst } = written.rate_limit ?? {};
  if (interval && !burst)
    throw problemAt(["rate_limit"], "rate_limit.burst must be 1 or more: with 0 nobody would be served");
  return {
    file,
    stamps: files.stamps,
    tls,
    headers: new Map(
      Object.entries(written.http_server_config?.headers ?? {}).flatMap(([name, value]) =>
        value ? [[name, value]] : [],
      ),
    ),
    users: new Map(Object.entries(written.basic_auth_users ?? {})),
    rateLimit: interval && burst ? { intervalMs: interval, burst } : undefined,
    warnings: [...warnings, ...files.warnings],
  };
}

type Path = readonly (string | number)[];
/** `path` is where in the file; the text is a whole sentence. */
type ProblemAt = (path: Path, text: string) => WebConfigError;

/** What the log calls it. */
export const webConfigPath = (source: string | KeyPair): string =>
  typeof source === "string" ? source : source.certFile;

function pairAlone({ certFile, keyFile }: KeyPair): ReturnType<typeof parse> {
  return {
    written: { tls_server_config: { cert_file: resolve(certFile), key_file: resolve(keyFile) } },
    problemAt: (_, text) => new WebConfigError({ text }),
  };
}

function parse(file: string): { written: WebConfigFile; problemAt: ProblemAt } {
  const lines = new LineCounter();
  const document = parseDocument(readText(file), {
    lineCounter: lines,
    prettyErrors: false,
    // Its warnings go to standard error by themselves and quote the file.
    logLevel: "error",
  });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    // The parser's words without the lines that it quotes: one of them may hold a key.
    throw new WebConfigError({
      file,
      line,
      column: col,
      text: `not valid YAML: ${firstLine(error.message)}`,
    });
  }
  const problemAt: ProblemAt = (path, text) =>
    new WebConfigError({ file, ...place(document, lines, path), text });
  const value = plain(document, file) ?? {};
  // valibot would take a list for an object, and an empty one for one without keys.
  const list = SECTIONS.find((path) => Array.isArray(at(value, path)));
  if (list !== undefined) throw problemAt(list, mustHaveKeys(list));
  const result = v.safeParse(WebConfigSchema, value);
  if (result.success) return { written: result.output, problemAt };
  const [issue] = result.issues;
  const path = pathOf(issue);
  if (!isUnknownKey(issue)) throw problemAt(path, sentence(issue, path));
  throw new WebConfigError({ file, ...place(document, lines, path, "key"), text: unknownKey(path) });
}

function readText(file: string): string {
  try {
    const { size } = statRegular(file);
    if (size > MAX_FILE_BYTES)
      throw new WebConfigError({
        file,
        text: `has ${size} bytes; a web configuration file has at most 1 MiB`,
      });
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof WebConfigError) throw error;
    throw new WebConfigError({ text: `cannot read the web configuration file ${file}: ${reason(error)}` });
  }
}

/** The parser gives up where aliases multiply; there are none in an honest file. */
function plain(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new WebConfigError({
      file,
      text: `not valid YAML: ${error instanceof Error ? firstLine(error.message) : "aliases cannot be resolved"}`,
    });
  }
}

const at = (value: unknown, path: Path): unknown =>
  path.reduce(
    (inner: unknown, key) =>
      typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined,
    value,
  );

const pathOf = (issue: v.BaseIssue<unknown>): Path =>
  (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key)));

const isUnknownKey = (issue: v.BaseIssue<unknown>): boolean =>
  issue.type === "strict_object" && issue.expected === "never";

function sentence(issue: v.BaseIssue<unknown>, path: Path): string {
  return issue.type === "strict_object" || issue.type === "record"
    ? mustHaveKeys(path)
    : `${pathText(path)} ${issue.message}`;
}

const mustHaveKeys = (path: Path): string =>
  `${path.length === 0 ? "the file" : pathText(path)} must have keys and values`;

/** `tls_server_config.cipher_suites[0]` */
const pathText = (path: Path): string =>
  path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${printable(key)}`))
    .join("")
    .slice(1);

function unknownKey(path: Path): string {
  const section = path.slice(0, -1).join(".");
  const key = printable(String(path.at(-1)));
  const known = KNOWN_KEYS[section] ?? [];
  const near = nearest(key, known);
  const help = near === undefined ? `known are: ${known.join(", ")}` : `did you mean "${near}"?`;
  return `unknown key "${key}"${section === "" ? "" : ` in ${section}`}; ${help}`;
}

/** Of the value (or its key), or of the nearest thing around it that is in the file. */
function place(
  document: Document,
  lines: LineCounter,
  path: Path,
  of: "key" | "value" = "value",
): { line?: number; column?: number } {
  const start = of === "key" ? keyStart(document, path) : valueStart(document, path);
  if (start === undefined) return path.length === 0 ? {} : place(document, lines, path.slice(0, -1));
  const { line, col } = lines.linePos(start);
  return { line, column: col };
}

function keyStart(document: Document, path: Path): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const pair = isMap(parent)
    ? parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1))
    : undefined;
  return isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
}

function valueStart(document: Document, path: Path): number | undefined {
  const node: unknown = path.length === 0 ? document.contents : document.getIn(path, true);
  return isNode(node) ? node.range?.[0] : undefined;
}

function tlsSettings(
  written: WebConfigFile,
  files: PemFiles,
  problemAt: ProblemAt,
): { tls: TlsSettings | undefined; warnings: string[] } {
  const given = written.tls_server_config ?? {};
  if (Object.values(given).every((value) => value === undefined || value === null))
    return { tls: undefined, warnings: [] };
  const wrong = (key: string, text: string) => problemAt(["tls_server_config", key], text);
  const pem = (key: "cert" | "key" | "client_ca") => {
    const inline = given[key] ?? undefined;
    const path = given[`${key}_file`] ?? undefined;
    if (inline !== undefined && path !== undefined)
      throw wrong(key, `tls_server_config has both ${key} and ${key}_file; keep one of them`);
    if (path === undefined) return inline;
    return files.text(path, key === "key", (text) => wrong(`${key}_file`, text));
  };
  const cert = pem("cert");
  const key = pem("key");
  const clientCa = pem("client_ca");
  if (cert === undefined) throw wrong("cert_file", "tls_server_config has neither cert nor cert_file");
  if (key === undefined) throw wrong("key_file", "tls_server_config has neither key nor key_file");
  const warnings = checkPair(
    cert,
    key,
    (text) => wrong(given.cert ? "cert" : "cert_file", text),
    (text) => wrong(given.key ? "key" : "key_file", text),
  );
  if (clientCa !== undefined)
    checkCertificates(clientCa, () =>
      wrong(given.client_ca ? "client_ca" : "client_ca_file", "the client CA is no certificate in PEM"),
    );
  const clientAuth = given.client_auth_type ?? "NoClientCert";
  checkClientAuth(clientAuth, clientCa, given.client_allowed_sans ?? undefined, wrong);
  const minVersion = given.min_version ?? "TLS12";
  const maxVersion = given.max_version ?? "TLS13";
  if (minVersion > maxVersion)
    throw wrong("min_version", `min_version ${minVersion} is above max_version ${maxVersion}`);
  if (runtimeName === "deno") refuseUnderDeno(given, wrong);
  const suites = given.cipher_suites ?? [];
  const curves = given.curve_preferences ?? [];
  return {
    warnings,
    tls: {
      cert,
      key,
      clientCa,
      clientAuth,
      clientAllowedSans: given.client_allowed_sans ?? undefined,
      minVersion: TLS_VERSIONS[minVersion],
      maxVersion: TLS_VERSIONS[maxVersion],
      ciphers: suites.length === 0 ? undefined : suites.map((name) => CIPHER_SUITES[name]).join(":"),
      preferServerCiphers: given.prefer_server_cipher_suites ?? true,
      curves: curves.length === 0 ? undefined : curves.map((name) => CURVES[name]).join(":"),
    },
  };
}

type Wrong = (key: string, text: string) => WebConfigError;

/** Throws where the key does not belong to the certificate; an expired certificate is served with a warning. */
function checkPair(
  cert: string,
  key: string,
  wrongCert: (text: string) => WebConfigError,
  wrongKey: (text: string) => WebConfigError,
): string[] {
  const [leaf] = checkCertificates(cert, () => wrongCert("the server certificate is no certificate in PEM"));
  let fits: boolean;
  try {
    fits = leaf?.checkPrivateKey(createPrivateKey(key)) === true;
  } catch {
    throw wrongKey("the server key is no private key in PEM without a passphrase");
  }
  if (!fits) throw wrongKey("the server key does not belong to the server certificate");
  const validTo = leaf?.validTo ?? "";
  return Date.parse(validTo) < Date.now() ? [`the server certificate expired on ${validTo}`] : [];
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function checkCertificates(pem: string, problem: () => WebConfigError): X509Certificate[] {
  try {
    const found = (pem.match(PEM_CERTIFICATE) ?? []).map((one) => new X509Certificate(one));
    if (found.length > 0) return found;
  } catch {
    // falls through: what the parser says of the bytes helps nobody
  }
  throw problem();
}

function checkClientAuth(
  type: ClientAuthType,
  clientCa: string | undefined,
  allowedSans: readonly string[] | undefined,
  wrong: Wrong,
): void {
  const verifies = type === "VerifyClientCertIfGiven" || type === "RequireAndVerifyClientCert";
  const requires = type === "RequireAnyClientCert" || type === "RequireAndVerifyClientCert";
  if (type === "NoClientCert" && clientCa !== undefined)
    throw wrong("client_auth_type", "a client CA is set, but no client_auth_type that uses it");
  // Go would verify against the CAs of the whole internet then; nobody means that.
  if (verifies && clientCa === undefined)
    throw wrong("client_auth_type", `client_auth_type ${type} needs client_ca or client_ca_file`);
  if (allowedSans !== undefined && !requires)
    throw wrong(
      "client_allowed_sans",
      "client_allowed_sans needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert",
    );
}

/** rustls, which Deno does TLS with, has no TLS before 1.2, and Deno hands neither curves nor the order on to it. */
function refuseUnderDeno(given: NonNullable<WebConfigFile["tls_server_config"]>, wrong: Wrong): void {
  for (const key of ["min_version", "max_version"] as const) {
    if (given[key] === "TLS10" || given[key] === "TLS11")
      throw wrong(key, `${key} ${given[key]} is not possible under Deno, which has TLS 1.2 and 1.3; use Bun`);
  }
  if (given.prefer_server_cipher_suites === true && given.cipher_suites?.length)
    throw wrong(
      "prefer_server_cipher_suites",
      "the server's order of cipher_suites cannot be preferred under Deno; set prefer_server_cipher_suites to false or use Bun",
    );
  if (given.curve_preferences?.length)
    throw wrong("curve_preferences", "curve_preferences are not possible under Deno; remove them or use Bun");
}

/** Reads the files that the configuration names; a relative path starts at its directory. */
class PemFiles {
  readonly stamps = new Map<string, string>();
  readonly warnings: string[] = [];
  readonly #directory: string;

  constructor(configuration: string) {
    this.stamps.set(configuration, fileStamp(configuration));
    this.#directory = dirname(configuration);
  }

  text(path: string, secret: boolean, problem: (text: string) => WebConfigError): string {
    const file = resolve(this.#directory, path);
    this.stamps.set(file, fileStamp(file));
    try {
      const { size, mode } = statRegular(file);
      if (size > MAX_FILE_BYTES) throw problem(`${file} has ${size} bytes; expected is PEM of at most 1 MiB`);
      if (secret && (mode & 0o004) !== 0)
        this.warnings.push(`everybody may read the private key ${file}; chmod o-r it`);
      return readFileSync(file, "utf8");
    } catch (error) {
      if (error instanceof WebConfigError) throw error;
      throw problem(`cannot read ${file}: ${reason(error)}`);
    }
  }
}

/** Reading a pipe or a device could wait, or go on, for ever. A directory says by itself that it cannot be read. */
function statRegular(file: string): Stats {
  const stats = statSync(file);
  if (stats.isFile() || stats.isDirectory()) return stats;
  throw Object.assign(new Error(`${file} is no regular file`), { code: IRREGULAR });
}

const IRREGULAR = "IRREGULAR";
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EISDIR: "is a directory",
  [IRREGULAR]: "is no regular file",
  ENOTDIR: "a part of the path is no directory",
};

function reason(error: unknown): string {
  const code = errorCode(error);
  return REASONS[code ?? ""] ?? code ?? "unknown error";
}

/** A key as it is written in a message of one line. */
const printable = (key: string): string => JSON.stringify(key.slice(0, 80)).slice(1, -1);

const firstLine = (text: string): string => text.split("\n", 1)[0] ?? "";
