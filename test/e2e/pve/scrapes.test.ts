/** The compiled binary before simulated Proxmox VEs over TLS: /metrics and the textfile, and what befalls them. */
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PveApi, type PveApiOptions } from "../../../src/demo/pve-api.ts";
import { PVE_TEST_CERTIFICATE } from "../../../src/demo/pve-certificate.ts";
import { PveCluster, type PveClusterSize } from "../../../src/demo/pve-cluster.ts";
import { AUDITOR } from "../../../src/demo/pve-users.ts";
import { plumblineBinary } from "../../support/binary.ts";
import { freePort } from "../../support/ports.ts";
import { seriesOfExposition } from "../../support/series.ts";
import { ONLY_PVE, PveDirectory, READER, run, type Scrape, serve, TOKEN } from "./service.ts";

const PATIENCE_MS = 120_000;
/** A scrape is given 10 s; the rest is for a machine that does other things beside. */
const IN_TIME_MS = 11_000;
const SMALL: PveClusterSize = { nodes: 3, guests: 6, release: "9.2", name: "prod", since: Date.now() };

let binary: string;
beforeAll(async () => {
  binary = await plumblineBinary();
}, PATIENCE_MS);

const apiOf = (size: Partial<PveClusterSize> = {}, options: Partial<PveApiOptions> = {}): PveApi =>
  new PveApi(new PveCluster({ ...SMALL, ...size }), { users: [READER], ...options });

const failed = ({ series }: Pick<Scrape, "series">): string[] =>
  [...series].flatMap(([key, value]) =>
    value === 0 ? (/^plumbline_pve_collector_success\{collector="(.+)",target/.exec(key)?.[1] ?? []) : [],
  );
const skipped = ({ series }: Pick<Scrape, "series">, reason: string): string[] =>
  [...series.keys()].flatMap((key) =>
    key.startsWith("plumbline_pve_skipped{") && key.includes(`reason="${reason}"`)
      ? (/collector="([^"]+)"/.exec(key)?.[1] ?? [])
      : [],
  );
const up = ({ series }: Pick<Scrape, "series">, target: string) =>
  series.get(`plumbline_pve_target_up{target="${target}"}`);
const countOf = ({ series }: Pick<Scrape, "series">, family: string): number =>
  [...series.keys()].filter((key) => key.startsWith(`${family}{`)).length;

