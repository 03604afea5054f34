/**
 * The alerts of a bad day of a Proxmox VE cluster. A real Prometheus that scrapes a real plumbline gives them moment by
 * moment, with seconds in the place of minutes; then its rule engine gives them over the whole hour, by the rules' own
 * clock, and is silent of what is over before it matters.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../../.ci/build.ts";
import { PveApi } from "../../../src/demo/pve-api.ts";
import { PveCluster, type PveState } from "../../../src/demo/pve-cluster.ts";
import {
  LIVING_PVE_MOMENTS,
  LIVING_PVE_SIZE,
  livingPveCluster,
} from "../../../src/demo/pve-living-cluster.ts";
import { expectFiring, firingAlert } from "../../support/csi-alerts.ts";
import { describeWith, PROMETHEUS, PROMTOOL } from "../../support/debian.ts";
import { startPrometheus } from "../../support/prometheus.ts";
import { recordPveDay } from "../../support/pve-day.ts";
import { judgedByPromtool } from "../../support/pve-day-rules.ts";
import { FROM_SOURCES } from "../../support/source-runs.ts";
import { ONLY_PVE, PveDirectory, READER, serve } from "./service.ts";

/** As they are in the repository, but that an alert fires after two seconds. Of a replication that is late tells the hour. */
const hastyRules = (): string =>
  readFileSync(join(ROOT, "deploy/prometheus/pve.rules.yml"), "utf8").replaceAll(
    /^( +)for: (?!30m).*$/gm,
    "$1for: 2s",
  );

/** The demo's cluster, which is put into one moment after another, each of them now. */
class MovedCluster extends PveCluster {
  #inner = livingPveCluster(() => 0, Date.now());

  constructor() {
    super(LIVING_PVE_SIZE);
  }

  moveTo(atMs: number): void {
    this.#inner = livingPveCluster(() => atMs, Date.now() - atMs);
  }

  override at(): PveState {
    return this.#inner.at();
  }
}

const node3 = { node: "pve3" };
const drive = { node: "pve1", devpath: "/dev/nvme0n1", state: "failed" };
const pool = { node: "pve1", pool: "rpool", state: "ONLINE" };
const MOVED = ["ct:102", "ct:120", "vm:104", "vm:122"];

const NODE_DOWN = firingAlert("PveNodeDown", "critical", { id: "node/pve3" });
const HA_NODE_LOST = firingAlert("PveHaNodeLost", "critical", node3);
const DISK_FAILED = firingAlert("PveDiskFailed", "critical", drive);
const POOL_DEGRADED = firingAlert("PveZfsPoolNotOnline", "critical", pool);
const NO_QUORUM = firingAlert("PveNoQuorum", "critical", { id: "cluster/home" });
const SERVICE_ERROR = firingAlert("PveHaServiceError", "critical", { sid: "ct:102", state: "error" });
const SMB_OUT_OF_REACH = firingAlert("PveStorageUnavailable", "warning", {
  ...node3,
  id: "storage/pve3/smb",
});
const BACKUP_FAILED = firingAlert("PveGuestBackupFailed", "warning", { id: "qemu/103" });
const NOT_VERIFIED = firingAlert("PveBackupVerifyFailed", "critical", {
  ...{ id: "qemu/107", storage: "pbs", state: "failed" },
});
const GUESTS_DOWN = ["qemu/110", "qemu/121"].map((id) => firingAlert("PveGuestDown", "warning", { id }));
const SMB_FULL = ["pve1", "pve2"].map((node) =>
  firingAlert("PveStorageFull", "warning", { id: `storage/${node}/smb` }),
);
const CERTIFICATE = firingAlert("PveCertificateExpires", "warning", {
  ...{ node: "pve1", filename: "pveproxy-ssl.pem" },
});
const stuck = (...services: string[]) =>
  services.map((sid) => firingAlert("PveHaServiceStuck", "warning", { sid }));

/** What is so in every moment, and the whole cluster or pve1 tells. */
const FOR_LONG = [
  ...[NOT_VERIFIED, CERTIFICATE, ...SMB_FULL],
  firingAlert("PveGuestBackupOld", "warning", { id: "qemu/103" }),
  ...["lxc/108", "lxc/117"].map((id) => firingAlert("PveGuestNeverBackedUp", "warning", { id })),
  firingAlert("PveGuestsNotInBackupJob", "info", { id: "cluster/home" }),
];
/** What pve2 and pve3 tell. */
const OF_NODES = [
  ...[BACKUP_FAILED, ...GUESTS_DOWN],
  firingAlert("PveDiskWorn", "warning", { node: "pve2", devpath: "/dev/nvme1n1" }),
];
const LOST = [...OF_NODES, NODE_DOWN, HA_NODE_LOST];
const BROKEN = [DISK_FAILED, POOL_DEGRADED];
const WELL = [...OF_NODES, SMB_OUT_OF_REACH];

