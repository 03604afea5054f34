/** What a person does about a failed call: the sentence that a log, `check` and the answer of /pve end with. */
import { identityOf, type PveCredentials, type PveEndpoint } from "./endpoint.ts";
import type { PveFailure } from "./failure.ts";
import { STATUS_PATH } from "./shared-calls.ts";

/** Undefined where the message says it all. `entries`: paths of access control lists, as /access/permissions has them. */
export function adviceFor(
  failure: PveFailure,
  endpoint: PveEndpoint,
  entries: readonly string[] = [],
): string | undefined {
  const { hostname, port } = new URL(endpoint.url);
  const { status, network, reason, path } = failure;
  if (status === 401) return loginAdvice(hostname, endpoint.credentials);
  if (isOfRights(failure)) {
    const { problem, commands, note } = rightAdvice(failure, endpoint.credentials, entries);
    return commands.length === 0
      ? `${problem}: see \`plumbline check\``
      : `${problem}: ${commands.join("; ")}${note}`;
  }
  if (network === "tls") return trustAdvice(hostname, endpoint);
  if (network === "connect")
    return `is ${hostname} the right name, does pveproxy run there, and does every firewall let port ${port || "443"} through?`;
  if (reason === "unreachable") return nodeAdvice(hostname, failure);
  if (reason === "timeout")
    return `is ${nodeOf(path) ?? hostname} overloaded, or hung? \`timeout\` gives a call longer, and Prometheus's scrape_timeout the scrape`;
  const isRedirect = status !== undefined && status >= 300 && status < 400;
  if (isRedirect || (reason === "invalid" && FIRST_PATHS.has(path)))
    return "is it Proxmox VE that listens there? name a node of it, with the port of its web interface";
  if (reason === "error" && status !== undefined && status >= 500)
    return `\`journalctl -u pveproxy -u pvedaemon\` on ${hostname} may tell more`;
  return undefined;
}

/** The same for `check`, which breaks lines: commands stand on lines of their own, behind a first one that is none. */
export function remedyFor(
  failure: PveFailure,
  endpoint: PveEndpoint,
  entries: readonly string[] = [],
): string | undefined {
  if (!isOfRights(failure)) return adviceFor(failure, endpoint, entries);
  const { problem, commands, note } = rightAdvice(failure, endpoint.credentials, entries);
  return commands.length === 0
    ? `${problem}; the lines for the target do`
    : [`${problem}${note}; on a host of the cluster:`, ...commands].join("\n");
}

const isOfRights = ({ status, missing }: PveFailure): boolean => status === 403 || missing !== undefined;

/** Whoever answers these in another way may be no Proxmox VE at all. */
const FIRST_PATHS: ReadonlySet<string> = new Set([STATUS_PATH, "/access/ticket"]);

/** What gives the reading rights; a token with privilege separation has no more than its user and itself have both. */
export function grantCommands(credentials: PveCredentials): readonly string[] {
  const grant = (to: string) => `pveum acl modify / ${to} --roles PVEAuditor`;
  const user = grant(`--users ${quoted(credentials.user)}`);
  return credentials.kind === "token" ? [grant(`--tokens ${quoted(identityOf(credentials))}`), user] : [user];
}

function loginAdvice(host: string, credentials: PveCredentials): string {
  const journal = `\`journalctl -u pveproxy\` on ${host} tells why`;
  if (credentials.kind === "password")
    return `${host} refuses ${credentials.user}: does the user exist, is it enabled, and is the password right? ${journal}`;
  return `${host} refuses the token ${identityOf(credentials)}: does it exist, is it enabled, and has it not expired? ${journal}; token_name is the part after the "!"`;
}

interface RightAdvice {
  readonly problem: string;
  readonly commands: readonly string[];
  readonly note: string;
}

function rightAdvice(
  { missing }: PveFailure,
  credentials: PveCredentials,
  entries: readonly string[],
): RightAdvice {
  const who = identityOf(credentials);
  const commands = grantCommands(credentials);
  if (missing === undefined)
    return { problem: `${who} lacks a right that the message does not name`, commands, note: "" };
  const { privilege, path } = missing;
  const problem = `${who} lacks ${privilege.replaceAll("|", " or ")} on ${path}`;
  if (!privilege.split("|").some((name) => AUDITOR.has(name)))
    return { problem: `${problem}, which the role PVEAuditor does not give`, commands: [], note: "" };
  const deeper = entries.find((entry) => entry !== "/" && (entry === path || path.startsWith(`${entry}/`)));
  const note =
    deeper === undefined ? "" : `; the entry on ${deeper} replaces what / gives and has to give it too`;
  return { problem, commands, note };
}

/** What Proxmox VE's own role for readers has, of what is asked for. */
const AUDITOR: ReadonlySet<string> = new Set([
  "Datastore.Audit",
  "Pool.Audit",
  "SDN.Audit",
  "Sys.Audit",
  "VM.Audit",
  "VM.GuestAgent.Audit",
]);

function trustAdvice(host: string, { tls }: PveEndpoint): string {
  if (tls.fingerprint !== undefined)
    return `if ${host} has got a new certificate, \`pvenode cert info\` there prints its fingerprint`;
  return `set ca_file to a copy of /etc/pve/pve-root-ca.pem, the cluster's own authority, or fingerprint to that of the certificate of ${host}; verify_ssl: false is the last resort`;
}

/** Nothing of what the server said but the number gets in. */
function nodeAdvice(host: string, { path, status }: PveFailure): string {
  const node = nodeOf(path) ?? "another node";
  const problem = status === 595 || status === 500 ? "cannot reach" : "gets no whole answer from";
  return `${host} ${problem} ${node}; the others were read`;
}

const nodeOf = (path: string): string | undefined => /^\/nodes\/([A-Za-z0-9-]{1,63})(?:\/|$)/.exec(path)?.[1];

/** For a shell. */
export const quoted = (text: string): string =>
  /^[\w@.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
