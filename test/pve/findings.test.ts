/** What `plumbline check` says of simulated clusters: what is read, which right is missing where, and the lines that cure it. */
import { afterEach, describe, expect, test } from "bun:test";
import { NO_PVE, type PveTarget } from "../../src/config/pve.ts";
import { Secret } from "../../src/config/secret.ts";
import { PveApi, type PveApiOptions } from "../../src/demo/pve-api.ts";
import { PVE_TEST_CERTIFICATE } from "../../src/demo/pve-certificate.ts";
import { PveCluster, type PveClusterSize } from "../../src/demo/pve-cluster.ts";
import { AUDITOR, type PveAcl, type PveUser } from "../../src/demo/pve-users.ts";
import type { Log } from "../../src/log/log.ts";
import type { Finding } from "../../src/metrics/collector.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { openPve } from "../../src/pve/source.ts";

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
const SECRET = AUDITOR.tokens?.["metrics"]?.secret ?? "";
const opened: PveApi[] = [];
afterEach(async () => {
  for (const api of opened.splice(0)) await api.stop();
});

const userWith = (acl: PveAcl): PveUser => ({
  ...AUDITOR,
  acl,
  tokens: { metrics: { secret: SECRET, acl } },
});

async function target(
  part: Partial<PveTarget> = {},
  options: Partial<PveApiOptions> = {},
  size: Partial<PveClusterSize> = {},
  secret = SECRET,
): Promise<PveTarget> {
  const api = new PveApi(
    new PveCluster({ nodes: 3, guests: 6, release: "9.2", since: Date.now(), ...size }),
    {
      users: [AUDITOR],
      ...options,
      knobs: { unauthorizedDelayMs: 0, ...options.knobs },
    },
  );
  opened.push(api);
  return {
    name: "home",
    endpoints: [await api.start()],
    module: {
      credentials: { kind: "token", user: "plumbline@pve", tokenName: "metrics", secret: Secret.of(secret) },
      tls: { fingerprint: PVE_TEST_CERTIFICATE.fingerprint, verify: true },
      timeoutMs: 5000,
    },
    cluster: undefined,
    collectors: {},
    physicalDisks: { smartIntervalMs: 0, excludeNodes: [] },
    configGuestLimit: 500,
    ...part,
  };
}

/** As the command does: all collectors that are on at once. */
async function check(targets: readonly PveTarget[], timeoutMs = 8000): Promise<Finding[]> {
  const own = new OwnMetrics(
    { version: "", revision: "", runtime: "", runtimeVersion: "" },
    { processMetrics: false },
  );
  const source = openPve(
    {
      pve: { ...NO_PVE, targets },
      collectors: { disableDefaults: false, chosen: {} },
      path: { rootfs: "/", procfs: "/proc", sysfs: "/sys", devfs: "/dev", kubelet: "/" },
      state: { directory: "/nonexistent" },
    },
    own,
    SILENT,
  );
  try {
    const context = { signal: new AbortController().signal, deadline: performance.now() + timeoutMs };
    const on = source.collectors.filter(({ isOnDemand }) => !isOnDemand);
    return (await Promise.all(on.map((collector) => collector.check(context)))).flat();
  } finally {
    source.close();
  }
}

const about = (findings: readonly Finding[], subject: string) =>
  findings.filter((finding) => finding.subject === subject);

