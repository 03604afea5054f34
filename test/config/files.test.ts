import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { ConfigError } from "../../src/config/error.ts";
import { load } from "../../src/config/load.ts";

const FIXTURES = join(import.meta.dir, "../../fixtures/config");
const COLLECTORS = ["nvme", "ebs", "instance_store"];
const scratch = mkdtempSync(join(tmpdir(), "plumbline-config-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const namesIn = (folder: string) =>
  readdirSync(join(FIXTURES, folder))
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => name.slice(0, -".yaml".length));

const loadFile = (path: string) => load({ "config.file": path }, {}, COLLECTORS);

function errorOf(path: string): ConfigError {
  try {
    loadFile(path);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error(`${path} was accepted`);
}

/** Writes a file for one test. */
function file(name: string, content: string | Uint8Array): string {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
}

/** Root may read everything: for it `act` runs as nobody. */
function asOrdinaryUser<T>(act: () => T): T {
  if (process.geteuid?.() !== 0) return act();
  process.seteuid?.(65534);
  try {
    return act();
  } finally {
    process.seteuid?.(0);
  }
}

describe("a good configuration file", () => {
  test.each(namesIn("good"))("%s leads to the settings beside it", (name) => {
    const expected = JSON.parse(readFileSync(join(FIXTURES, "good", `${name}.json`), "utf8"));
    expect(loadFile(join(FIXTURES, "good", `${name}.yaml`)).settings).toMatchObject(expected);
  });

  test("the web configuration file lies beside it if its path is relative", () => {
    const path = file("relative.yaml", "web: {config_file: tls/web.yaml}");
    expect(loadFile(path).settings.web.configFile).toBe(join(scratch, "tls/web.yaml"));
  });

  test("one of almost 1 MiB is read", () => {
    const path = file("large.yaml", `${"# a long comment about storage\n".repeat(33_000)}node_name: a\n`);
    expect(loadFile(path).settings.nodeName).toBe("a");
  });
});

describe("a bad configuration file", () => {
  test.each(namesIn("bad"))("%s is refused with the error beside it", (name) => {
    const path = join(FIXTURES, "bad", `${name}.yaml`);
    const expected = readFileSync(join(FIXTURES, "bad", `${name}.error`), "utf8");
    expect(`${errorOf(path).message.replaceAll(path, "FILE")}\n`).toBe(expected);
  });

  test("several problems are all kept, in the order of the file", () => {
    const { problems } = errorOf(join(FIXTURES, "bad/several-problems.yaml"));
    expect(problems.map(({ line, column }) => [line, column])).toEqual([
      [2, 3],
      [3, 3],
      [5, 3],
    ]);
  });

  test("one that is missing is named, with the flag that named it", () => {
    expect(errorOf("/nowhere/plumbline.yaml").message).toBe(
      "cannot read configuration file /nowhere/plumbline.yaml: no such file; check --config.file",
    );
  });

  test("one of 10 MB is refused without being parsed", () => {
    const path = file("huge.yaml", Buffer.alloc(10_000_000, "a: 1\n"));
    expect(errorOf(path).message).toBe(
      `configuration file ${path} is larger than 1048576 bytes, which no configuration is; is it the right file?`,
    );
  });

  test("60,000 keys take no minute to compare", () => {
    const path = file("many.yaml", Array.from({ length: 60_000 }, (_, index) => `key${index}: 1\n`).join(""));
    expect(errorOf(path).problems).toHaveLength(60_000);
  });

  test.each([
    ["[", 100_000],
    ["- ", 100_000],
    ["? ", 100_000],
    ["{a: ", 50_000],
    ["- ", 70],
  ])("%j nested %d times is an error and no stack overflow", (opening, times) => {
    expect(errorOf(file("deep.yaml", opening.repeat(times))).message).toMatch(/nested|not valid YAML/);
  });

  test("a pipe does not stop the start", () => {
    const path = join(scratch, "pipe.yaml");
    spawnSync("mkfifo", [path]);
    expect(errorOf(path).message).toBe(`configuration file ${path} is a pipe; name a regular file`);
  });

  test("a device does not stop the start", () => {
    expect(errorOf("/dev/zero").message).toBe(
      "configuration file /dev/zero is a device; name a regular file",
    );
  });

  test("one that may not be read says who must be allowed to", () => {
    const path = file("secret.yaml", "");
    chmodSync(scratch, 0o755);
    chmodSync(path, 0o000);
    expect(asOrdinaryUser(() => errorOf(path).message)).toBe(
      `cannot read configuration file ${path}: permission denied; the user that runs plumbline must be allowed to read it`,
    );
  });

  test("a path through a file is an error", () => {
    const path = join(file("plain", ""), "plumbline.yaml");
    expect(errorOf(path).message).toStartWith(`cannot read configuration file ${path}: `);
  });
});

/** Pieces from which texts that look like a configuration are made. */
const PIECES = fc.constantFrom(
  ..."web log collectors nvme level path: : , - ? [ ] { } & * *a &a !!str ' \" | > # % --- ... <<: null true 1e999 0x1f -1 10s".split(
    " ",
  ),
  ..."\n \n  \t \r\n \u0000 \u2028 \ud800 \ufeff".split(" "),
  "\n",
  "\n  ",
  "web:\n  listen_addresses: ",
  "scrape: {timeout: ",
);

describe("any configuration text", () => {
  const settled = (path: string) => {
    try {
      return typeof loadFile(path).settings.web.maxRequests;
    } catch (error) {
      return error instanceof ConfigError && error.message !== "" ? "number" : error;
    }
  };

  test("made of YAML's own pieces gives settings or one ConfigError", () => {
    const path = join(scratch, "any.yaml");
    fc.assert(
      fc.property(fc.array(PIECES, { maxLength: 40 }), (pieces) => {
        writeFileSync(path, pieces.join(""));
        expect(settled(path)).toBe("number");
      }),
      { numRuns: 1000 },
    );
  });

  test("made of any bytes gives settings or one ConfigError", () => {
    const path = join(scratch, "bytes.yaml");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        writeFileSync(path, bytes);
        expect(settled(path)).toBe("number");
      }),
      { numRuns: 500 },
    );
  });

  test("that is the JSON of any value gives settings or one ConfigError", () => {
    const path = join(scratch, "json.yaml");
    const sections = fc.constantFrom("web", "scrape", "collectors", "log", "node_name", "__proto__", "x");
    fc.assert(
      fc.property(fc.dictionary(sections, fc.jsonValue()), (value) => {
        writeFileSync(path, JSON.stringify(value));
        expect(settled(path)).toBe("number");
      }),
      { numRuns: 500 },
    );
  });
});
