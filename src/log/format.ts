/** An event as one line of text: logfmt for people and grep, JSON for machines. */
import type { LogLevel } from "./log.ts";

export interface Event {
  readonly level: LogLevel;
  readonly time: Date;
  readonly message: string;
  /** Values that are `undefined` are left out. */
  readonly fields: Readonly<Record<string, unknown>>;
}

export function logfmtLine(event: Event): string {
  return members(event)
    .map(([key, value]) => `${logfmtKey(key)}=${logfmtValue(value)}`)
    .join(" ");
}

export function jsonLine(event: Event): string {
  const line = members(event).map(([key, value]) => `${jsonText(key)}:${jsonValue(value)}`);
  return `{${line.join(",")}}`;
}

function members(event: Event): [string, unknown][] {
  const fields = Object.entries(event.fields).filter(([, value]) => value !== undefined);
  return [["ts", event.time.toISOString()], ["level", event.level], ["msg", event.message], ...fields];
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not reach a terminal
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** Quoted where github.com/go-logfmt/logfmt quotes (blank, control character, `=`, `"`), so that its readers agree. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const NEEDS_QUOTES = /[\u0000-\u0020="\u007f-\u009f\u2028\u2029\ufffd]|^null$/;

function logfmtValue(value: unknown): string {
  const text = String(value).toWellFormed();
  return NEEDS_QUOTES.test(text) ? jsonText(text) : text;
}

function logfmtKey(key: string): string {
  return key.replace(new RegExp(NEEDS_QUOTES.source, "g"), "_");
}

function jsonValue(value: unknown): string {
  return typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))
    ? String(value)
    : jsonText(String(value));
}

function jsonText(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(
    CONTROL,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