describe("a target is read", () => {
  test.each([
    ["whose certificate the CA vouches for", {}],
    [
      "whose certificate has the fingerprint",
      { ca_file: undefined, fingerprint: PVE_TEST_CERTIFICATE.fingerprint },
    ],
    ["whose certificate nobody looks at", { ca_file: undefined, verify_ssl: false }],
    [
      "with a user's password",
      { token_name: undefined, token_file: undefined, user: AUDITOR.name, password: AUDITOR.password },
    ],
  ] as const)(
    "%s",
    async (_, more) => {
      await using api = apiOf(
        {},
        { users: [{ ...READER, ...(AUDITOR.password && { password: AUDITOR.password }) }] },
      );
      using directory = new PveDirectory();
      const file = directory.pve(directory.target("lab", [await api.start()], more));
      await using service = await serve([binary], [...ONLY_PVE, `--config.file=${file}`]);
      const scrape = await service.scrape();
      expect(up(scrape, "lab")).toBe(1);
      expect(failed(scrape)).toEqual([]);
      expect(scrape.series.get('pve_up{id="node/pve3"}')).toBe(1);
      expect(countOf(scrape, "pve_guest_info")).toBe(6);
      expect(countOf(scrape, "pve_node_load1")).toBe(3);
      // One cluster needs no name.
      expect(scrape.text).not.toMatch(/^pve_\w+\{[^}]*cluster=/m);
      const page = await (await fetch(`${service.origin}/`)).text();
      expect(page).toContain("pve-ha-status");
    },
    PATIENCE_MS,
  );

  test.each([
    ["another CA", { ca_file: undefined }],
    [
      "another fingerprint",
      { ca_file: undefined, fingerprint: PVE_TEST_CERTIFICATE.fingerprint.replace("13", "14") },
    ],
  ] as const)(
    "but not with %s, and then nothing is sent to it",
    async (_, more) => {
      await using api = apiOf();
      using directory = new PveDirectory();
      const file = directory.pve(directory.target("lab", [await api.start()], more));
      await using service = await serve([binary], [...ONLY_PVE, `--config.file=${file}`]);
      const scrape = await service.scrape();
      expect([scrape.status, up(scrape, "lab")]).toEqual([200, 0]);
      expect(api.requests.seen).toEqual([]);
      expect(scrape.text).not.toMatch(/^pve_(?!collection|request)\w+[ {]/m);
      expect(service.process.log()).toMatch(/ca_file|fingerprint/);
    },
    PATIENCE_MS,
  );
});

describe("several targets", () => {
  test(
    "have each its cluster's name on every series, and none of them takes another with it",
    async () => {
      await using prod = apiOf();
      await using lab = apiOf({ nodes: 1, guests: 3, name: "lab" });
      await using host = apiOf({ nodes: 1, guests: 2, standalone: true });
      using directory = new PveDirectory();
      const nobody = `https://127.0.0.1:${await freePort()}`;
      const file = directory.pve(
        directory.target("one", [await prod.start()]),
        directory.target("two", [await lab.start()], { cluster: "test" }),
        directory.target("three", [await host.start()]),
        directory.target("four", [nobody]),
      );
      await using service = await serve([binary], [...ONLY_PVE, `--config.file=${file}`]);
      const scrape = await service.scrape();
      expect(["one", "two", "three", "four"].map((target) => up(scrape, target))).toEqual([1, 1, 1, 0]);
      const ofPve = [...scrape.series.keys()].filter((key) => key.startsWith("pve_"));
      const clusters = ofPve.map((key) => /[{,]cluster="([^"]*)"/.exec(key)?.[1]);
      expect(new Set(clusters.filter((_, i) => !/^pve_(?:collection|request)/.test(ofPve[i] ?? "")))).toEqual(
        new Set(["prod", "test", "pve1"]),
      );
      const guests = (cluster: string) =>
        ofPve.filter((key) => key.startsWith(`pve_guest_info{cluster="${cluster}"`)).length;
      expect(["prod", "test", "pve1"].map(guests)).toEqual([6, 3, 2]);
    },
    PATIENCE_MS,
  );
});

describe("what is wrong costs itself alone, and is told with what to do:", () => {
  test(
    "nobody listens, until somebody does",
    async () => {
      const port = await freePort();
      using directory = new PveDirectory();
      const file = directory.pve(directory.target("lab", [`https://127.0.0.1:${port}`]));
      await using service = await serve([binary], [...ONLY_PVE, `--config.file=${file}`]);
      const scrape = await service.scrape();
      expect([scrape.status, up(scrape, "lab")]).toEqual([200, 0]);
      expect(service.process.log()).toContain("target=lab");
      await using api = apiOf({}, { port });
      await api.start();
      const later = await service.scrape();
      expect([up(later, "lab"), failed(later)]).toEqual([1, []]);
    },
    PATIENCE_MS,
  );

  test(
    "another endpoint of the cluster answers",
    async () => {
      await using api = apiOf();
      using directory = new PveDirectory();
      const url = await api.start();
      const dead = `https://127.0.0.1:${await freePort()}`;
      const file = directory.pve(directory.target("lab", [dead, url]));
      await using service = await serve([binary], [...ONLY_PVE, `--config.file=${file}`]);
      const scrape = await service.scrape();
      expect([up(scrape, "lab"), failed(scrape)]).toEqual([1, []]);
      expect(scrape.text).toContain(
        `plumbline_pve_target_info{target="lab",cluster="prod",endpoint="${url}"} 1`,
      );
    },
    PATIENCE_MS,
  );

  test(
    "the token is wrong, until another one is in its file",
    async () => {
      await using api = apiOf({}, { knobs: { unauthorizedDelayMs: 50 } });
      using directory = new PveDirectory();
      const file = directory.pve(directory.target("lab", [await api.start()]));
      directory.write("token", "0ther-t0ken");
      await using service = await serve([binary], [...ONLY_PVE, `--config.file=${file}`]);
      const scrape = await service.scrape();
      expect([scrape.status, up(scrape, "lab")]).toEqual([200, 0]);
      expect(new Set(skipped(scrape, "unauthorized")).size).toBeGreaterThan(0);
      expect(service.process.log()).toMatch(/plumbline@pve!metrics.*journalctl -u pveproxy/);
      directory.write("token", TOKEN);
      const later = await service.scrape();
      expect([up(later, "lab"), failed(later)]).toEqual([1, []]);
      expect(service.process.log()).not.toMatch(/0ther-t0ken|c0ffee11/);
    },
    PATIENCE_MS,
  );

  test(
    "a right is missing: the rest is read, and the command that grants it is told",
    async () => {
      const acl = { "/": ["PVEAuditor"], "/nodes/pve2": ["NoAccess"] };
      await using api = apiOf({}, { users: [{ ...READER, acl }] });
      using directory = new PveDirectory();
      const file = directory.pve(directory.target("lab", [await api.start()]));
      const flags = [...ONLY_PVE, `--config.file=${file}`];
      await using service = await serve([binary], flags);
      const scrape = await service.scrape();
      expect(up(scrape, "lab")).toBe(1);
      expect(failed(scrape)).toContain("pve-node-status");
      expect(skipped(scrape, "forbidden")).toContain("pve-node-status");
      expect(countOf(scrape, "pve_node_load1")).toBe(2);
      expect(service.process.log()).toMatch(/Sys\.Audit.*pveum acl modify/);
      const checked = await run([binary, "check", ...flags]);
      const told = checked.stdout.replaceAll(/\s+/g, " ");
      expect(told).toContain("plumbline@pve!metrics lacks Sys.Audit on /nodes/pve2");
      expect(told).toContain("pveum acl modify / --tokens 'plumbline@pve!metrics' --roles PVEAuditor");
      expect(told).not.toContain("the entry on /nodes ");
      expect(checked.status).toBe(1);
    },
    PATIENCE_MS,
  );

  test(
    "a node is off, another hangs: the third is told of in time",
    async () => {
      const cluster = new PveCluster({ ...SMALL, nodes: 4 });
      await using api = new PveApi(cluster, { users: [READER] });
      cluster.befall({ kind: "node", node: "pve3", condition: "offline" }, -600_000);
      cluster.befall({ kind: "node", node: "pve2", condition: "hung" }, -600_000);
      using directory = new PveDirectory();
      const file = directory.pve(directory.target("lab", [await api.start()], { timeout: "1s" }));
      await using service = await serve([binary], [...ONLY_PVE, `--config.file=${file}`]);
      const scrape = await service.scrape();
      expect(up(scrape, "lab")).toBe(1);
      const reachable = (node: string) =>
        scrape.series.get(`plumbline_pve_node_reachable{node="${node}",target="lab"}`);
      expect(["pve1", "pve2", "pve3", "pve4"].map(reachable)).toEqual([1, 0, 0, 1]);
      expect(countOf(scrape, "pve_node_load1")).toBe(2);
      expect(scrape.series.get('pve_up{id="node/pve3"}')).toBe(0);
      expect(skipped(scrape, "node_offline")).toContain("pve-node-status");
      expect(skipped(scrape, "timeout").length).toBeGreaterThan(0);
      expect(scrape.ms).toBeLessThan(IN_TIME_MS);
      // A slow reading of the node that hangs was begun then; it goes on, and nobody waits for it.
      expect((await service.scrape()).ms).toBeLessThan(IN_TIME_MS / 2);
    },
    PATIENCE_MS,
  );
});

describe("textfile", () => {
  test(
    "makes one slow reading a run and goes on from run to run, so that no drive is woken twice",
    async () => {
      const drive = { kind: "drive", node: "pve1", devpath: "/dev/sdd", sleeps: true } as const;
      const cluster = new PveCluster(SMALL, { happenings: [{ ...drive, atMs: -1000 }] });
      await using api = new PveApi(cluster, { users: [READER] });
      using directory = new PveDirectory();
      const file = directory.pve(directory.target("lab", [await api.start()]));
      const textfile = async () => {
        const { status, stderr } = await run([
          ...[binary, "textfile", ...ONLY_PVE, `--config.file=${file}`, "--collector.pve-backups"],
          ...[`--textfile.directory=${directory.path}`, `--state.directory=${join(directory.path, "state")}`],
        ]);
        expect([status, stderr]).toEqual([0, ""]);
        const text = readFileSync(join(directory.path, "plumbline.prom"), "utf8");
        return { text, series: seriesOfExposition(text) };
      };
      const told = [];
      const full = () => api.requests.seen.filter(({ path }) => path.endsWith("/disks/list")).length;
      for (let i = 0; i < 4; i++) {
        const before = full();
        const written = await textfile();
        expect([up(written, "lab"), failed(written)]).toEqual([1, []]);
        told.push([full() - before, countOf(written, "pve_physical_disk_smart_timestamp_seconds")]);
      }
      let last = await textfile();
      for (let i = 0; i < 12; i++) last = await textfile();
      expect(told.every(([readings = 9]) => readings <= 1)).toBe(true);
      expect(full()).toBe(3);
      expect(countOf(last, "pve_physical_disk_smart_timestamp_seconds")).toBe(3);
      expect(countOf(last, "pve_certificate_not_after_timestamp_seconds")).toBeGreaterThan(3);
      expect(countOf(last, "pve_guest_backups")).toBeGreaterThan(0);
      expect(api.wakeups).toEqual(new Map([["pve1//dev/sdd", 1]]));
      expect(readFileSync(join(directory.path, "state", "pve-readings.json"), "utf8")).not.toContain(TOKEN);
      expect(last.text).not.toContain(TOKEN);
    },
    PATIENCE_MS,
  );
});