/** By the moment, beside what is so for long. */
const AT_ONCE: Readonly<Record<string, readonly string[]>> = {
  "all well": WELL,
  "node lost": LOST,
  "node fenced": [...LOST, ...stuck(...MOVED)],
  "services in recovery, and a drive failed": [...LOST, ...stuck(...MOVED), ...BROKEN],
  "services recovered": [...LOST, ...BROKEN],
  "node forgotten by its statistics": [...LOST, ...BROKEN],
  "drive replaced": [...LOST],
  "node back": WELL,
  "services on their way back": [...WELL, ...stuck(...MOVED)],
  "services back": WELL,
  "maintenance begins": [...WELL, ...stuck("ct:108")],
  maintenance: WELL,
  "maintenance over": WELL,
  // The node that is asked is alone, and knows nothing of the others.
  "no quorum": [
    NO_QUORUM,
    ...["pve2", "pve3"].map((node) => firingAlert("PveNodeDown", "critical", { id: `node/${node}` })),
    ...["pve1", "pve2", "pve3"].map((node) => firingAlert("PveHaLrmStale", "warning", { node })),
    firingAlert("PveCollectorFailing", "warning", { target: "home", collector: "pve-replication" }),
  ],
  "quorum back": WELL,
  "service in error": [...WELL, SERVICE_ERROR, firingAlert("PveGuestDown", "warning", { id: "lxc/102" })],
  "service repaired": WELL,
};

/** The minutes of the hour in which an alert fires, and there is no other. */
const BY_THE_CLOCK: readonly (readonly [
  alert: string,
  ...minutes: (readonly [first: number, last: number])[],
])[] = [
  [HA_NODE_LOST, [3, 12]],
  [NODE_DOWN, [4, 11]],
  [DISK_FAILED, [3, 9]],
  [POOL_DEGRADED, [4, 9]],
  [NO_QUORUM, [45, 46]],
  [SERVICE_ERROR, [51, 55]],
  // Of these tell slow readings, which come one a scrape.
  [NOT_VERIFIED, [4, 60]],
  [BACKUP_FAILED, [5, 43], [47, 60]],
  [SMB_OUT_OF_REACH, [22, 43], [57, 60]],
  ...GUESTS_DOWN.map((alert) => [alert, [10, 43], [57, 60]] as const),
  ...SMB_FULL.map((alert) => [alert, [15, 60]] as const),
  [CERTIFICATE, [60, 60]],
];

describeWith([PROMETHEUS], "in a bad day of Proxmox VE", () => {
  test("those alerts fire at each of its moments that are about it, and no others", async () => {
    const cluster = new MovedCluster();
    await using api = new PveApi(cluster, { users: [READER] });
    using directory = new PveDirectory();
    const collectors = { backups: true, "physical-disks": { smart_interval: 0 } };
    const target = directory.target("home", [await api.start()], { collectors });
    await using service = await serve(FROM_SOURCES, [...ONLY_PVE, `--config.file=${directory.pve(target)}`]);
    await using prometheus = await startPrometheus(
      `static_configs: [{ targets: ["${new URL(service.origin).host}"] }]`,
      { rules: hastyRules() },
    );
    for (const [name, atMs] of LIVING_PVE_MOMENTS) {
      cluster.moveTo(atMs);
      await expectFiring(prometheus, ...FOR_LONG, ...(AT_ONCE[name] ?? []));
    }
  }, 400_000);
});

describeWith([PROMTOOL], "in the hour that is recorded of it", () => {
  test("each alert fires from the minute on that its rule says, until it is over, and no other does", async () => {
    const { scrapes } = await recordPveDay(EVERY_MS);
    const firing = (minute: number) =>
      BY_THE_CLOCK.flatMap(([alert, ...minutes]) =>
        minutes.some(([first, last]) => first <= minute && minute <= last) ? [alert] : [],
      );
    expect(await judgedByPromtool(scrapes, EVERY_MS, firing)).toBe("");
  }, 120_000);
});

const EVERY_MS = 30_000;
