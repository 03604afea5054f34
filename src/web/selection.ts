/** Which collectors a scrape asks for, by `collect[]` and `exclude[]` as node_exporter has them. */
import { pveName } from "../config/schema.ts";

export type Selection =
  /** `only` in the order of the collectors, so that the same choice is the same scrape; undefined for all. */
  { readonly only?: readonly string[] } | { readonly problem: string };

/** `names`: the collectors that there are. */
export function selectCollectors(url: string, names: readonly string[]): Selection {
  const start = url.indexOf("?");
  if (start < 0) return {};
  const query = new URLSearchParams(url.slice(start));
  const collect = query.getAll("collect[]");
  const exclude = query.getAll("exclude[]");
  if (collect.length > 0 && exclude.length > 0)
    return { problem: `collect[] and exclude[] cannot both be given; ${existing(names)}` };
  const given = [...collect, ...exclude];
  const unknown = given.find((name) => !names.some((known) => isCalled(known, name)));
  if (unknown !== undefined)
    return {
      problem: `no collector ${JSON.stringify(unknown.slice(0, 100))} is enabled; ${existing(names)}`,
    };
  const isGiven = (known: string) => given.some((name) => isCalled(known, name));
  if (collect.length > 0) return { only: names.filter(isGiven) };
  return exclude.length > 0 ? { only: names.filter((known) => !isGiven(known)) } : {};
}

/** Those of Proxmox VE also go without `pve-`, as in flags and on /pve. */
const isCalled = (known: string, name: string): boolean => known === name || pveName(known) === name;

const existing = (names: readonly string[]): string =>
  names.length === 0 ? "there is none" : `the collectors are: ${names.join(", ")}`;
