/** Who asks: by API token, or by the ticket that a password buys. Each node knows a ticket of the other ones. */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { PveUser, Rights } from "./pve-users.ts";
import { rightsOf } from "./pve-users.ts";

export interface Asker {
  /** `plumbline@pve` or `plumbline@pve!metrics`. */
  readonly name: string;
  readonly rights: Rights;
}

/** `phrase`: what releases before 9.2 tell. */
export interface Stranger {
  readonly phrase: string;
}

export interface Doorkeeper {
  readonly users: readonly PveUser[];
  readonly unix: number;
  readonly ticketSeconds: number;
}

/** Who sends these headers. */
export function askerOf(headers: ReadonlyMap<string, string>, door: Doorkeeper): Asker | Stranger {
  const token = /^PVEAPIToken=(.*)$/.exec(headers.get("authorization") ?? "")?.[1];
  if (token !== undefined) return byToken(token, door);
  const cookie = /(?:^|;\s*)PVEAuthCookie=([^;]*)/.exec(headers.get("cookie") ?? "")?.[1];
  if (cookie === undefined || cookie === "") return { phrase: "No ticket" };
  const user = ownerOf(unescaped(cookie), door);
  if (user === undefined) return { phrase: "permission denied - invalid PVE ticket" };
  return { name: user.name, rights: rightsOf(user) };
}

function byToken(text: string, { users, unix }: Doorkeeper): Asker | Stranger {
  const [, userName = "", tokenId = "", secret = ""] = /^([^!]+)!([^=]+)=(.*)$/.exec(text) ?? [];
  const user = users.find(({ name, disabled }) => name === userName && disabled !== true);
  if (user === undefined) return { phrase: `no such user ('${userName}')` };
  const token = Object.hasOwn(user.tokens ?? {}, tokenId) ? user.tokens?.[tokenId] : undefined;
  if (token === undefined) return { phrase: `no such token '${tokenId}' for user '${userName}'` };
  if (token.expire !== undefined && token.expire < unix) return { phrase: "token expired" };
  if (token.secret !== secret) return { phrase: "invalid token value!" };
  return { name: `${userName}!${tokenId}`, rights: rightsOf(user, token) };
}

/** What POST /access/ticket answers; undefined: wrong name or password. A ticket that is valid buys another one. */
export function ticketFor(form: URLSearchParams, door: Doorkeeper) {
  const name = form.get("username") ?? "";
  const password = form.get("password") ?? "";
  const user = door.users.find((user) => user.name === name && user.disabled !== true);
  if (user === undefined) return undefined;
  if (user.password !== password && ownerOf(password, door) !== user) return undefined;
  if (user.secondFactor === true) {
    return { username: name, ticket: signed(`PVE:!tfa!${name}`, door.unix), NeedTFA: 1 };
  }
  const ticket = signed(`PVE:${name}`, door.unix);
  return { username: name, ticket, CSRFPreventionToken: signature(`csrf ${name}`), clustername: "simulated" };
}

function ownerOf(ticket: string, { users, unix, ticketSeconds }: Doorkeeper): PveUser | undefined {
  const [, about = "", stamp = ""] = /^(PVE:[^:]+):([0-9A-F]{8})::/.exec(ticket) ?? [];
  const issued = Number.parseInt(stamp, 16);
  if (about === "" || !equal(ticket, signed(about, issued)) || unix - issued >= ticketSeconds)
    return undefined;
  return users.find(({ name, disabled }) => `PVE:${name}` === about && disabled !== true);
}

const signed = (about: string, unix: number): string => {
  const stamped = `${about}:${unix.toString(16).toUpperCase().padStart(8, "0")}`;
  return `${stamped}::${signature(stamped)}`;
};

/** With a key that is no secret, as nothing here is. */
const signature = (text: string): string => createHmac("sha256", "simulated").update(text).digest("base64");

function equal(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)];
  return one.length === other.length && timingSafeEqual(one, other);
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
