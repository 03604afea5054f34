/**
 * JSON as Perl writes it: the keys of an object come in any order, truth is 1 and falsehood 0 or "", and a number is a
 * text once somebody has looked at it as one.
 */

export type Types = "loose" | "usual";

/** `isText` says of a key whether its numbers and truths are texts. */
export function perlJson(value: unknown, isText: (key: string) => boolean, random: () => number): string {
  const write = (one: unknown, key: string): string => {
    if (typeof one === "boolean") return isText(key) ? (one ? '"1"' : '""') : one ? "1" : "0";
    if (typeof one === "number") return isText(key) ? `"${one}"` : `${one}`;
    if (Array.isArray(one)) return `[${one.map((item) => write(item, key)).join(",")}]`;
    if (typeof one !== "object" || one === null) return JSON.stringify(one);
    const members: string[] = [];
    for (const [name, inner] of Object.entries(one)) {
      if (inner !== undefined) members.push(`${JSON.stringify(name)}:${write(inner, name)}`);
    }
    return `{${shuffle(members, random).join(",")}}`;
  };
  return write(value, "");
}

/** Fisher–Yates, in place. */
export function shuffle<Item>(items: Item[], random: () => number): Item[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [items[i], items[j]];
    if (a !== undefined && b !== undefined) [items[i], items[j]] = [b, a];
  }
  return items;
}
