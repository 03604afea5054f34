/** What a TypeScript source imports, and which of the architecture's rules it breaks. */
import { dirname, join } from "node:path";

/** Path below the repository → text. */
export type Sources = ReadonlyMap<string, string>;

interface Import {
  readonly from: string;
  /** A path below the repository for a relative import, else the specifier as it stands. */
  readonly to: string;
}

/** For each folder of src/ the folders that it may import from, beside itself. */
const BASE = ["host", "config", "metrics", "runtime", "log"];
/** Sources that ask a service over HTTP. */
const REST_BASE = ["rest", ...BASE];
const SOURCES = ["nvme", "csi", "mayastor", "pve"];
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "main.ts": ["commands"],
  commands: ["web", "textfile", "kubernetes", "demo", "scrape", ...SOURCES, ...BASE, "version.ts"],
  web: ["scrape", ...BASE, "version.ts"],
  textfile: ["scrape", ...BASE],
  kubernetes: ["scrape", ...REST_BASE],
  demo: ["scrape", ...SOURCES, ...BASE],
  scrape: [...SOURCES, ...BASE],
  nvme: BASE,
  csi: BASE,
  mayastor: REST_BASE,
  pve: REST_BASE,
  rest: BASE,
  host: BASE,
  config: BASE,
  metrics: BASE,
  runtime: BASE,
  log: BASE,
  "version.ts": [],
};

/** Every broken rule as a sentence; none: the sources are sound. */
export function violations(sources: Sources): string[] {
  const imports = [...sources].flatMap(([path, text]) => importsOf(path, text));
  return [
    ...imports.flatMap(forbiddenDirection),
    ...[...sources].flatMap(([path, text]) => namesRuntime(path, text)),
    ...[...sources].flatMap(([path, text]) => readsEnvironment(path, text)),
    ...cycles(imports),
  ];
}

function importsOf(from: string, text: string): Import[] {
  // Not Bun's transpiler: it drops imports of types alone, which count here as well.
  const specifiers = new Set<string>();
  const code = withoutComments(text);
  for (const match of code.matchAll(/\b(?:from|import)\s*\(?\s*(["'])([^"'\n]+)\1/g))
    specifiers.add(match[2] ?? "");
  for (const match of code.matchAll(/new URL\(\s*(["'])(\.[^"'\n]+)\1\s*,\s*import\.meta\.url/g)) {
    specifiers.add(match[2] ?? "");
  }
  return [...specifiers].map((specifier) => ({
    from,
    to: specifier.startsWith(".") ? join(dirname(from), specifier) : specifier,
  }));
}

/** `nvme` for src/nvme/pages/smart.ts, `main.ts` for src/main.ts, undefined for what is not below src/. */
function folder(path: string): string | undefined {
  return path.startsWith("src/") ? path.split("/")[1] : undefined;
}

function forbiddenDirection({ from, to }: Import): string[] {
  const importer = folder(from) ?? "";
  const imported = folder(to);
  const may = MAY_IMPORT[importer];
  if (may === undefined) return [`${from}: src/${importer} stands in no rule`];
  if (imported === undefined) {
    return to.startsWith("..") || /^(test|fixtures|\.ci)\//.test(to)
      ? [`${from} imports ${to}, which is not a source`]
      : [];
  }
  if (imported === importer || may.includes(imported)) return [];
  return [`${from} imports ${to}: ${importer} may not import ${imported}`];
}

function namesRuntime(path: string, text: string): string[] {
  if (folder(path) === "runtime") return [];
  const code = withoutStrings(withoutComments(text));
  const named =
    /\b(Bun|Deno)\b\s*[.[]/.exec(code)?.[0] ?? /["']bun(:[a-z]+)?["']/.exec(withoutComments(text))?.[0];
  return named === undefined ? [] : [`${path} names ${named}: only src/runtime may`];
}

function readsEnvironment(path: string, text: string): string[] {
  if (folder(path) === "config") return [];
  const code = withoutComments(text);
  const reads =
    /\bprocess\s*\??\.\s*env\b|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b|\bimport\s*\{[^}]*\benv\b[^}]*\}\s*from\s*["'](node:)?process["']/;
  return reads.test(code) ? [`${path} reads process.env: only src/config may`] : [];
}

/** Each cycle between folders once, as `a → b → a`. */
function cycles(imports: readonly Import[]): string[] {
  const edges = new Map<string, Set<string>>();
  for (const { from, to } of imports) {
    const [a, b] = [folder(from), folder(to)];
    if (a === undefined || b === undefined || a === b) continue;
    edges.set(a, (edges.get(a) ?? new Set()).add(b));
  }
  const found = new Set<string>();
  const walk = (trail: readonly string[]): void => {
    for (const next of edges.get(trail.at(-1) ?? "") ?? []) {
      const start = trail.indexOf(next);
      if (start < 0) walk([...trail, next]);
      else if (next === [...trail.slice(start)].sort()[0])
        found.add([...trail.slice(start), next].join(" → "));
    }
  };
  for (const start of edges.keys()) walk([start]);
  return [...found].map((cycle) => `folders import each other: ${cycle}`);
}

/** Good enough for our own formatter's output: strings that hold `//` are kept whole. */
function withoutComments(text: string): string {
  return text.replace(
    /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    "$1",
  );
}

function withoutStrings(code: string): string {
  return code.replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, '""');
}
