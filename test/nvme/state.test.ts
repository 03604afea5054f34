import { afterEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type DeltaCounters, DeltaStore } from "../../src/nvme/delta.ts";
import type { Controller } from "../../src/nvme/model.ts";
import { NvmeState } from "../../src/nvme/state.ts";

const BOOT = "11111111-1111-4111-8111-111111111111";
const OTHER_BOOT = "22222222-2222-4222-8222-222222222222";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

/** A state directory, and a procfs in which this process is 100 and began at tick 5000. */
class Machine {
  readonly directory = mkdtempSync(join(tmpdir(), "plumbline-state-"));
  readonly procfs = join(this.directory, "proc");
  readonly file = join(this.directory, "ebs-state.json");

  constructor() {
    directories.push(this.directory);
    this.boot(BOOT);
    this.uptime(1000);
    this.process("self", 100, 5000);
    this.process("100", 100, 5000);
  }

  boot(id: string): void {
    this.#write("sys/kernel/random/boot_id", `${id}\n`);
  }

  uptime(seconds: number): void {
    this.#write("uptime", `${seconds.toFixed(2)} 4000.00\n`);
  }

  /** As proc(5) tells it, with a name that tries to look like more fields. */
  process(name: string, pid: number, start: number): void {
    const fields = ["D", ...Array.from({ length: 18 }, (_, i) => `${i}`), `${start}`, "1 2 3"];
    this.#write(`${name}/stat`, `${pid} (plumb) line (1) ${fields.join(" ")}\n`);
  }

  end(pid: number): void {
    rmSync(join(this.procfs, `${pid}`), { recursive: true });
  }

  open(deltas = new DeltaStore()): NvmeState {
    return new NvmeState(this.directory, this.procfs, deltas);
  }

  #write(name: string, text: string): void {
    mkdirSync(dirname(join(this.procfs, name)), { recursive: true });
    writeFileSync(join(this.procfs, name), text);
  }
}

const controller = (serial = "vol1"): Controller => ({
  name: "nvme1",
  model: "",
  serial,
  firmware: "",
  transport: "",
  subsystemNqn: "",
  state: "live",
  dev: "245:1",
  namespaces: [],
});

function countersOf(volumeIopsExceededUs: bigint): DeltaCounters {
  return {
    readOps: 18_446_744_073_709_551_615n,
    writeOps: 0n,
    readBytes: 0n,
    writeBytes: 0n,
    readTimeUs: 0n,
    writeTimeUs: 0n,
    volumeIopsExceededUs,
    volumeThroughputExceededUs: 0n,
    instanceIopsExceededUs: 0n,
    instanceThroughputExceededUs: 0n,
  };
}

/** Reads 1 s exceeded, 30 s before now, and leaves that to the next run. */
function firstRun(machine: Machine): void {
  const deltas = new DeltaStore();
  const state = machine.open(deltas);
  expect(deltas.observe("nvme1", "vol1", countersOf(1_000_000n), performance.now() - 30_000)).toBeUndefined();
  state.save(deltas, [], []);
}

/** Reads 4 s exceeded now. */
function secondRun(machine: Machine) {
  const deltas = new DeltaStore();
  const state = machine.open(deltas);
  const exceeded = deltas.observe("nvme1", "vol1", countersOf(4_000_000n), performance.now());
  return { state, deltas, exceeded };
}

describe("what the next run goes on from", () => {
  test("is the last reading: 3 s in 30 s are 10 percent", () => {
    const machine = new Machine();
    firstRun(machine);
    const { state, exceeded } = secondRun(machine);
    expect(state.fault).toBeUndefined();
    expect(exceeded?.volumeIops.check).toBe(1);
    expect(exceeded?.volumeIops.percent).toBeCloseTo(10, 1);
    expect(exceeded?.intervalSeconds).toBeCloseTo(30, 1);
  });

  test("are all digits of the counters, in a file that is its owner's alone", () => {
    const machine = new Machine();
    firstRun(machine);
    expect(readFileSync(machine.file, "utf8")).toContain('"readOps":"18446744073709551615"');
    expect(statSync(machine.file).mode & 0o777).toBe(0o600);
  });

  test("are the pages that devices do not have", () => {
    const machine = new Machine();
    const lacking = [
      { controller: "nvme1", serial: "vol1", firmware: "1.0", pages: ["ebs" as const, "smart" as const] },
    ];
    machine.open().save(new DeltaStore(), lacking, []);
    expect(machine.open().unsupported).toEqual(lacking);
  });
});

