import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mountSmallDisk, noSmallDisk, type SmallDisk } from "../host/full-disk.ts";
import { describeUnless } from "../support/debian.ts";
import { type Process, start } from "./processes.ts";
import type { Behaviour, FakeRun } from "./with-fakes.ts";

const BOOT = "3f6c1d0e-5a52-4c8e-9a06-0123456789ab";

let root: string;
let directory: string;
let flags: Record<string, string | boolean>;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plumbline-textfile-"));
  directory = join(root, "textfile");
  mkdirSync(directory);
  boot(BOOT);
  flags = {
    "textfile.directory": directory,
    "state.directory": join(root, "state"),
    "path.procfs": join(root, "proc"),
    "node-name": "here",
    "scrape.timeout": "3s",
  };
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function boot(id: string): void {
  mkdirSync(join(root, "proc/sys/kernel/random"), { recursive: true });
  writeFileSync(join(root, "proc/sys/kernel/random/boot_id"), `${id}\n`);
}

const textfile = (collectors: FakeRun["collectors"], more: FakeRun["flags"] = {}): Process =>
  start({ command: "textfile", flags: { ...flags, ...more }, collectors });

async function ran(collectors: FakeRun["collectors"], more: FakeRun["flags"] = {}) {
  await using running = textfile(collectors, more);
  return { code: await running.exited, log: running.log() };
}

const written = (name = "plumbline.prom") => readFileSync(join(directory, name), "utf8");

