import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeWith, PYTHON } from "../support/debian.ts";
import { watch } from "../support/processes.ts";
import { type Process, start } from "./processes.ts";
import type { FakeRun } from "./with-fakes.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plumbline-serve-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const serve = (
  collectors: FakeRun["collectors"],
  flags: FakeRun["flags"] = {},
  environment: Readonly<Record<string, string>> = {},
): Process =>
  start(
    {
      command: "serve",
      flags: { "web.listen-address": ["127.0.0.1:0"], "node-name": "here", ...flags },
      collectors,
    },
    environment,
  );

const addressOf = (service: Process) => service.line(/address="?(http:[^\s"]+)/);

async function get(url: string, headers: Record<string, string> = {}) {
  const response = await fetch(url, { headers });
  return { status: response.status, text: await response.text() };
}

describe("plumbline serve", () => {
  test("says where it listens and what it collects, and answers", async () => {
    await using service = serve({ a: "works", b: "fails" });
    const address = await addressOf(service);
    expect(await service.line(/msg="collectors enabled".*/)).toContain('collectors="a b"');
    const { status, text } = await get(`${address}/metrics`);
    expect(status).toBe(200);
    expect(text).toContain('fake_value{collector="a",node="here",item="0"} 42\n');
    expect(text).toContain('plumbline_collector_success{collector="b"} 0\n');
    expect(text).toContain("plumbline_config_last_reload_successful 1\n");
    expect(text).toMatch(/plumbline_config_last_reload_success_timestamp_seconds 1\.?\d+/);
    expect(text).toContain("process_resident_memory_bytes ");
  });

  test("makes one collection at its start, and is ready when every collector has ended, well or badly", async () => {
    await using service = serve({ a: "works", bad: "fails", slow: "slow" });
    const address = await addressOf(service);
    expect(await get(`${address}/-/ready`)).toEqual({
      status: 503,
      text: expect.stringContaining("slow"),
    });
    expect((await get(`${address}/-/healthy`)).status).toBe(200);
    let status = 503;
    for (let time = 0; time < 100 && status !== 200; time++) {
      await Bun.sleep(50);
      ({ status } = await get(`${address}/-/ready`));
    }
    expect(status).toBe(200);
    expect((await get(`${address}/metrics`)).text).toContain('fake_readings_total{collector="a"} 2\n');
  });

  test("without collectors serves its own metrics and warns what to do", async () => {
    await using service = serve({});
    const address = await addressOf(service);
    expect(await service.line(/level=warn.*/)).toContain("no collector is enabled");
    expect(service.log()).toContain("--collector.NAME");
    expect((await get(`${address}/metrics`)).text).toContain("plumbline_build_info");
    expect((await get(`${address}/-/ready`)).status).toBe(200);
  });

  test("with a timeout header of 5 s and one collector that hangs answers after 4.5 s with everything else", async () => {
    await using service = serve({ a: "works", hanging: "hangs" }, { "scrape.timeout": "100ms" });
    const address = await addressOf(service);
    // The collection at the start has given the hanging collector up; it is the next process that waits for it.
    await using fresh = serve({ a: "works", hanging: "hangs" }, { "scrape.timeout": "60s" });
    const freshAddress = await addressOf(fresh);
    const before = performance.now();
    const { text } = await get(`${freshAddress}/metrics`, { "X-Prometheus-Scrape-Timeout-Seconds": "5" });
    const seconds = (performance.now() - before) / 1000;
    expect(seconds).toBeGreaterThan(4.3);
    expect(seconds).toBeLessThan(4.7);
    expect(text).toContain('fake_value{collector="a",node="here",item="0"} 42\n');
    expect(text).toContain('plumbline_collector_success{collector="hanging"} 0\n');
    expect(text).toContain('plumbline_collector_timeout_total{collector="hanging"} 1\n');
    const again = await get(`${address}/metrics`);
    expect(again.text).toContain('plumbline_collector_success{collector="a"} 1\n');
    expect(again.text).toContain('plumbline_collector_success{collector="hanging"} 0\n');
  }, 20_000);

  test("goes on after a collector left a promise behind that rejected", async () => {
    await using service = serve({ a: "stray" });
    const address = await addressOf(service);
    await service.line(/nobody handled.*left behind/);
    expect((await get(`${address}/metrics`)).text).toContain(
      'plumbline_collector_success{collector="a"} 1\n',
    );
  });

  test("exits 1 with a clear line where the address is in use", async () => {
    await using first = serve({});
    const port = new URL(await addressOf(first)).port;
    await using second = serve({}, { "web.listen-address": [`127.0.0.1:${port}`] });
    expect(await second.exited).toBe(1);
    expect(second.log()).toContain(`cannot listen on 127.0.0.1:${port}: address already in use`);
  });
});

