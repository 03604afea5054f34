import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, type Report } from "../../src/commands/check.ts";
import { checkTable } from "../../src/commands/check-table.ts";
import { type Environment, type FlagValues, load } from "../../src/config/load.ts";
import { flockExclusive } from "../../src/host/libc.ts";
import type { Collector, Finding } from "../../src/metrics/collector.ts";
import { COLLECTORS, openCollectors } from "../../src/scrape/sources.ts";

const scratch = mkdtempSync(join(tmpdir(), "plumbline-check-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const NOTHING: FlagValues = {
  "path.sysfs": join(scratch, "no-sys"),
  "path.devfs": join(scratch, "no-dev"),
  "web.listen-address": ["127.0.0.1:0"],
};

const NAMES = COLLECTORS.map(({ name }) => name);

/** The report with collectors that find what they are told to. */
function reportOf(
  flags: FlagValues,
  checks: Readonly<Record<string, Collector["check"]>> = {},
  environment: Environment = {},
): Promise<Report> {
  const collectors = Object.entries(checks).map(
    ([name, check]): Collector => ({
      name,
      check,
      collect: () => Promise.reject(new Error("check does not collect")),
    }),
  );
  return check(load({ ...NOTHING, ...flags }, environment, NAMES), () => ({
    collectors,
    settled: async () => {},
    saveState: () => {
      throw new Error("check keeps no state");
    },
    close: () => {},
  }));
}

const finding = (level: Finding["level"], message: string): Finding => ({
  level,
  subject: "/dev/nvme0",
  message,
});
const collectorIn = (report: Report, name: string) =>
  report.collectors.find((collector) => collector.name === name);
const serviceIn = (report: Report, subject: string) =>
  report.service.filter((finding) => finding.subject === subject);

describe("collectors", () => {
  test("without their source are off, with the reason, and nothing is wrong", async () => {
    const report = await check(load(NOTHING, {}, NAMES), openCollectors);
    expect(report.collectors.map(({ name, enabled }) => [name, enabled])).toEqual(
      NAMES.map((name) => [name, false]),
    );
    expect(collectorIn(report, "nvme")?.why).toContain(join(scratch, "no-sys"));
    expect(report.works).toBe(true);
  });

  test("that are on tell what they find; a warning still works, an error does not", async () => {
    const flags = { "collector.nvme": true };
    const fine = await reportOf(flags, {
      nvme: async () => [finding("ok", "read"), finding("warning", "hot")],
    });
    expect(collectorIn(fine, "nvme")?.findings.map(({ message }) => message)).toEqual(["read", "hot"]);
    expect(fine.works).toBe(true);
    const broken = await reportOf(flags, { nvme: async () => [finding("error", "permission denied")] });
    expect(broken.works).toBe(false);
  });

  test("that were switched by the user name the flag or variable", async () => {
    const report = await reportOf({ "collector.nvme": false }, {}, { PLUMBLINE_COLLECTOR_EBS: "0" });
    expect(collectorIn(report, "nvme")?.why).toStartWith("switched off by --no-collector.nvme; ");
    expect(collectorIn(report, "ebs")?.why).toStartWith("switched off by PLUMBLINE_COLLECTOR_EBS; ");
  });

  test("that are off because the defaults are say so", async () => {
    const report = await reportOf({ "collector.disable-defaults": true });
    expect(collectorIn(report, "nvme")?.why).toStartWith("the defaults are switched off; ");
  });

  test("that throw, even no Error, are an error of their own and cost no other its findings", async () => {
    const report = await reportOf(
      { "collector.nvme": true, "collector.ebs": true, "collector.instance_store": true },
      {
        nvme: () => Promise.reject(new Error("boom")),
        ebs: () => {
          throw "a string";
        },
        instance_store: async () => [finding("ok", "read")],
      },
    );
    expect(report.collectors.map(({ findings }) => findings[0]?.message)).toEqual([
      "boom",
      "a string",
      "read",
    ]);
    expect(report.works).toBe(false);
  });

  test("that hang are an error after the deadline", async () => {
    const report = await reportOf(
      { "collector.nvme": true, "collector.ebs": true, "scrape.timeout": "50ms" },
      { nvme: () => new Promise(() => {}), ebs: async () => [finding("ok", "read")] },
    );
    expect(collectorIn(report, "nvme")?.findings).toEqual([
      {
        level: "error",
        subject: "nvme",
        message: "no answer within 0.05 s",
        remedy: "look at what it reads, or give it longer with --scrape.timeout",
      },
    ]);
    expect(collectorIn(report, "ebs")?.findings).toHaveLength(1);
  });
});

describe("listen addresses", () => {
  async function listening<T>(server: Server, use: (address: string) => Promise<T>) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no TCP address");
    try {
      return await use(`127.0.0.1:${address.port}`);
    } finally {
      server.close();
    }
  }

  test("that are free are fine, and free again afterwards", async () => {
    const flags = { "web.listen-address": ["127.0.0.1:0", "[::1]:0"] };
    for (let time = 0; time < 2; time++) {
      const report = await reportOf(flags);
      expect(report.service).toEqual([
        { level: "ok", subject: "127.0.0.1:0", message: "free to listen on" },
        { level: "ok", subject: "[::1]:0", message: "free to listen on" },
      ]);
    }
  });

  test("that another program has are an error with the remedy", async () => {
    const other = createServer((_, response) => response.end("another exporter"));
    await listening(other, async (address) => {
      const report = await reportOf({ "web.listen-address": [address] });
      expect(serviceIn(report, address)).toEqual([
        {
          level: "error",
          subject: address,
          message: "the address is in use",
          remedy: "stop what listens there (ss -ltnp), or choose another with --web.listen-address",
        },
      ]);
      expect(report.works).toBe(false);
    });
  });

  test("where the service itself runs already are fine", async () => {
    const ours = createServer((_, response) => response.end("<title>plumbline</title>"));
    await listening(ours, async (address) => {
      const report = await reportOf({ "web.listen-address": [address] });
      expect(serviceIn(report, address)).toEqual([
        { level: "ok", subject: address, message: "plumbline already serves here" },
      ]);
    });
  });

  test("that are not of this host are an error", async () => {
    const report = await reportOf({ "web.listen-address": ["192.0.2.1:9847"] });
    expect(serviceIn(report, "192.0.2.1:9847")[0]).toMatchObject({
      level: "error",
      remedy: "name an address of this host with --web.listen-address",
    });
  });

  test("that are sockets need a directory, and no file in their way", async () => {
    const inTheWay = join(scratch, "file");
    writeFileSync(inTheWay, "");
    const report = await reportOf({
      "web.listen-address": [`unix://${scratch}/new.sock`, "unix:///nowhere/a.sock", `unix://${inTheWay}`],
    });
    expect(report.service.map(({ level, remedy }) => [level, remedy])).toEqual([
      ["ok", undefined],
      ["error", "create the directory for this user, or choose another with --web.listen-address"],
      ["error", `remove ${inTheWay}`],
    ]);
  });
});

