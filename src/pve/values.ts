/**
 * Tolerant readers of what the API says. It is written in Perl: a number may come as a text and a text as a number,
 * per release and per code path; null, "" and what is absent say nothing, and are never 0.
 */
import type { Descriptor } from "../metrics/descriptor.ts";
import type { LabelValues } from "../metrics/samples.ts";
import type { Report } from "./contract.ts";
import { PveFailure } from "./failure.ts";
import type { ClusterStatus, Resources } from "./model.ts";

/** An object of an answer, its members unread. */
export type Row = Readonly<Record<string, unknown>>;

/** Undefined where nothing is said; "invalid" for what is there and no finite number. */
export function numberOf(value: unknown): number | undefined | "invalid" {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "string" && !DECIMAL.test(value)) return "invalid";
  const number = typeof value === "string" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : "invalid";
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** Perl's: "" and "0" are false. Undefined where nothing is said, or neither. */
export function booleanOf(value: unknown): boolean | undefined {
  if (value === "") return false;
  const number = numberOf(value);
  return number === 1 || number === 0 ? number === 1 : undefined;
}

/** What a label holds: "" where nothing is said, U+FFFD for a lone surrogate, numbers and booleans as Perl prints them. */
export function textOf(value: unknown): { readonly text: string; readonly wasCut: boolean } {
  switch (typeof value) {
    case "string":
      return value.length <= MAX_TEXT_LENGTH
        ? { text: value.toWellFormed(), wasCut: false }
        : { text: cut(value).toWellFormed(), wasCut: true };
    case "number":
      return { text: String(value), wasCut: false };
    case "boolean":
      return { text: value ? "1" : "0", wasCut: false };
    default:
      // Nothing of an object or a list can be shown.
      return { text: "", wasCut: value !== undefined && value !== null };
  }
}

const MAX_TEXT_LENGTH = 1024;

/** Not between the two units of one character. */
const cut = (text: string): string => text.slice(0, MAX_TEXT_LENGTH).replace(/[\ud800-\udbff]$/, "");

/** The text, where it is one of a few names. */
export function nameIn<const Name extends string>(names: readonly Name[], value: unknown): Name | undefined {
  return names.find((name) => name === value);
}

/** 100–999999999, also as a text; undefined for anything else. */
export function vmidOf(value: unknown): number | undefined {
  const vmid = typeof value === "string" && !/^\d+$/.test(value) ? undefined : numberOf(value);
  return typeof vmid === "number" && Number.isInteger(vmid) && vmid >= 100 && vmid <= 999_999_999
    ? vmid
    : undefined;
}

/** `qemu/100`, `lxc/102`; undefined where the type or the VMID is none. */
export function guestIdOf(type: unknown, vmid: unknown): string | undefined {
  const known = vmidOf(vmid);
  return known !== undefined && (type === "qemu" || type === "lxc") ? `${type}/${known}` : undefined;
}

/** As it may stand in a URL; undefined for anything else. */
export function nodeNameOf(value: unknown): string | undefined {
  return typeof value === "string" && /^[A-Za-z0-9-]{1,63}$/.test(value) ? value : undefined;
}

export const isRow = (value: unknown): value is Row =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Throws PveFailure invalid where the answer is no object. */
export function rowOf(data: unknown, path: string): Row {
  if (!isRow(data)) throw new PveFailure("invalid", path, `the answer of ${path} is no object`);
  return data;
}

/** The object that is a member of another; empty where nothing is said, lost where it is something else. */
export function partOf(report: Pick<Report, "lose">, value: unknown): Row {
  if (isRow(value)) return value;
  if (value !== undefined && value !== null) report.lose("invalid");
  return {};
}

/** The objects of a list; what is none is lost. Throws PveFailure invalid where the answer is no list. */
export function rowsOf(data: unknown, path: string, report: Pick<Report, "lose">): readonly Row[] {
  if (!Array.isArray(data)) throw new PveFailure("invalid", path, `the answer of ${path} is no list`);
  const rows = data.filter(isRow);
  if (rows.length < data.length) report.lose("invalid", data.length - rows.length);
  return rows;
}

/** Adds the sample if `value` is a number; counts it as invalid if it is there and none. */
export function addNumber<Label extends string>(
  report: Report,
  descriptor: Descriptor<Label | "cluster", "counter" | "gauge">,
  labels: LabelValues<Exclude<Label, "cluster">>,
  value: unknown,
): void {
  const number = numberOf(value);
  if (number === "invalid") report.leaveOut("invalid");
  else if (number !== undefined) report.add(descriptor, labels, number);
}

/** Text for a label; counts what had to be cut as invalid. */
export function labelOf(report: Pick<Report, "leaveOut">, value: unknown): string {
  const { text, wasCut } = textOf(value);
  if (wasCut) report.leaveOut("invalid");
  return text;
}

/** Tells of rows of a shared call that could not be used; every collector that reads the call misses them. */
export function countOdd(
  report: Pick<Report, "lose" | "leaveOut">,
  {
    invalid,
    duplicate,
    unknown = 0,
  }: Pick<ClusterStatus, "invalid" | "duplicate"> & Partial<Pick<Resources, "unknown">>,
): void {
  report.lose("invalid", invalid);
  report.leaveOut("invalid", unknown);
  report.leaveOut("duplicate", duplicate);
}
