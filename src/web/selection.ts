/** Which collectors a scrape asks for, by `collect[]` and `exclude[]` as node_exporter has them. */
import { pveName } from "../config/schema.ts";

export type Selection =
  /** `only` in the order of the collectors, so that the same choice is the same scrape; undefined for all. */
  { readonly only?: readonly string[] } | { readonly problem: string };

/** `names`: the collectors that run where none is named; `known`: also those that have to be. */
export function selectCollectors(
  url: string,
  names: readonly string[],
  known: readonly string[] = names,
): Selection {
  const start = url.indexOf("?");
  if (start < 0) return {};
  const query = new URLSearchParams(url.slice(start));
  const collect = query.getAll("collect[]");
  const exclude = query.getAll("exclude[]");
  if (collect.length > 0 && exclude.length > 0)
    return { problem: `collect[] and exclude[] cannot both be given; ${existing(known)}` };
  const given = [...collect, ...exclude];
  const unknown = given.find((name) => !known.some((one) => isCalled(one, name)));
  if (unknown !== undefined)
    return {
      problem: `no collector ${JSON.stringify(unknown.slice(0, 100))} is enabled; ${existing(known)}`,
    };
  const isGiven = (one: string) => given.some((name) => isCalled(one, name));
  if (collect.length > 0) return { only: known.filter(isGiven) };
  return exclude.length > 0 ? { only: names.filter((one) => !isGiven(one)) } : {};
}

/** Those of Proxmox VE also go without `pve-`, as in flags and on /pve. */
const isCalled = (known: string, name: string): boolean => known === name || pveName(known) === name;

const existing = (names: readonly string[]): string =>
  names.length === 0 ? "there is none" : `the collectors are: ${names.join(", ")}`;
