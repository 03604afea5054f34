/** Hosts of Proxmox VE as people write them, and whether /pve may be sent to one. */
import { BlockList, isIP } from "node:net";

export interface PveHost {
  /** A name in lower case or an address, an IPv6 one without brackets; as the URL parser writes it. */
  readonly host: string;
  readonly port: number | undefined;
}

export const PVE_PORT = 8006;

const BRACKETED = /^\[([0-9a-f:.]+)\](?::(\d{1,5}))?$/i;
const NAMED = /^([a-z0-9_][a-z0-9._-]{0,252})(?::(\d{1,5}))?$/i;

/** `host`, `host:port`, `[IPv6]:port`, or an IPv6 address as it is; undefined where the text is none of them. */
export function parsePveHost(text: string): PveHost | undefined {
  if (isIP(text) === 6) return parsePveHost(`[${text}]`);
  const bracketed = BRACKETED.exec(text);
  const [, name = "", portText] = bracketed ?? NAMED.exec(text) ?? [];
  const port = portText === undefined ? undefined : Number(portText);
  if (name === "" || port === 0 || (port ?? 0) > 65_535) return undefined;
  const url = `https://${bracketed === null ? name : `[${name}]`}`;
  // 0x7f.1 is 127.0.0.1 for whoever connects: it has to be for whoever decides as well.
  return URL.canParse(url) ? { host: new URL(url).hostname.replace(/^\[|\]$/g, ""), port } : undefined;
}

/** `https://host:port/prefix` of `host`, `host:port`, `host/prefix` and `https://host:port/prefix/`. */
export function pveEndpoint(text: string): string | undefined {
  const [, authority = "", prefix = ""] = /^(?:https:\/\/)?([^/]+)((?:\/[\w.~-]+)*)\/?$/i.exec(text) ?? [];
  const host = parsePveHost(authority);
  return host === undefined || !isPathPrefix(prefix)
    ? undefined
    : pveUrl(host.host, host.port ?? PVE_PORT, prefix);
}

/** `/proxied/pve`, or empty. */
export const isPathPrefix = (text: string): boolean => /^(?:\/(?!\.\.?(?:\/|$))[\w.~-]+)*$/.test(text);

/** `https://host:port/prefix`; an IPv6 address gets its brackets. */
export const pveUrl = (host: string, port: number, pathPrefix: string): string =>
  `https://${host.includes(":") ? `[${host}]` : host}:${port}${pathPrefix}`;

/** Whether the text is a name in which `*` stands for any characters, an address, or a range of addresses. */
export const isHostPattern = (text: string): boolean => range(text) !== undefined || NAME_PATTERN.test(text);

/** A name is held against names alone: nothing is resolved. */
export function isAllowed(host: string, patterns: readonly string[]): boolean {
  const family = isIP(host);
  return patterns.some((pattern) => {
    if (family !== 0) return range(pattern)?.check(host, family === 4 ? "ipv4" : "ipv6") ?? false;
    return range(pattern) === undefined && matches(host, pattern.toLowerCase());
  });
}

const NAME_PATTERN = /^[a-z0-9_*][a-z0-9._*-]{0,252}$/i;

function range(pattern: string): BlockList | undefined {
  const [address = "", bits, ...more] = pattern.split("/");
  const family = isIP(address);
  if (family === 0 || more.length > 0) return undefined;
  const [name, all] = family === 4 ? (["ipv4", 32] as const) : (["ipv6", 128] as const);
  if (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= all)) return undefined;
  const list = new BlockList();
  list.addSubnet(address, Number(bits ?? all), name);
  return list;
}

/** All parts between the stars stand in the name, one after the other. */
function matches(name: string, pattern: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return name === pattern;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length)
    return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > name.length - last.length) return false;
    at = found + part.length;
  }
  return true;
}