describe("check of Proxmox VE", () => {
  test("says who answered and how it is trusted, and what each collector reads", async () => {
    const findings = await check([await target()]);
    expect(about(findings, "home")).toEqual([
      expect.objectContaining({
        level: "ok",
        message: expect.stringMatching(
          /answers as cluster \S+, 3 of 3 nodes online; its certificate has the fingerprint$/,
        ),
      }),
    ]);
    expect(about(findings, "home, version")).toEqual([
      { level: "ok", subject: "home, version", message: "works" },
    ]);
    expect(findings.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("names each right that is missing, also where Proxmox VE says nothing of it, and the lines that give it", async () => {
    const findings = await check([await target({}, { users: [userWith({ "/": ["Sys.Audit"] })] })]);
    expect(about(findings, "home, resources").map(({ message }) => message)).toEqual([
      "lacks VM.Audit on /vms: what it covers is left out, and nothing says so",
      "lacks Datastore.Audit on /storage: what it covers is left out, and nothing says so",
      "lacks Pool.Audit on /pool: what it covers is left out, and nothing says so",
    ]);
    const [, rights] = about(findings, "home");
    expect(rights?.remedy?.split("\n")).toEqual([
      "on a host of the cluster:",
      'pveum role add Plumbline --privs "Sys.Audit VM.Audit Datastore.Audit Pool.Audit SDN.Audit"   # or use PVEAuditor; `role modify` where it exists',
      'pveum user add plumbline@pve --comment "plumbline exporter"   # where it does not exist yet',
      "pveum acl modify / --users plumbline@pve --roles Plumbline",
      "pveum user token add plumbline@pve metrics --privsep 1   # where it does not exist yet",
      "pveum acl modify / --tokens 'plumbline@pve!metrics' --roles Plumbline",
    ]);
  });

  test("names the deeper entry that takes a right away, and repeats the role there", async () => {
    const acl = { "/": ["PVEAuditor"], "/vms/100": ["VM.Backup"] };
    const findings = await check([await target({}, { users: [userWith(acl)] })]);
    expect(about(findings, "home, config")).toEqual([
      expect.objectContaining({
        level: "warning",
        message: expect.stringContaining("lacks VM.Audit on /vms/100"),
      }),
    ]);
    expect(about(findings, "home")[1]?.remedy).toContain(
      "pveum acl modify /vms/100 --users plumbline@pve --roles Plumbline",
    );
  });

  test("tells a refused right with its path, and not twice", async () => {
    const acl = { "/": ["VM.Audit", "Datastore.Audit", "Pool.Audit", "SDN.Audit"] };
    const findings = await check([await target({}, { users: [userWith(acl)] })]);
    const refused = about(findings, "home, node-status");
    expect(refused).toHaveLength(1);
    expect(refused[0]).toMatchObject({
      level: "error",
      remedy: expect.stringMatching(
        /lacks Sys\.Audit on \/nodes\/pve\d; on a host of the cluster:\npveum acl modify \/ --tokens \S+ --roles PVEAuditor\n/,
      ),
    });
  });

  test("says which right agents need before Proxmox VE 9, where there is none of the same name", async () => {
    const older = await target({ collectors: { "guest-fs": true } }, {}, { release: "8.4" });
    const findings = await check([older]);
    expect(about(findings, "home, guest-fs")[0]?.remedy).toMatch(
      /lacks VM\.Monitor on .*, which the role PVEAuditor does not give; the lines for the target do$/,
    );
    expect(about(findings, "home")[1]?.remedy).toContain("before Proxmox VE 9 VM.Monitor in place of");
  });

  test("says of backups that the rights allow writing too", async () => {
    const findings = await check([await target({ collectors: { backups: true } })]);
    const [, rights] = about(findings, "home");
    expect(rights?.remedy).toContain("# both privileges allow writing as well");
    expect(rights?.remedy).toContain(
      "pveum acl modify /vms --users plumbline@pve --roles Plumbline,PlumblineBackup",
    );
  });

  test("says that backups do not work where nobody gave the right to list them", async () => {
    const backups = { collectors: { backups: true } };
    const findings = await check([await target(backups)]);
    expect(about(findings, "home, backups").map(({ level, message }) => `${level}: ${message}`)).toEqual([
      "error: lacks Datastore.AllocateSpace on /storage: nothing is read without",
      "error: lacks VM.Backup on /vms: nothing is read without",
    ]);
    const acl = {
      "/": ["PVEAuditor"],
      "/storage/pbs": ["PVEAuditor", "PlumblineBackup"],
      "/vms": ["PVEAuditor", "PlumblineBackup"],
    };
    const onOne = await check([await target(backups, { users: [userWith(acl)] })]);
    expect(onOne.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("names the nodes whose disks take too long to be asked for their health", async () => {
    const physicalDisks = { smartIntervalMs: 3_600_000, excludeNodes: ["pve2"] };
    const quick = await check([await target({ physicalDisks })]);
    expect(about(quick, "home, physical-disks").map(({ message }) => message)).toEqual(["works"]);
    const slow = await check([await target({ physicalDisks }, { knobs: { smartMs: 3000 } })], 2000);
    expect(about(slow, "home, physical-disks")).toEqual([
      {
        level: "warning",
        subject: "home, physical-disks",
        message: "the health of the disks of pve1, pve3 did not come in the time of this check",
        remedy: expect.stringMatching(/--scrape\.timeout.*exclude_nodes/),
      },
    ]);
  });

  test("tells a refused token once, with the lines that make one, and without the secret", async () => {
    const findings = await check([await target({}, {}, {}, "planted-token")]);
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({ level: "error", subject: "home" });
    expect(findings[0]?.remedy).toMatch(/journalctl -u pveproxy.*\npveum role add Plumbline/s);
    expect(JSON.stringify(findings)).not.toContain("planted");
  });

  test("tells a certificate that nobody vouches for once, with what to set", async () => {
    const trusting = await target();
    const strict = { ...trusting, module: { ...trusting.module, tls: { verify: true } } };
    const findings = await check([strict]);
    expect(findings).toHaveLength(1);
    expect(findings[0]?.remedy).toMatch(/ca_file.*fingerprint/);
  });

  test("does not ask for rights where the authority's file is missing", async () => {
    const trusting = await target();
    const lost = {
      ...trusting,
      module: { ...trusting.module, tls: { verify: true, caFile: "/lost/ca.pem" } },
    };
    const findings = await check([lost]);
    expect(findings).toHaveLength(1);
    expect(findings[0]?.message).toBe(
      "cannot use the CA file /lost/ca.pem: no such file; copy the cluster's /etc/pve/pve-root-ca.pem there, for plumbline's user to read",
    );
    expect(findings[0]?.remedy).toBeUndefined();
  });

  test("says where to look for a host that does not answer", async () => {
    const findings = await check([{ ...(await target()), endpoints: ["https://127.0.0.1:1"] }]);
    expect(findings).toHaveLength(1);
    expect(findings[0]?.remedy).toContain("does pveproxy run there");
  });

  test("says that the clock of the cluster is another", async () => {
    const findings = await check([await target({}, {}, { since: Date.now() - 90_000 })]);
    expect(about(findings, "home")[1]).toMatchObject({
      level: "warning",
      message: expect.stringMatching(/ (89|90|91) s behind this host's/),
      remedy: expect.stringContaining("NTP"),
    });
  });

  test("says that there are more guests than guest_limit", async () => {
    const findings = await check([await target({ configGuestLimit: 2 })]);
    expect(about(findings, "home, config")).toEqual([
      expect.objectContaining({
        level: "ok",
        message: "left out: 6 × limit",
        remedy: expect.stringContaining("guest_limit"),
      }),
    ]);
  });

  test("says that two targets are one cluster", async () => {
    const first = await target();
    const findings = await check([first, { ...first, name: "again" }]);
    expect(about(findings, "home, again")).toEqual([
      expect.objectContaining({
        level: "warning",
        remedy: expect.stringContaining("endpoints of one target"),
      }),
    ]);
  });

  test("says that two clusters bear one name", async () => {
    const other = await target({ name: "other" }, {}, { nodes: 5 });
    const findings = await check([await target(), other]);
    expect(about(findings, "home, other")).toEqual([
      expect.objectContaining({ level: "warning", remedy: expect.stringContaining("`cluster`") }),
    ]);
  });
});
