/** Proxmox VE in the configuration: targets in the file, modules in pve.yml and in the variables PVE_…. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { ConfigError, problemText } from "../../src/config/error.ts";
import { type Environment, type FlagValues, load, type Program } from "../../src/config/load.ts";
import { Secret } from "../../src/config/secret.ts";

const FIXTURES = join(import.meta.dir, "../../fixtures/config");
const scratch = mkdtempSync(join(tmpdir(), "plumbline-config-pve-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const TARGETS = join(FIXTURES, "pve");
const MODULES = join(FIXTURES, "pve-yml");
const COLLECTORS = ["nvme", "pve-status", "pve-version", "pve-config", "pve-physical-disks", "pve-backups"];

const loaded = (flags: FlagValues, environment: Environment = {}, program: Program = "plumbline") =>
  load(flags, environment, COLLECTORS, program);
const pveOf = (path: string, program: Program = "plumbline", environment: Environment = {}) =>
  loaded({ "config.file": path }, environment, program).settings.pve;

const files = (folder: string, ending: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length));

function problemsOf(act: () => unknown): string[] {
  try {
    act();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(problemText);
    throw error;
  }
  throw new Error("accepted");
}

/** Secrets as their values, the settings that are not set left out. */
function revealed(value: unknown): unknown {
  if (value instanceof Secret) return value.reveal();
  if (value instanceof Map) return revealed(Object.fromEntries(value));
  if (Array.isArray(value)) return value.map(revealed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (inner === undefined ? [] : [[key, revealed(inner)]])),
  );
}

const expected = (folder: string, name: string): unknown =>
  JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8").replaceAll("DIRECTORY", folder));

describe("the targets of plumbline's file", () => {
  const good = join(TARGETS, "good");
  test.each(files(good, ".yaml"))("%s leads to the settings beside it", (name) => {
    const environment = { PVE_TOKEN: "token-of-a-variable" };
    expect(revealed(pveOf(join(good, `${name}.yaml`), "plumbline", environment))).toMatchObject(
      Object(expected(good, name)),
    );
  });

  const bad = join(TARGETS, "bad");
  test.each(files(bad, ".yaml"))("%s is refused with the error beside it", (name) => {
    const path = join(bad, `${name}.yaml`);
    const problems = problemsOf(() => pveOf(path)).join("\n");
    expect(`${problems.replaceAll(path, "FILE")}\n`).toBe(readFileSync(join(bad, `${name}.error`), "utf8"));
    expect(problems).not.toContain("planted");
  });

  test("a token that changed is a setting that changed, and never shown", () => {
    const [one, other, same] = ["planted-1", "planted-2", "planted-1"].map((text) => Secret.of(text));
    expect(isDeepStrictEqual(one, other)).toBe(false);
    expect(isDeepStrictEqual(one, same)).toBe(true);
    expect(JSON.stringify({ ...one })).not.toContain("planted");
  });
});

describe("pve.yml", () => {
  const good = join(MODULES, "good");
  test.each(files(good, ".yml"))(
    "%s gives the modules beside it, as --config.file and by modules_file",
    (name) => {
      const path = join(good, `${name}.yml`);
      const modules = expected(good, name);
      expect(revealed(pveOf(path).modules)).toEqual(modules);
      expect(revealed(pveOf(path, "pve_exporter").modules)).toEqual(modules);
      expect(revealed(loaded({ "pve.modules-file": path }).settings.pve.modules)).toEqual(modules);
    },
  );

  const bad = join(MODULES, "bad");
  test.each(files(bad, ".yml"))("%s is refused with the error beside it", (name) => {
    const path = join(bad, `${name}.yml`);
    const problems = problemsOf(() => pveOf(path, "pve_exporter")).join("\n");
    expect(`${problems.replaceAll(path, "FILE")}\n`).toBe(readFileSync(join(bad, `${name}.error`), "utf8"));
    expect(problems).not.toContain("planted");
  });
});

test("a modules_file that is missing is told by its setting", () => {
  expect(problemsOf(() => loaded({ "pve.modules-file": "/nowhere/pve.yml" }))).toEqual([
    "cannot read configuration file /nowhere/pve.yml: no such file; check pve.modules_file",
  ]);
});

