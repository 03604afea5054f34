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

/** Control characters, which must not reach a terminal, and what some readers take for the end of a line. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu;

/** Quoted where github.com/go-logfmt/logfmt quotes (blank, control character, `=`, `"`), so that its readers agree. */
const NEEDS_QUOTES = /[\p{Cc}\u2028\u2029\ufffd ="]|^null$/u;
const NO_KEY = /[\p{Cc}\u2028\u2029\ufffd ="]/gu;

function logfmtValue(value: unknown): string {
  const text = String(value).toWellFormed();
  return NEEDS_QUOTES.test(text) ? jsonText(text) : text;
}

function logfmtKey(key: string): string {
  return key.replace(NO_KEY, "_");
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