describe("told to stop", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("by %s, it exits 0", async (signal) => {
    await using service = serve({ a: "works" });
    const address = await addressOf(service);
    await get(`${address}/metrics`);
    service.kill(signal);
    expect(await service.exited).toBe(0);
    expect(service.log()).toContain(`received ${signal}`);
    expect(service.log()).toContain("collectors closed");
    expect(get(`${address}/-/healthy`)).rejects.toThrow();
  });

  test("it finishes the scrapes that run", async () => {
    await using service = serve({ a: "slow" });
    const address = await addressOf(service);
    const scrape = get(`${address}/metrics`);
    await Bun.sleep(200);
    service.kill("SIGTERM");
    expect((await scrape).text).toContain('plumbline_collector_success{collector="a"} 1\n');
    expect(await service.exited).toBe(0);
  });

  test("it waits 5 s at most for a scrape that does not end", async () => {
    await using service = serve({ a: "hangs" }, { "scrape.timeout": "60s" });
    const address = await addressOf(service);
    const scrape = get(`${address}/metrics`).catch(() => undefined);
    await Bun.sleep(100);
    const before = performance.now();
    service.kill("SIGTERM");
    expect(await service.exited).toBe(0);
    expect(performance.now() - before).toBeLessThan(7000);
    await scrape;
  }, 15_000);

  test("over HTTP, it exits 0", async () => {
    await using service = serve({ a: "works" }, { "web.enable-lifecycle": true });
    const address = await addressOf(service);
    expect((await fetch(`${address}/-/quit`, { method: "POST" })).status).toBe(200);
    expect(await service.exited).toBe(0);
  });
});

