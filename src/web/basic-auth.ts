/**
 * Basic authentication (RFC 7617) against bcrypt hashes. A password that was right is remembered by a keyed hash, so
 * that a scrape does not cost 60 ms each time and no password is kept.
 */
import { createHmac, randomBytes } from "node:crypto";
import { verifyBcrypt } from "../runtime/index.ts";

/** More than any host has scrapers; the one not seen for the longest is forgotten first. */
const REMEMBERED = 100;
/** Guesses wait for one another, so that they cannot keep more than one core busy. */
const MAX_WAITING = 50;

export type Verdict = "ok" | "denied" | "busy";

export class BasicAuth {
  readonly #users: ReadonlyMap<string, string>;
  readonly #verify: typeof verifyBcrypt;
  /** An unknown user is compared with the hash that takes the longest. */
  readonly #decoy: string;
  /** Of this process only: what is remembered is worth nothing elsewhere. */
  readonly #key = randomBytes(32);
  readonly #right = new Set<string>();
  readonly #running = new Map<string, Promise<boolean>>();
  #last: Promise<unknown> = Promise.resolve();

  /** bcrypt hashes by user name, at least one. */
  constructor(users: ReadonlyMap<string, string>, verify: typeof verifyBcrypt = verifyBcrypt) {
    this.#users = users;
    this.#verify = verify;
    this.#decoy = [...users.values()].reduce((slowest, hash) =>
      cost(hash) > cost(slowest) ? hash : slowest,
    );
  }

  async check(authorization: string | null): Promise<Verdict> {
    const credentials = parse(authorization);
    if (credentials === undefined) return "denied";
    const { user, password } = credentials;
    const hash = this.#users.get(user);
    const fingerprint = createHmac("sha256", this.#key)
      .update(JSON.stringify([user, hash ?? null, password]))
      .digest("base64");
    if (this.#right.delete(fingerprint)) {
      this.#right.add(fingerprint);
      return "ok";
    }
    const running = this.#running.get(fingerprint);
    if (running === undefined && this.#running.size >= MAX_WAITING) return "busy";
    const matches = await (running ?? this.#compare(fingerprint, password, hash ?? this.#decoy));
    if (!matches || hash === undefined) return "denied";
    this.#right.add(fingerprint);
    for (const oldest of this.#right) {
      if (this.#right.size <= REMEMBERED) break;
      this.#right.delete(oldest);
    }
    return "ok";
  }

  /** One after the other; the same credentials that come meanwhile share the answer. */
  #compare(fingerprint: string, password: string, hash: string): Promise<boolean> {
    const result = this.#last
      .then(() => this.#verify(password, hash))
      .catch(() => false)
      .finally(() => this.#running.delete(fingerprint));
    this.#running.set(fingerprint, result);
    this.#last = result;
    return result;
  }
}

/** The work factor: each step doubles the time. */
const cost = (hash: string): number => Number(hash.slice(4, 6));

function parse(authorization: string | null): { user: string; password: string } | undefined {
  const encoded = /^basic +([A-Za-z0-9+/_-]+={0,2}) *$/i.exec(authorization ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
