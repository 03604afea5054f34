/** Reads the configuration file: YAML in, a plain value and the places of its parts out. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { isAlias, isMap, isScalar, LineCounter, type Pair, type ParsedNode, parseDocument } from "yaml";
import { ConfigError, type Problem } from "./error.ts";

/** A configuration of this size is a mistake (a disk image, a log), and parsing it would stop the service. */
const MAX_BYTES = 1024 * 1024;
/** Aliases let a few dozen bytes stand for gigabytes: what they stand for is counted. */
const MAX_VALUES = 100_000;
/** Deeper than any setting; an alias inside its own anchor has no end at all. */
const MAX_DEPTH = 64;

export type Path = readonly (string | number)[];
export type Place = Pick<Problem, "file" | "line" | "column">;

export interface ConfigFile {
  /** Keys without a value (`web:` with all below it commented out) are left out. */
  readonly value: unknown;
  /** Where the key or list item at this path stands, or the nearest part above it that is there. */
  place(path: Path): Place;
}

/** A file of which also the rights are known. */
export interface ReadFile extends ConfigFile {
  readonly path: string;
  /** Whether it may be read by everybody on this host. */
  readonly isOpen: boolean;
}

/** `setting`: what names it. Throws ConfigError. */
export function readConfigFile(path: string, setting = "--config.file"): ReadFile {
  const { text, isOpen } = readText(path, setting);
  return { ...parseConfig(path, text), path, isOpen };
}

/** Throws ConfigError, which names `file`. */
export function parseConfig(file: string, text: string): ConfigFile {
  const lines = new LineCounter();
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const fail: Fail = (offset, problem) => {
    throw new ConfigError({ text: problem, ...at(offset) });
  };
  const places = new Map<string, number>();
  const value = plainValue(parseYaml(text, lines, fail), places, fail);
  return {
    value,
    place: (path) => {
      for (let length = path.length; length > 0; length--) {
        const offset = places.get(placeKey(path.slice(0, length)));
        if (offset !== undefined) return at(offset);
      }
      return at(0);
    },
  };
}

type Fail = (offset: number, problem: string) => never;

function parseYaml(text: string, lines: LineCounter, fail: Fail): ParsedNode | null {
  const tooDeep = "the values are nested too deeply to be read";
  try {
    // Duplicate keys are looked for below: the library's own search takes a minute for a file of 1 MiB.
    const options = { lineCounter: lines, prettyErrors: false, uniqueKeys: false, schema: "core" } as const;
    const document = parseDocument(text, options);
    const [problem] = [...document.errors, ...document.warnings];
    if (problem === undefined) return document.contents;
    const sentence = problem.message.includes("call stack")
      ? tooDeep
      : yamlProblem(problem.code, problem.message);
    return fail(problem.pos[0], sentence);
  } catch (error) {
    if (error instanceof RangeError) return fail(0, tooDeep);
    throw error;
  }
}

function yamlProblem(code: string, message: string): string {
  switch (code) {
    case "TAB_AS_INDENT":
      return "not valid YAML: a tab stands where YAML wants spaces; indent with spaces";
    case "MULTIPLE_DOCS":
      return 'the file holds more than one YAML document; keep one and remove the line "---" between them';
    default:
      return `not valid YAML: ${message.charAt(0).toLowerCase()}${message.slice(1).replace(/[.\s]+$/, "")}`;
  }
}

/** Turns the document into plain values and notes in `places` where each stands. */
function plainValue(root: ParsedNode | null, places: Map<string, number>, fail: Fail): unknown {
  const anchors = new Map<string, ParsedNode>();
  let values = 0;

  const convert = (node: ParsedNode | null, path: Path, offset: number): unknown => {
    if (node === null) return undefined;
    places.set(placeKey(path), offset);
    values++;
    if (values > MAX_VALUES)
      fail(offset, `the file holds more than ${MAX_VALUES} values, aliases counted as what they stand for`);
    if (path.length > MAX_DEPTH)
      fail(
        offset,
        `values are nested more than ${MAX_DEPTH} deep; an alias must not stand below its own anchor`,
      );
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (target === undefined)
        return fail(node.range[0], `the alias *${node.source} has no anchor &${node.source} above it`);
      return convert(target, path, offset);
    }
    if (node.anchor !== undefined) anchors.set(node.anchor, node);
    if (isScalar(node)) return node.value ?? undefined;
    if (isMap(node)) return convertMap(node.items, path);
    return node.items.map((item, index) => convert(item, [...path, index], item.range[0]));
  };

  const convertMap = (pairs: readonly Pair<ParsedNode, ParsedNode | null>[], path: Path): unknown => {
    const map = new Map<string, unknown>();
    for (const { key, value } of pairs) {
      const offset = key.range[0];
      if (!isScalar(key))
        return fail(offset, "a key must be a word, and this one is a list, a mapping or an alias");
      const name = String(key.value);
      if (map.has(name))
        fail(offset, `the key \`${name}\` stands twice in ${pathText(path)}; keep one of them`);
      map.set(name, convert(value, [...path, name], offset));
    }
    return Object.fromEntries([...map].filter(([, value]) => value !== undefined));
  };

  return convert(root, [], root?.range[0] ?? 0);
}

const placeKey = (path: Path) => JSON.stringify(path);

/** `pve.targets[0]` */
export function pathText(path: Path): string {
  if (path.length === 0) return "the file";
  return path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`))
    .join("");
}

/** Neither a FIFO nor a device may stop the start: the file is opened without waiting and must be a regular one. */
function readText(path: string, setting: string): { readonly text: string; readonly isOpen: boolean } {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(fd);
    const kind = kindOf(stats);
    if (kind !== undefined)
      throw new ConfigError({ text: `configuration file ${path} is ${kind}; name a regular file` });
    return { text: decode(path, readAtMost(fd, MAX_BYTES + 1)), isOpen: (stats.mode & 0o004) !== 0 };
  } catch (error) {
    throw error instanceof ConfigError ? error : new ConfigError({ text: cannotRead(path, setting, error) });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function kindOf(stats: Stats): string | undefined {
  if (stats.isFile()) return undefined;
  if (stats.isDirectory()) return "a directory";
  if (stats.isFIFO()) return "a pipe";
  if (stats.isSocket()) return "a socket";
  return "a device";
}

function readAtMost(fd: number, limit: number): Buffer {
  const buffer = Buffer.alloc(limit);
  let length = 0;
  while (length < limit) {
    const read = readSync(fd, buffer, length, limit - length, null);
    if (read === 0) break;
    length += read;
  }
  return buffer.subarray(0, length);
}

function decode(path: string, bytes: Buffer): string {
  if (bytes.length > MAX_BYTES)
    throw new ConfigError({
      text: `configuration file ${path} is larger than ${MAX_BYTES} bytes, which no configuration is; is it the right file?`,
    });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError({ text: `configuration file ${path} is not UTF-8 text; is it the right file?` });
  }
}

function cannotRead(path: string, setting: string, error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const start = `cannot read configuration file ${path}`;
  switch (code) {
    case "ENOENT":
      return `${start}: no such file; check ${setting}`;
    case "EACCES":
      return `${start}: permission denied; the user that runs plumbline must be allowed to read it`;
    case "ENXIO":
      return `configuration file ${path} is a socket or a device without a driver; name a regular file`;
    default:
      return `${start}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