describe("a reload", () => {
  let file: string;
  beforeEach(() => {
    file = join(root, "plumbline.yaml");
    writeFileSync(file, "node_name: old\n");
  });
  const reloadable = (collectors: FakeRun["collectors"]) =>
    start({
      command: "serve",
      flags: {
        "web.listen-address": ["127.0.0.1:0"],
        "config.file": file,
        "web.enable-lifecycle": true,
      },
      collectors,
    });
  const nodeOf = async (address: string) =>
    /fake_value\{collector="a",node="(\w+)"/.exec((await get(`${address}/metrics`)).text)?.[1];

  test("by SIGHUP puts the new configuration in force", async () => {
    await using service = reloadable({ a: "works" });
    const address = await addressOf(service);
    expect(await nodeOf(address)).toBe("old");
    writeFileSync(file, "node_name: new\n");
    service.kill("SIGHUP");
    await service.line(/configuration reloaded/);
    expect(await nodeOf(address)).toBe("new");
    await service.line(/collectors closed.*node=old/);
  });

  test("over HTTP does so too", async () => {
    await using service = reloadable({ a: "works" });
    const address = await addressOf(service);
    writeFileSync(file, "node_name: new\n");
    expect((await fetch(`${address}/-/reload`, { method: "POST" })).status).toBe(200);
    expect(await nodeOf(address)).toBe("new");
  });

  test.each([
    ["wrong", "node_nam: new\n", "node_nam"],
    ["no YAML", "a: [1\n", "plumbline.yaml"],
  ])("of a file that is %s leaves the old one in force and says so", async (_what, content, message) => {
    await using service = reloadable({ a: "works" });
    const address = await addressOf(service);
    writeFileSync(file, content);
    const answer = await fetch(`${address}/-/reload`, { method: "POST" });
    expect(answer.status).toBe(500);
    expect(await answer.text()).toContain(message);
    expect(await nodeOf(address)).toBe("old");
    const { text } = await get(`${address}/metrics`);
    expect(text).toContain("plumbline_config_last_reload_successful 0\n");
    expect(service.log()).toContain("the old one stays in force");
    writeFileSync(file, "node_name: new\n");
    service.kill("SIGHUP");
    await service.line(/configuration reloaded/);
    expect((await get(`${address}/metrics`)).text).toContain("plumbline_config_last_reload_successful 1\n");
    expect(await nodeOf(address)).toBe("new");
  });

  test("of a file that is gone leaves the old one in force", async () => {
    await using service = reloadable({ a: "works" });
    const address = await addressOf(service);
    rmSync(file);
    service.kill("SIGHUP");
    await service.line(/the old one stays in force/);
    expect(await nodeOf(address)).toBe("old");
  });

  test("never drops a running scrape", async () => {
    await using service = reloadable({ a: "slow" });
    const address = await addressOf(service);
    await Bun.sleep(1200);
    const scrape = get(`${address}/metrics`);
    await Bun.sleep(300);
    writeFileSync(file, "node_name: new\n");
    service.kill("SIGHUP");
    await service.line(/configuration reloaded/);
    const next = get(`${address}/metrics`);
    expect((await scrape).text).toContain('fake_value{collector="a",node="old",item="0"} 42\n');
    expect((await next).text).toContain('fake_value{collector="a",node="new",item="0"} 42\n');
    await service.line(/collectors closed.*node=old/);
  });

  test("without a change that concerns collectors keeps them", async () => {
    await using service = reloadable({ a: "works" });
    const address = await addressOf(service);
    writeFileSync(file, "node_name: old\nlog:\n  level: debug\nscrape:\n  timeout: 3s\n");
    service.kill("SIGHUP");
    await service.line(/configuration reloaded.*kept/);
    expect(service.log()).not.toContain("collectors closed");
    expect(await nodeOf(address)).toBe("old");
  });

  test("warns of what has no effect before a restart", async () => {
    writeFileSync(file, "node_name: old\nlog:\n  format: logfmt\n");
    await using service = reloadable({ a: "works" });
    await addressOf(service);
    writeFileSync(file, "node_name: old\nlog:\n  format: json\n");
    service.kill("SIGHUP");
    await service.line(/no effect before a restart.*log\.format/);
  });

  test("does not take readiness back", async () => {
    await using service = reloadable({ a: "works", slow: "slow" });
    const address = await addressOf(service);
    await get(`${address}/metrics`);
    expect((await get(`${address}/-/ready`)).status).toBe(200);
    writeFileSync(file, "node_name: new\n");
    service.kill("SIGHUP");
    await service.line(/configuration reloaded/);
    expect((await get(`${address}/-/ready`)).status).toBe(200);
  });
});

describeWith([PYTHON], "under systemd", () => {
  /** Binds a datagram socket, as systemd does; Bun has none for AF_UNIX. */
  const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", file=sys.stderr, flush=True)
while True: print(repr(s.recv(4096).decode()), file=sys.stderr, flush=True)
`;

  test("it tells when it is ready, reloads, lives and stops", async () => {
    const socket = join(root, "notify");
    await using systemd = watch(["python3", "-c", LISTENER, socket]);
    await systemd.line(/bound/);
    await using service = serve({ a: "works" }, {}, { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "200000" });
    await systemd.line(/READY=1/);
    await service.line(/listening/);
    await systemd.line(/WATCHDOG=1/);
    service.kill("SIGHUP");
    expect(await systemd.line(/'(RELOADING=1.*)'/)).toMatch(/^RELOADING=1\\nMONOTONIC_USEC=\d+$/);
    await systemd.line(/RELOADING=1[\s\S]*READY=1/);
    service.kill("SIGTERM");
    expect(await service.exited).toBe(0);
    await systemd.line(/STOPPING=1/);
  });

  test("that cannot be reached it serves, and says so once", async () => {
    await using service = serve(
      { a: "works" },
      {},
      { NOTIFY_SOCKET: join(root, "none"), WATCHDOG_USEC: "20000" },
    );
    const address = await addressOf(service);
    await Bun.sleep(200);
    expect((await get(`${address}/metrics`)).status).toBe(200);
    expect(service.log().match(/systemd cannot be notified/g)).toHaveLength(1);
  });
});
