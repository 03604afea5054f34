/** The bodies of one moment: the same call gets the same text, so that a bench measures who asks. */
import { gzipSync } from "node:zlib";
import { chance, randomOf } from "./pve-chance.ts";
import type { PveState } from "./pve-cluster.ts";
import { perlJson, type Types } from "./pve-perl.ts";

export class Bodies {
  readonly #types: Types;
  readonly #seed: number;
  readonly #bodies = new Map<string, Body>();
  #state: PveState | undefined;

  constructor(types: Types, seed: number) {
    this.#types = types;
    this.#seed = seed;
  }

  /** `code`: what makes the answer; which numbers are texts depends on it. */
  get(state: PveState, code: string, key: string, answer: (random: () => number) => unknown): Body {
    if (this.#state !== state) this.#bodies.clear();
    this.#state = state;
    const known = this.#bodies.get(key);
    if (known !== undefined) return known;
    const random = randomOf(this.#seed, `${state.unix} ${key}`);
    const body = new Body(perlJson({ data: answer(random) }, this.#typesOf(code), random));
    this.#bodies.set(key, body);
    return body;
  }

  #typesOf(code: string): (key: string) => boolean {
    if (this.#types === "usual") return () => false;
    const known = new Map<string, boolean>();
    return (key) => {
      const isText = known.get(key) ?? chance(this.#seed, code, key) < TEXTS;
      known.set(key, isText);
      return isText;
    };
  }
}

/** The share of keys whose numbers are texts. */
const TEXTS = 0.25;

export class Body {
  readonly plain: Buffer;
  #packed: Buffer | undefined;

  constructor(text: string) {
    this.plain = Buffer.from(text);
  }

  get packed(): Buffer {
    this.#packed ??= gzipSync(this.plain, { level: 1 });
    return this.#packed;
  }
}