describe("a first reading is all there is", () => {
  test("without a file, which is no fault", () => {
    const { state, exceeded } = secondRun(new Machine());
    expect(state.fault).toBeUndefined();
    expect(exceeded).toBeUndefined();
  });

  test("after another boot, which is no fault", () => {
    const machine = new Machine();
    firstRun(machine);
    machine.boot(OTHER_BOOT);
    const { state, exceeded } = secondRun(machine);
    expect(state.fault).toBeUndefined();
    expect(exceeded).toBeUndefined();
  });

  test("where the last one is of the future", () => {
    const machine = new Machine();
    firstRun(machine);
    machine.uptime(900);
    expect(secondRun(machine).exceeded).toBeUndefined();
  });

  const damaged: [string, string][] = [
    ["cut", '{"boot_id":"'],
    ["empty", ""],
    ["of another form", `{"boot_id":"${BOOT}","state":{"deltas":[]}}`],
    ["too big", `"${"x".repeat(1024 * 1024)}"`],
  ];
  test.each(damaged)("where the file is %s, which is a fault, and it is written anew", (_case, text) => {
    const machine = new Machine();
    writeFileSync(machine.file, text, { mode: 0o600 });
    const { state, deltas, exceeded } = secondRun(machine);
    expect(state.fault).toContain(machine.file);
    expect(exceeded).toBeUndefined();
    state.save(deltas, [], []);
    expect(machine.open().fault).toBeUndefined();
  });

  test("where the file is another's, which is a fault, and it is left as it is", () => {
    const machine = new Machine();
    const target = join(machine.directory, "target");
    writeFileSync(target, "precious");
    symlinkSync(target, machine.file);
    const { state, deltas } = secondRun(machine);
    expect(state.fault).toContain("symbolic link");
    state.save(deltas, [], []);
    expect(readFileSync(machine.file, "utf8")).toBe("precious");
    expect(readFileSync(target, "utf8")).toBe("precious");
  });

  test("where others may write the file", () => {
    const machine = new Machine();
    firstRun(machine);
    chmodSync(machine.file, 0o622);
    const { state, exceeded } = secondRun(machine);
    expect(state.fault).toContain(machine.file);
    expect(exceeded).toBeUndefined();
  });

  test("where the kernel does not tell which boot this is, and then nothing is written", () => {
    const machine = new Machine();
    rmSync(join(machine.procfs, "sys"), { recursive: true });
    const { state, deltas } = secondRun(machine);
    expect(state.fault).toContain("which boot this is");
    state.save(deltas, [], []);
    expect(existsSync(machine.file)).toBe(false);
  });
});

describe("a command that hangs", () => {
  /** It was sent 5 s before the end of its run. */
  function hangingRun(machine: Machine): void {
    const sentAt = performance.now() - 5000;
    machine.open().save(new DeltaStore(), [], [{ controller: "nvme1", serial: "vol1", sentAt }]);
  }

  test("keeps the next run off that device, and off no other", () => {
    const machine = new Machine();
    hangingRun(machine);
    machine.end(100);
    machine.uptime(1030);
    const state = machine.open();
    expect(state.hangs(controller())).toBe(true);
    expect(state.hangs(controller("vol2"))).toBe(false);
    expect(state.hangs({ ...controller(), name: "nvme2" })).toBe(false);
  });

  test("does so for as long as its process is there, which cannot end before its thread", () => {
    const machine = new Machine();
    hangingRun(machine);
    machine.uptime(2000);
    expect(machine.open().hangs(controller())).toBe(true);
    machine.process("100", 100, 190_000);
    expect(machine.open().hangs(controller())).toBe(false);
  });

  test("is over 65 s after it was sent where its process has gone", () => {
    const machine = new Machine();
    hangingRun(machine);
    machine.end(100);
    machine.uptime(1059);
    const state = machine.open();
    expect(state.hangs(controller())).toBe(true);
    machine.uptime(1061);
    expect(state.hangs(controller())).toBe(false);
  });

  test("is handed on from run to run while it lasts", () => {
    const machine = new Machine();
    hangingRun(machine);
    machine.uptime(2000);
    machine.open().save(new DeltaStore(), [], []);
    expect(machine.open().hangs(controller())).toBe(true);
    machine.end(100);
    machine.open().save(new DeltaStore(), [], []);
    machine.process("100", 100, 5000);
    expect(machine.open().hangs(controller())).toBe(false);
  });

  test("of the future is of another clock", () => {
    const machine = new Machine();
    hangingRun(machine);
    machine.uptime(10);
    expect(machine.open().hangs(controller())).toBe(false);
  });
});