describe("files and directories", () => {
  test("the configuration file and the warnings about it are told", async () => {
    const path = join(scratch, "plumbline.yaml");
    writeFileSync(path, "web: {listen_addresses: ['127.0.0.1:0']}\n");
    const report = await reportOf({ "config.file": path }, {}, { PLUMBLINE_NODE_NAM: "a" });
    expect(report.service.slice(0, 2)).toEqual([
      { level: "ok", subject: path, message: "the configuration file is right" },
      {
        level: "warning",
        subject: "configuration",
        message: "variable PLUMBLINE_NODE_NAM is not known; did you mean PLUMBLINE_NODE_NAME?",
      },
    ]);
  });

  test("a web configuration file that is wrong is an error, one that is right is told with what it means", async () => {
    const path = join(scratch, "web.yaml");
    writeFileSync(path, "tls_server_confg: {}\n");
    const wrong = await reportOf({ "web.config.file": path });
    expect(serviceIn(wrong, path)[0]).toMatchObject({ level: "error", remedy: "correct --web.config.file" });
    writeFileSync(path, "{}\n");
    const right = await reportOf({ "web.config.file": path });
    expect(serviceIn(right, path)[0]?.message).toBe("the web configuration file is right: TLS off, 0 users");
  });

  test("each module of a pve.yml is told with whom it asks as, and without its secret", async () => {
    const path = join(scratch, "pve.yml");
    writeFileSync(
      path,
      "default: {user: a@pve, token_name: m, token_value: planted}\nlab: {user: a@pve, password: planted, port: 8007}\n",
    );
    chmodSync(path, 0o600);
    const report = await reportOf({ "config.file": path });
    expect(report.works).toBe(true);
    expect(report.service.filter(({ subject }) => subject.startsWith("/pve"))).toEqual([
      {
        level: "ok",
        subject: "/pve, module default",
        message: "asks HOST at port 8006 with the token a@pve!m: /pve?target=HOST&module=default",
      },
      {
        level: "ok",
        subject: "/pve, module lab",
        message: "asks HOST at port 8007 with the password of a@pve: /pve?target=HOST&module=lab",
      },
    ]);
    expect(JSON.stringify(report)).not.toContain("planted");
  });

  test("a module whose authorities are nowhere is an error", async () => {
    const path = join(scratch, "pve-lost.yml");
    writeFileSync(path, "default: {user: a@pve, password: p, verify_ssl: /lost/ca.pem}\n");
    const report = await reportOf({ "config.file": path });
    expect(report.works).toBe(false);
    expect(serviceIn(report, "/pve, module default")).toEqual([
      {
        level: "error",
        subject: "/pve, module default",
        message: "the authorities cannot be read in /lost/ca.pem: no such file or directory",
        remedy: "copy the cluster's /etc/pve/pve-root-ca.pem there, or set verify_ssl to true",
      },
    ]);
  });

  test("the textfile's directories are looked at only if there is a textfile", async () => {
    const report = await reportOf({ "state.directory": "/proc/nowhere" });
    expect(report.service).toHaveLength(1);
  });

  test("a textfile directory that is missing or not writable is an error, a state directory a warning", async () => {
    const inTheWay = join(scratch, "plain");
    writeFileSync(inTheWay, "");
    const report = await reportOf({
      "textfile.directory": "/nowhere",
      "state.directory": join(inTheWay, "state"),
    });
    expect(report.service.slice(1).map(({ level, message }) => [level, message])).toEqual([
      ["error", "the textfile cannot be written: no such file or directory"],
      ["warning", "counters start from zero in every run: it is no directory"],
    ]);
    expect(report.works).toBe(false);
  });

  test("a lock that cannot be had is an error with the remedy, one that a run holds is none", async () => {
    const directory = join(scratch, "in-use");
    const lock = join(directory, ".plumbline.prom.lock");
    const flags = { "textfile.directory": directory, "state.directory": join(scratch, "new/state") };
    mkdirSync(lock, { recursive: true });
    expect((await reportOf(flags)).service[1]).toEqual({
      level: "error",
      subject: lock,
      message: `cannot open the lock file ${lock}: EISDIR`,
      remedy: "let this user write into the directory; remove a lock file that is another user's",
    });

    rmdirSync(lock);
    const held = flockExclusive(lock);
    expect((await reportOf(flags)).service[1]?.level).toBe("ok");
    if (held !== "locked") held.unlock();
  });

  test("directories that will do are told", async () => {
    const directory = join(scratch, "textfile");
    mkdirSync(directory);
    chmodSync(directory, 0o755);
    const flags = { "textfile.directory": directory, "state.directory": join(scratch, "new/state") };
    const report = await reportOf(flags);
    expect(report.service.slice(1)).toEqual([
      { level: "ok", subject: join(directory, "plumbline.prom"), message: "the textfile can be written" },
      { level: "ok", subject: join(scratch, "new/state"), message: "the state directory can be made" },
    ]);
  });
});

