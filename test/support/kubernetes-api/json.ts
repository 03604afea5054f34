/** Guards for JSON whose shape is not known. */
import { isDeepStrictEqual } from "node:util";

export type Members = Record<string, unknown>;

export const isMembers = (value: unknown): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const membersOf = (value: unknown): Members => (isMembers(value) ? value : {});

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

export const textsOf = (value: unknown): string[] => listOf(value).filter((text) => typeof text === "string");

export const numberOf = (value: unknown): number | undefined =>
  typeof value === "number" ? value : undefined;

/** What lies at a path of members. */
export const at = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, member) => membersOf(inner)[member], value);

/** The order of members does not count. */
export const same = (a: unknown, b: unknown): boolean => isDeepStrictEqual(a, b);
