/** Names by patterns in which `*` stands for any characters: `ebs_*`. */

export const matchesAny = (globs: readonly string[], name: string): boolean =>
  globs.some((glob) => matches(glob, name));

function matches(glob: string, name: string): boolean {
  const [first = "", ...others] = glob.split("*");
  const last = others.pop();
  if (last === undefined) return name === glob;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  // As early as it can stand: that leaves most for those behind it.
  for (const part of others) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
