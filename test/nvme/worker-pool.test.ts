import { afterEach, expect, test } from "bun:test";
import { FaultLog } from "../../src/log/faults.ts";
import { identifyController, smartLog } from "../../src/nvme/commands.ts";
import type { CommandRequest } from "../../src/nvme/worker.ts";
import { WorkerPool } from "../../src/nvme/worker-pool.ts";
import {
  drive,
  HANGING_WORKER,
  RecordedLog,
  SimulatedHost,
  wait,
  waitUntil,
} from "../support/nvme-simulated-host.ts";

const hosts: SimulatedHost[] = [];
afterEach(() => {
  for (const host of hosts.splice(0)) host.close();
});

function simulate(count: number): SimulatedHost {
  const host = new SimulatedHost(Array.from({ length: count }, (_, number) => drive(number)));
  hosts.push(host);
  return host;
}

const request = (host: SimulatedHost, number: number, command = smartLog()): CommandRequest => ({
  path: `${host.devfs}/nvme${number}`,
  dev: host.devices().list()[number]?.dev ?? "",
  command: command.bytes,
  length: command.length,
});

test("no thread is started before the first command, and one is enough for devices that answer", async () => {
  const host = simulate(8);
  expect(host.pool.size.threads).toBe(0);
  const runs = Array.from({ length: 8 }, (_, number) => host.pool.run(request(host, number)));
  const kinds = await Promise.all(runs.map(async ({ answered }) => (await answered).result.kind));
  expect(new Set(kinds)).toEqual(new Set(["page"]));
  expect(host.pool.size.threads).toBe(1);
});

test("a thread that hangs is left behind and replaced, and its late answer ends that", async () => {
  const host = simulate(2);
  host.hang("nvme0");
  const hanging = host.pool.run(request(host, 0));
  await waitUntil(() => host.commands().length === 1);
  hanging.giveUp();
  expect((await hanging.answered).result.kind).toBe("timeout");
  expect(host.pool.size).toEqual({ threads: 1, leftBehind: 1 });
  expect((await host.pool.run(request(host, 1)).answered).result.kind).toBe("page");
  expect(host.pool.size).toEqual({ threads: 2, leftBehind: 1 });
  host.release("nvme0");
  await hanging.returned;
  expect(host.pool.size.leftBehind).toBe(0);
});

test("commands that stand behind one that hangs go to another thread, once each", async () => {
  const host = simulate(4);
  host.hang("nvme0");
  const runs = [0, 1, 2, 3].map((number) => host.pool.run(request(host, number)));
  const others = await Promise.all(runs.slice(1).map(async ({ answered }) => (await answered).result.kind));
  expect(others).toEqual(["page", "page", "page"]);
  host.release("nvme0");
  expect((await runs[0]?.answered)?.result.kind).toBe("page");
  expect((await host.pool.run(request(host, 1)).answered).result.kind).toBe("page");
  const devices = host.commands().map(({ dev }) => dev.split(":")[1]);
  expect(devices.sort()).toEqual(["0", "1", "1", "2", "3"]);
});

test("at most 16 threads that hang are replaced; then a command is refused at once", async () => {
  const host = simulate(21);
  const numbers = Array.from({ length: 20 }, (_, number) => number);
  for (const number of numbers) host.hang(`nvme${number}`);
  const runs = numbers.map((number) => host.pool.run(request(host, number)));
  await waitUntil(() => host.commands().length === 20);
  for (const run of runs) run.giveUp();
  expect(host.pool.size).toEqual({ threads: 20, leftBehind: 20 });

  const refused = host.pool.run(request(host, 20));
  expect((await refused.answered).result.kind).toBe("busy");
  expect(refused.sent).toBe(false);
  expect(host.pool.size.threads).toBe(20);

  for (const number of numbers) host.release(`nvme${number}`);
  await Promise.all(runs.map(({ returned }) => returned));
  expect((await host.pool.run(request(host, 20)).answered).result.kind).toBe("page");
});

test("threads that are no longer needed are ended, but for one", async () => {
  const host = simulate(2);
  const pool = new WorkerPool(HANGING_WORKER, new FaultLog(host.log), { idleMs: 100 });
  host.hang("nvme0");
  const hanging = pool.run(request(host, 0));
  await waitUntil(() => host.commands().length === 1);
  expect((await pool.run(request(host, 1)).answered).result.kind).toBe("page");
  expect(pool.size.threads).toBe(2);
  host.release("nvme0");
  await hanging.answered;
  for (let i = 0; i < 2; i++) {
    await wait(120);
    expect((await pool.run(request(host, 1)).answered).result.kind).toBe("page");
  }
  expect(pool.size.threads).toBe(1);
  pool.close();
});

test("a command that no thread has taken is taken back without a trace", async () => {
  const host = simulate(1);
  const run = host.pool.run(request(host, 0));
  run.giveUp();
  expect((await run.answered).result.kind).toBe("timeout");
  await run.returned;
  expect(run.sent).toBe(false);
  expect((await host.pool.run(request(host, 0, identifyController())).answered).result.kind).toBe("status");
  expect(host.commands().map(({ opcode }) => opcode)).toEqual([6]);
});

test("a Worker that cannot start fails its commands, says why once, and is not tried in a loop", async () => {
  const log = new RecordedLog();
  const pool = new WorkerPool(new URL("./no-such-worker.ts", HANGING_WORKER), new FaultLog(log));
  const host = simulate(1);
  for (let i = 0; i < 3; i++) {
    expect((await pool.run(request(host, 0)).answered).result).toMatchObject({ kind: "open", errno: 38 });
  }
  expect(log.lines.length).toBe(1);
  expect(log.lines[0]?.message).toBe("cannot start the Worker for NVMe devices");
  expect(String(log.lines[0]?.fields["err"])).toContain("no-such-worker");
  pool.close();
});

test("closing does not wait for a thread that hangs, and ends who waits", async () => {
  const host = simulate(1);
  host.hang("nvme0");
  const hanging = host.pool.run(request(host, 0));
  await waitUntil(() => host.commands().length === 1);
  const before = performance.now();
  host.pool.close();
  expect(performance.now() - before).toBeLessThan(1000);
  expect((await hanging.answered).result.kind).toBe("timeout");
  await hanging.returned;
  expect((await host.pool.run(request(host, 0)).answered).result.kind).toBe("busy");
});