test("each setting is listed with value and origin", async () => {
  const report = await reportOf({ "node-name": "a" });
  expect(report.settings).toContainEqual({
    name: "node_name",
    value: "a",
    from: "flag",
    detail: "--node-name",
  });
});

describe("the table", () => {
  const REPORT: Report = {
    version: "1.2.3",
    revision: "abc",
    runtime: "bun 1.4.5",
    node: "node-a",
    collectors: [
      {
        name: "nvme",
        enabled: true,
        why: "/sys/class/nvme has 2 controllers",
        findings: [
          { level: "ok", subject: "/dev/nvme0", message: "SMART and Identify are read" },
          {
            level: "error",
            subject: "/dev/nvme1",
            message:
              "permission denied; Get Log Page needs CAP_SYS_ADMIN, and opening the node CAP_DAC_READ_SEARCH",
            remedy: "run it as root, or as the unit in systemd/plumbline.service does",
          },
        ],
      },
      { name: "ebs", enabled: false, why: "switched off by --no-collector.ebs", findings: [] },
    ],
    service: [{ level: "warning", subject: "/etc/plumbline.yaml", message: "others may read it" }],
    settings: [
      { name: "web.telemetry_path", value: "/metrics", from: "default" },
      { name: "pve.token", value: "<set>", from: "file", detail: "/etc/plumbline.yaml:3:5" },
      { name: "cluster_id", value: "", from: "default" },
    ],
    works: false,
  };

  test("has collectors with findings, the service, the settings and the verdict", () => {
    expect(checkTable(REPORT, { columns: 80, colour: false })).toBe(`plumbline 1.2.3 (bun 1.4.5) on node-a

Collectors
  nvme  on   /sys/class/nvme has 2 controllers
    ok       /dev/nvme0  SMART and Identify are read
    ERROR    /dev/nvme1  permission denied; Get Log Page needs CAP_SYS_ADMIN,
                         and opening the node CAP_DAC_READ_SEARCH
                         → run it as root, or as the unit in
                         systemd/plumbline.service does
  ebs   off  switched off by --no-collector.ebs

Service
    warning  /etc/plumbline.yaml  others may read it

Settings
  web.telemetry_path  /metrics  default
  pve.token           <set>     file /etc/plumbline.yaml:3:5
  cluster_id          -         default

1 thing does not work.
`);
  });

  test("has colours only where they are asked for", () => {
    const plain = checkTable(REPORT, { columns: 80, colour: false });
    const coloured = checkTable(REPORT, { columns: 80, colour: true });
    expect(plain).not.toContain("\u001b");
    expect(coloured).toContain("\u001b[31mERROR");
    expect(Bun.stripANSI(coloured)).toBe(plain);
  });

  test("says so where nothing is on", () => {
    const report = { ...REPORT, works: true, service: [], collectors: REPORT.collectors.slice(1) };
    expect(checkTable(report, { columns: 80, colour: false })).toEndWith(
      "\n\nNo collector is on; nothing is wrong.\n",
    );
  });
});
