/** Why nothing came of a request: what a status of Proxmox VE means, and what its reason phrase adds to it. */
import * as v from "valibot";
import { dropBody } from "../rest/body.ts";
import type { RestFailure } from "../rest/failure.ts";
import { readErrorJson } from "../rest/json.ts";
import type { SkipReason } from "./contract.ts";
import { type MissingRight, PveFailure } from "./failure.ts";

/** Of an answer that is none. `secrets`: what it was asked with. */
export async function refusalOf(
  response: Response,
  path: string,
  where: string,
  secrets: readonly string[],
  limits: { readonly signal: AbortSignal; readonly deadline: number },
): Promise<PveFailure> {
  const { status, statusText } = response;
  // Newer releases repeat the phrase in the body.
  const said = statusText === "" ? messageOf(await readErrorJson(response, limits)) : statusText;
  void dropBody(response);
  return refusal(status, path, where, safePhrase(said, secrets));
}

const ErrorSchema = v.object({ message: v.string() });

function messageOf(body: unknown): string {
  const parsed = v.safeParse(ErrorSchema, body);
  return parsed.success ? parsed.output.message : "";
}

/** Of no answer, or of one that cannot be read. */
export function failureOf({ reason, message, status }: RestFailure, path: string): PveFailure {
  const answer = status === undefined ? {} : { status };
  switch (reason) {
    case "timeout":
    case "too_large":
      return new PveFailure(reason, path, message, answer);
    case "connect":
    case "tls":
      return new PveFailure("unreachable", path, message, { network: reason });
    case "credentials": {
      const remedy = "copy the cluster's /etc/pve/pve-root-ca.pem there, for plumbline's user to read";
      return new PveFailure("unauthorized", path, `${message}; ${remedy}`);
    }
    default:
      return new PveFailure("invalid", path, message, answer);
  }
}

/** `phrase` is safe to be shown; undefined where there is none. */
export function refusal(status: number, path: string, where: string, phrase: string | undefined): PveFailure {
  const said = phrase === undefined ? "" : `: ${phrase}`;
  const hint = status < 400 ? ", which is not followed" : "";
  return new PveFailure(reasonOf(status, phrase ?? ""), path, `${where} answered ${status}${said}${hint}`, {
    status,
    phrase,
    missing: status === 403 ? missingRight(phrase ?? "") : undefined,
  });
}

/** The queried node has no connection to the one that the call is for, or that one does not answer. */
const UNREACHABLE: ReadonlySet<number> = new Set([595, 596, 597, 599]);

function reasonOf(status: number, phrase: string): SkipReason {
  if (status === 401) return "unauthorized";
  if (status === 403) return "forbidden";
  if (UNREACHABLE.has(status)) return "unreachable";
  if (status !== 500) return "error";
  // The configuration of a guest that has moved or was removed since it was listed.
  if (/^configuration file '[^']+' does not exist/i.test(phrase)) return "gone";
  // Of a node that nobody knows.
  return /^hostname lookup '?[^']*'? failed/i.test(phrase) ? "unreachable" : "error";
}

/** Undefined unless both are plain: they end up in a command that somebody runs. */
function missingRight(phrase: string): MissingRight | undefined {
  const [, path, privilege] = /\(((?:\/[\w.-]*)+), ([\w.|-]+)\)/.exec(phrase) ?? [];
  return path === undefined || privilege === undefined ? undefined : { path, privilege };
}

const MAX_PHRASE_LENGTH = 200;
/** As much of a secret tells too much of it. */
const TELLING_LENGTH = 6;

/** One line of printable text; undefined where nothing is said, or where it holds a part of what was sent. */
export function safePhrase(text: string, secrets: readonly string[]): string | undefined {
  const line = text
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .trim()
    .slice(0, MAX_PHRASE_LENGTH);
  if (line === "" || /PVEAPIToken|PVEAuthCookie|PVE:/i.test(text)) return undefined;
  return secrets.some((secret) => tells(text, secret)) ? undefined : line;
}

function tells(text: string, secret: string): boolean {
  const length = Math.min(TELLING_LENGTH, secret.length);
  for (let start = 0; start + length <= secret.length; start++) {
    if (text.includes(secret.slice(start, start + length))) return true;
  }
  return false;
}