describe("warnings", () => {
  const warningsOf = (path: string) => {
    const copy = join(scratch, "copy.yml");
    writeFileSync(copy, readFileSync(path));
    chmodSync(copy, 0o644);
    return loaded({ "config.file": copy }, { PVE_TOKEN: "t" }).warnings.map((text) =>
      text.replaceAll(copy, "FILE"),
    );
  };

  test("tell that everybody may read a file with a secret, and that a module goes to any host unverified", () => {
    expect(warningsOf(join(MODULES, "good/upstream.yml"))).toEqual([
      expect.stringMatching(/^module default has verify_ssl: false and pve\.allowed_targets is not set/),
      expect.stringMatching(/^module corporate has verify_ssl: false/),
      "FILE holds a token or password and may be read by everybody; chmod o-r FILE",
    ]);
  });

  test("say nothing of a token that stands in a variable", () => {
    expect(warningsOf(join(TARGETS, "good/token-in-a-variable.yaml"))).toEqual([]);
  });
});

describe("the variables PVE_…", () => {
  const path = join(MODULES, "good/upstream.yml");
  const variables = { PVE_USER: "a@pve", PVE_TOKEN_NAME: "m", PVE_TOKEN_VALUE: "t" };

  test("stand in the place of the whole pve.yml", () => {
    expect(revealed(pveOf(path, "pve_exporter", variables).modules)).toEqual({
      default: {
        credentials: { kind: "token", user: "a@pve", tokenName: "m", secret: "t" },
        tls: { verify: true },
        timeoutMs: 5000,
        port: 8006,
        pathPrefix: "",
      },
    });
  });

  test("mean nothing without PVE_USER", () => {
    const modules = pveOf(path, "pve_exporter", { PVE_PASSWORD: "x", PVE_MODULE: "other" }).modules;
    expect([...modules.keys()]).toEqual(["default", "corporate", "token"]);
  });

  test("PVE_MODULE names the module", () => {
    expect([...pveOf(path, "plumbline", { ...variables, PVE_MODULE: "lab" }).modules.keys()]).toEqual([
      "lab",
    ]);
  });

  test.each([
    ["false", false],
    ["False", false],
    ["0", false],
    ["true", true],
    ["no", true],
    ["", true],
  ])("PVE_VERIFY_SSL=%s means %p, as for prometheus-pve-exporter", (text, verify) => {
    const modules = loaded({}, { ...variables, PVE_VERIFY_SSL: text }).settings.pve.modules;
    expect(modules.get("default")?.tls.verify).toBe(verify);
  });

  test("a wrong one is told by its name, and without a secret", () => {
    expect(problemsOf(() => loaded({}, { ...variables, PVE_USER: "a" }))).toEqual([
      'PVE_USER must be a user with the realm, such as plumbline@pve; it is "a"',
    ]);
    expect(
      problemsOf(() => loaded({}, { ...variables, PVE_TOKEN_VALUE: "planted token" })).join(),
    ).not.toContain("planted");
    expect(problemsOf(() => loaded({}, { PVE_USER: "a@pve" }))).toEqual([
      "PVE_USER says nothing to log in with; set PVE_TOKEN_NAME and PVE_TOKEN_VALUE, or PVE_PASSWORD",
    ]);
  });
});

describe("called as pve_exporter", () => {
  const variables = { PVE_USER: "a@pve", PVE_PASSWORD: "p" };

  test("it listens at 9221 and collects nothing but what Proxmox VE tells", () => {
    const { settings, origins } = loaded({}, variables, "pve_exporter");
    expect(settings.web.listenAddresses).toEqual(["[::]:9221"]);
    expect(settings.collectors.chosen).toEqual({ nvme: false });
    expect(origins).toContainEqual({
      name: "web.listen_addresses",
      value: "[::]:9221",
      from: "default",
    });
  });

  test("a flag wins over its port", () => {
    expect(
      loaded({ "web.listen-address": [":1"] }, variables, "pve_exporter").settings.web.listenAddresses,
    ).toEqual([":1"]);
  });

  test("it reads /etc/prometheus/pve.yml where no file is named", () => {
    expect(loaded({}, variables, "pve_exporter").settings.configFile).toBe("/etc/prometheus/pve.yml");
  });
});

describe("prometheus-pve-exporter's flags", () => {
  test("--collector.NAME is --collector.pve-NAME", () => {
    expect(loaded({ "collector.version": false }).settings.collectors.chosen).toEqual({
      "pve-version": false,
    });
    expect(loaded({ "collector.pve-version": true }).settings.collectors.chosen).toEqual({
      "pve-version": true,
    });
  });

  test("its own metrics are off unless its flags switch them on", () => {
    expect(loaded({}).settings.pve).toMatchObject({ apiMetrics: false, targetMetrics: false });
    expect(
      loaded({ "collector.pve-api-metrics": true, "collector.target-metrics": true }).settings.pve,
    ).toMatchObject({ apiMetrics: true, targetMetrics: true });
  });
});