function sample(series: string): number | undefined {
  const line = written()
    .split("\n")
    .find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe("plumbline textfile", () => {
  test("collects once and writes the file that node_exporter reads", async () => {
    expect(await ran({ a: "works" })).toEqual({
      code: 0,
      log: expect.stringContaining("collectors closed"),
    });
    expect(sample('fake_value{collector="a",node="here",item="0"}')).toBe(42);
    expect(sample('plumbline_collector_success{collector="a"}')).toBe(1);
    expect(statSync(join(directory, "plumbline.prom")).mode & 0o777).toBe(0o644);
    expect(readdirSync(directory).sort()).toEqual([".plumbline.prom.lock", "plumbline.prom"]);
  });

  test("writes text format 0.0.4: one HELP and TYPE a family, no timestamps, no name of node_exporter's own", async () => {
    await ran({ a: "works", b: "works" });
    const lines = written().trimEnd().split("\n");
    const helps = lines.filter((line) => line.startsWith("# HELP ")).map((line) => line.split(" ")[2]);
    const types = lines.filter((line) => line.startsWith("# TYPE ")).map((line) => line.split(" ")[2]);
    expect(helps).toEqual(types);
    expect(new Set(helps).size).toBe(helps.length);
    expect(helps.filter((name) => /^(process|go|promhttp|node)_/.test(name ?? ""))).toEqual([]);
    for (const line of lines.filter((one) => !one.startsWith("#")))
      expect(line).toMatch(/^[a-z_]+(\{.*\})? [^ ]+$/);
  });

  test("says so where there was nothing to collect", async () => {
    expect(await ran({})).toEqual({ code: 0, log: expect.stringContaining("no collector is enabled") });
  });

  test("says when it collected", async () => {
    const before = Date.now() / 1000;
    await ran({});
    const at = sample("plumbline_textfile_last_collection_timestamp_seconds") ?? 0;
    expect(at).toBeGreaterThanOrEqual(before);
    expect(at).toBeLessThanOrEqual(Date.now() / 1000);
  });

  const failures: [Behaviour, string][] = [
    ["fails", "no such node"],
    ["throws a string", "threw boom"],
    ["hangs", "not done after"],
  ];
  test.each(failures)(
    "leaves out a collector that %s, with success 0; what the others read is new",
    async (how, why) => {
      await ran({ a: "works", bad: "works" });
      const { code, log } = await ran(
        { a: "works", bad: how },
        { "node-name": "new", "scrape.timeout": "1s" },
      );
      expect(code).toBe(0);
      expect(log).toContain(why);
      expect(sample('fake_value{collector="a",node="new",item="0"}')).toBe(42);
      expect(written()).not.toContain('fake_value{collector="bad"');
      expect(sample('plumbline_collector_success{collector="bad"}')).toBe(0);
      expect(sample('plumbline_collector_success{collector="a"}')).toBe(1);
    },
  );

  test("keeps what a collector read in part, with success 0", async () => {
    expect((await ran({ a: "part" })).code).toBe(0);
    expect(sample('fake_value{collector="a",node="here",item="0"}')).toBe(42);
    expect(sample('plumbline_collector_success{collector="a"}')).toBe(0);
  });

  test("with --textfile.strict exits 3 after writing when a collector failed, and 0 when none did", async () => {
    const strict = { "textfile.strict": true };
    expect((await ran({ a: "works", bad: "fails" }, strict)).code).toBe(3);
    expect(sample('plumbline_collector_success{collector="bad"}')).toBe(0);
    expect((await ran({ a: "works" }, strict)).code).toBe(0);
  });

  test("writes another name next to it where one is given", async () => {
    expect((await ran({ a: "works" }, { "textfile.name": "storage.prom" })).code).toBe(0);
    expect(written("storage.prom")).toContain("fake_value");
  });
});

describe("plumbline textfile, wrongly used,", () => {
  test("without a directory exits 2", async () => {
    const { "textfile.directory": _, ...others } = flags;
    await using running = start({ command: "textfile", flags: others, collectors: {} });
    expect(await running.exited).toBe(2);
    expect(running.log()).toContain("--textfile.directory");
  });

  test.each(["../x.prom", "a/b.prom", ".prom", ".hidden.prom", "x.txt", "x.prom/", ""])(
    'with the name "%s" exits 2 and writes nothing',
    (name) => {
      const main = join(import.meta.dir, "../../src/main.ts");
      const words = ["textfile", `--textfile.directory=${directory}`, `--textfile.name=${name}`];
      const { exitCode, stderr } = Bun.spawnSync([process.execPath, main, ...words]);
      expect(exitCode).toBe(2);
      expect(stderr.toString()).toContain("--textfile.name must be a file name that ends in .prom");
      expect(readdirSync(directory)).toEqual([]);
    },
  );

  test("into a directory that is missing exits 1 and names it", async () => {
    const missing = join(root, "none");
    const { code, log } = await ran({ a: "works" }, { "textfile.directory": missing });
    expect(code).toBe(1);
    expect(log).toContain(missing);
    expect(log).toContain("is no directory");
  });

  test("into a directory that cannot be reached exits 1 with the reason", async () => {
    writeFileSync(join(root, "file"), "");
    symlinkSync("loop", join(root, "loop"));
    for (const [name, why] of [
      ["file/below", "not a directory"],
      ["loop", "too many symbolic links"],
    ] as const) {
      const unreachable = join(root, name);
      const { code, log } = await ran({ a: "works" }, { "textfile.directory": unreachable });
      expect(code).toBe(1);
      expect(log).toContain(`level=error msg="nothing was written`);
      expect(log).toContain(unreachable);
      expect(log).toContain(why);
    }
  });
});

describe("from run to run", () => {
  test("what the exporter counts goes on", async () => {
    for (let count = 1; count <= 3; count++) {
      await ran({ a: "works", bad: "hangs" }, { "scrape.timeout": "200ms" });
      expect(sample('fake_readings_total{collector="a"}')).toBe(count);
      expect(sample('plumbline_collector_timeout_total{collector="bad"}')).toBe(count);
    }
    expect(statSync(join(root, "state/plumbline-state.json")).mode & 0o777).toBe(0o600);
  });

  test("what a collector counted goes on after a run without it", async () => {
    await ran({ a: "works" });
    await ran({});
    await ran({ a: "works" });
    expect(sample('fake_readings_total{collector="a"}')).toBe(2);
  });

  test("counters start from zero after a boot", async () => {
    await ran({ a: "works" });
    boot("ba987654-5a52-4c8e-9a06-ba9876543210");
    expect((await ran({ a: "works" })).code).toBe(0);
    expect(sample('fake_readings_total{collector="a"}')).toBe(1);
  });

  test("corrupt state costs a warning and the counts so far", async () => {
    await ran({ a: "works" });
    writeFileSync(join(root, "state/plumbline-state.json"), "{half", { mode: 0o600 });
    const { code, log } = await ran({ a: "works" });
    expect([code, log]).toEqual([0, expect.stringContaining("counters start from zero")]);
    expect(sample('fake_readings_total{collector="a"}')).toBe(1);
    await ran({ a: "works" });
    expect(sample('fake_readings_total{collector="a"}')).toBe(2);
  });

  test("a clock that jumped back writes the time of now, and counters go on", async () => {
    await ran({ a: "works" });
    const state = join(root, "state/plumbline-state.json");
    const tomorrow = Date.now() / 1000 + 86_400;
    writeFileSync(state, readFileSync(state, "utf8").replace(/"value":1\d{9}\.?\d*/, `"value":${tomorrow}`));
    expect(readFileSync(state, "utf8")).toContain(String(tomorrow));
    for (const path of [state, join(directory, "plumbline.prom")]) utimesSync(path, tomorrow, tomorrow);
    const { code } = await ran({ a: "works" });
    expect(code).toBe(0);
    expect(sample("plumbline_textfile_last_collection_timestamp_seconds")).toBeLessThan(tomorrow - 3600);
    expect(sample('fake_readings_total{collector="a"}')).toBe(2);
  });

  test("a state directory that cannot be made costs a warning and continuity, not the file", async () => {
    writeFileSync(join(root, "file"), "");
    for (let run = 0; run < 2; run++) {
      const { code, log } = await ran({ a: "works" }, { "state.directory": join(root, "file/state") });
      expect(code).toBe(0);
      expect(log).toContain("the state directory cannot be used");
      expect(sample('fake_readings_total{collector="a"}')).toBe(1);
    }
  });
});

describe("two runs at once", () => {
  test("write one after the other", async () => {
    const runs = [1, 2, 3].map(() => textfile({ a: "slow" }, { "scrape.timeout": "10s" }));
    expect(await Promise.all(runs.map(({ exited }) => exited))).toEqual([0, 0, 0]);
    expect(sample('fake_readings_total{collector="a"}')).toBe(3);
  }, 30_000);

  test("end with a message where the first takes longer than the second may wait", async () => {
    await using first = textfile({ a: "hangs" }, { "scrape.timeout": "20s" });
    while (!existsSync(join(directory, ".plumbline.prom.lock"))) await Bun.sleep(10);
    const before = performance.now();
    const { code, log } = await ran({ a: "works" }, { "scrape.timeout": "300ms" });
    expect(code).toBe(1);
    expect(log).toContain("another plumbline textfile has been running");
    expect(performance.now() - before).toBeGreaterThan(300);
    expect(existsSync(join(directory, "plumbline.prom"))).toBe(false);
    first.kill("SIGKILL");
    await first.exited;
    expect((await ran({ a: "works" })).code).toBe(0);
  }, 20_000);

  test("do not follow a symbolic link that stands in place of the lock", async () => {
    const target = join(root, "precious");
    expect(Bun.spawnSync(["ln", "-s", target, join(directory, ".plumbline.prom.lock")]).exitCode).toBe(0);
    expect((await ran({ a: "works" })).code).toBe(1);
    expect(existsSync(target)).toBe(false);
  });
});

describe("a run that is killed", () => {
  test("leaves a lock that the next one takes over", async () => {
    writeFileSync(join(directory, ".plumbline.prom.lock"), "4194304\n");
    expect((await ran({ a: "works" })).code).toBe(0);
  });

  test("at any point leaves the old file or the new one, whole, and the next run works", async () => {
    await ran({ a: "big" }, { "node-name": "old" });
    const whole = (text: string) =>
      text.split("\n").filter((line) => line.startsWith("fake_value{")).length === 2000 &&
      text.endsWith("\n");
    for (let kill = 0; kill < 10; kill++) {
      await using running = textfile({ a: "big" }, { "node-name": `run-${kill}` });
      await Bun.sleep(60 + kill * 25);
      running.kill("SIGKILL");
      await running.exited;
      expect(whole(written())).toBe(true);
      expect(readdirSync(directory).filter((name) => name.endsWith(".prom"))).toEqual(["plumbline.prom"]);
    }
    expect((await ran({ a: "big" }, { "node-name": "last" })).code).toBe(0);
    expect(written()).toContain('node="last"');
  }, 30_000);
});

describeUnless(noSmallDisk(), "on a bad disk", () => {
  let disk: SmallDisk;
  beforeEach(() => {
    disk = mountSmallDisk();
  });
  afterEach(() => disk.remove());

  test("a run leaves the old file and exits 1 where there is no room, and where nothing may be written", async () => {
    const into = { "textfile.directory": disk.path };
    expect((await ran({ a: "works" }, into)).code).toBe(0);
    const old = readFileSync(join(disk.path, "plumbline.prom"), "utf8");
    disk.fill();
    const full = await ran({ a: "big" }, into);
    expect([full.code, full.log]).toEqual([1, expect.stringContaining("no space left on device")]);
    disk.makeReadOnly();
    const readOnly = await ran({ a: "works" }, into);
    expect([readOnly.code, readOnly.log]).toEqual([1, expect.stringMatching(/EROFS|read-only/)]);
    expect(readFileSync(join(disk.path, "plumbline.prom"), "utf8")).toBe(old);
    // Counters went on although the file could not follow.
    expect((await ran({ a: "works" })).code).toBe(0);
    expect(sample('fake_readings_total{collector="a"}')).toBe(3);
  }, 20_000);
});
