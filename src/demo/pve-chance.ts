/** Chance that is the same each time: all that differs between things of a simulated cluster comes from its seed. */

/** In [0, 1); decided by the seed and the words. */
export function chance(seed: number, ...words: readonly (string | number)[]): number {
  return mixed(hash(seed, words.join("\0"))) / 2 ** 32;
}

/** A source of numbers in [0, 1): mulberry32. */
export function randomOf(seed: number, word: string): () => number {
  let state = hash(seed, word);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Swings between 0 and 1 once in `everySeconds`; `phase`, in [0, 1), says where it is at the second 0. */
export const wave = (phase: number, everySeconds: number, seconds: number): number =>
  0.5 + 0.5 * Math.sin(2 * Math.PI * (phase + seconds / everySeconds));

export function picked<Item>(items: readonly [Item, ...Item[]], share: number): Item {
  return items[Math.floor(share * items.length)] ?? items[0];
}

/** FNV-1a. */
function hash(seed: number, text: string): number {
  let value = 0x811c9dc5 ^ Math.imul(seed, 0x9e3779b1);
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/** The finaliser of MurmurHash3: words that differ in their last letter come out far apart. */
function mixed(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
