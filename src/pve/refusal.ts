/** What a status of Proxmox VE means, and what its reason phrase adds to it. */
import type { SkipReason } from "./contract.ts";
import { type MissingRight, PveFailure } from "./failure.ts";

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
