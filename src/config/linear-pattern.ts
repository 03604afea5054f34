/**
 * Regular expressions that match a whole text in a time that grows with its length alone, whatever the expression: all
 * ways through it are followed side by side, as RE2 does, and never one after the other. What cannot be matched like
 * that (look-around, references, word boundaries) they do not have.
 */

export type LinearPattern = (text: string) => boolean;

/** Undefined where `pattern` is no such expression, or one of more than 1000 characters or steps. */
export function linearPattern(pattern: string): LinearPattern | undefined {
  if (pattern.length > MAX_STEPS) return undefined;
  try {
    const start = new Parser(pattern).whole()(END);
    return (text) => follow(start, text);
  } catch (error) {
    if (error instanceof NoPattern || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function follow(start: State, text: string): boolean {
  let states = new Set<State>();
  enter(start, states);
  for (const character of text) {
    const after = new Set<State>();
    for (const state of states) if ("takes" in state && state.takes(character)) enter(state.next, after);
    states = after;
  }
  return states.has(END);
}

function enter(state: State, states: Set<State>): void {
  if (states.has(state)) return;
  states.add(state);
  if ("either" in state) for (const one of state.either) enter(one, states);
}

/** A place in the expression: from it one character leads on, or it is several places at once. */
type State =
  | { readonly takes: (character: string) => boolean; readonly next: State }
  | { readonly either: readonly State[] };

const END: State = { either: [] };

/** A part of the expression, once it is known what follows it. */
type Part = (next: State) => State;

class NoPattern extends Error {}

const MAX_STEPS = 1000;

class Parser {
  readonly #text: string;
  #at = 0;
  #steps = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Part {
    this.#take(/\^/y);
    const part = this.#choice();
    this.#take(/\$/y);
    if (this.#at < this.#text.length) throw new NoPattern();
    return part;
  }

  #choice(): Part {
    const parts = [this.#sequence()];
    while (this.#take(/\|/y) !== undefined) parts.push(this.#sequence());
    return (next) => this.#step({ either: parts.map((part) => part(next)) });
  }

  #sequence(): Part {
    const parts: Part[] = [];
    while (this.#at < this.#text.length && this.#take(/(?=[|)$])/y) === undefined)
      parts.push(this.#repeated(this.#one()));
    return (next) => parts.reduceRight((following, part) => part(following), next);
  }

  #one(): Part {
    if (this.#take(/\((?:\?:)?/y) !== undefined) {
      const part = this.#choice();
      if (this.#take(/\)/y) === undefined) throw new NoPattern();
      return part;
    }
    const written = this.#take(/\\(?:[dDwWsS]|[^\w\s])|\[(?:\\.|[^\]\\])+\]|[^\\[\](){}*+?^$|]/uy);
    if (written === undefined) throw new NoPattern();
    const takes = taking(written);
    return (next) => this.#step({ takes, next });
  }

  #repeated(part: Part): Part {
    const sign = this.#take(/[*+?]|\{\d{1,4}(?:,\d{0,4})?\}/y);
    if (sign === undefined) return part;
    // Lazy or not: the same texts match.
    this.#take(/\?/y);
    const [least, most] = countsOf(sign);
    if (least > most) throw new NoPattern();
    return (next) => {
      let start = most === Number.POSITIVE_INFINITY ? this.#loop(part, next) : next;
      for (let count = least; count < most && most !== Number.POSITIVE_INFINITY; count++)
        start = this.#step({ either: [next, part(start)] });
      for (let count = 0; count < least; count++) start = this.#step({ either: [part(start)] });
      return start;
    };
  }

  #loop(part: Part, next: State): State {
    const either = [next];
    const loop = this.#step({ either });
    either.push(part(loop));
    return loop;
  }

  #step(state: State): State {
    if (++this.#steps > MAX_STEPS) throw new NoPattern();
    return state;
  }

  #take(what: RegExp): string | undefined {
    what.lastIndex = this.#at;
    const found = what.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }
}

function taking(written: string): (character: string) => boolean {
  const literal = /^\\(\W)$/u.exec(written)?.[1] ?? /^[^.[\\]$/u.exec(written)?.[0];
  if (literal !== undefined) return (character) => character === literal;
  const one = new RegExp(`^${written}$`, "su");
  return (character) => one.test(character);
}

function countsOf(sign: string): [number, number] {
  if (sign === "?") return [0, 1];
  if (sign === "*") return [0, Number.POSITIVE_INFINITY];
  if (sign === "+") return [1, Number.POSITIVE_INFINITY];
  const [least = "", most = least] = sign.slice(1, -1).split(",");
  return [Number(least), most === "" ? Number.POSITIVE_INFINITY : Number(most)];
}
