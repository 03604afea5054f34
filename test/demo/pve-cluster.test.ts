/** The simulated Proxmox VE cluster over time, as its answers tell of it. */
import { describe, expect, test } from "bun:test";
import { PveCluster, type PveClusterSize } from "../../src/demo/pve-cluster.ts";
import type { PveHappening } from "../../src/demo/pve-events.ts";
import { LIVING_PVE_MOMENTS, LIVING_PVE_SHOWS, livingPveCluster } from "../../src/demo/pve-living-cluster.ts";
import { answered, rows } from "../support/pve-asking.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const SMALL: PveClusterSize = { nodes: 3, guests: 24, release: "9.2" };

const clusterOf = (happenings: readonly PveHappening[], size: Partial<PveClusterSize> = {}) =>
  new PveCluster({ ...SMALL, ...size }, { happenings });

/** Node states of the HA manager, and where and how its services are. */
function ha(cluster: PveCluster, atMs: number) {
  const told = JSON.parse(JSON.stringify(answered(cluster, "/cluster/ha/status/manager_status", atMs)));
  const { master_node, timestamp, node_status, service_status } = told.manager_status;
  return {
    master: master_node,
    timestamp,
    nodes: node_status,
    services: service_status,
    lrm: told.lrm_status,
  };
}

const resource = (cluster: PveCluster, id: string, atMs: number) =>
  rows(cluster, "/cluster/resources", atMs).find((row) => row["id"] === id);

describe("a moment", () => {
  const everything = (cluster: PveCluster, atMs: number) =>
    [
      "/cluster/resources",
      "/cluster/ha/status/manager_status",
      "/nodes/pve1/disks/list",
      "/nodes/pve2/qemu",
    ].map((path) => answered(cluster, path, atMs));
  const lost: PveHappening = { atMs: MINUTE, kind: "node", node: "pve3", condition: "offline" };

  test("is the same in another cluster of the same size, seed and history", () => {
    expect(everything(clusterOf([lost]), 5 * MINUTE)).toEqual(everything(clusterOf([lost]), 5 * MINUTE));
  });

  test("is the same however the cluster came to it", () => {
    const cluster = clusterOf([lost]);
    const first = everything(cluster, 3 * MINUTE);
    everything(cluster, 2 * HOUR);
    everything(cluster, 0);
    for (let at = 0; at < 3 * MINUTE; at += 7 * SECOND) cluster.at(at);
    expect(everything(cluster, 3 * MINUTE)).toEqual(first);
  });

  test("is another with another seed", () => {
    const [one, two] = [clusterOf([], { seed: 1 }), clusterOf([], { seed: 2 })];
    expect(everything(one, 0)).not.toEqual(everything(two, 0));
  });

  test("that was taken does not change when the cluster goes on", () => {
    const cluster = clusterOf([lost]);
    const before = cluster.at(0);
    cluster.at(5 * MINUTE);
    expect(before.nodes.get("pve3")).toMatchObject({ condition: "online", crm: "online" });
  });
});

describe("a node that loses its power", () => {
  const cluster = clusterOf([
    { atMs: MINUTE, kind: "node", node: "pve3", condition: "offline" },
    { atMs: 20 * MINUTE, kind: "node", node: "pve3", condition: "online" },
  ]);

  test.each([
    [55, "online", "started", "pve3"],
    [75, "unknown", "started", "pve3"],
    [135, "fence", "fence", "pve3"],
    [195, "unknown", "recovery", "pve3"],
    [300, "unknown", "started", "pve2"],
    [1215, "online", "started", "pve2"],
  ])("is after %i s: %s, its service: %s on %s", (seconds, node, service, on) => {
    const { nodes, services } = ha(cluster, seconds * SECOND);
    expect(nodes.pve3).toBe(node);
    expect(services["ct:102"]).toMatchObject({ state: service, node: on });
  });

  test("leaves the last words of its LRM, even if they are: active", () => {
    const { lrm } = ha(cluster, 10 * MINUTE);
    expect(lrm.pve3).toMatchObject({ state: "active", mode: "active" });
    expect(lrm.pve1.timestamp - lrm.pve3.timestamp).toBeWithin(530, 550);
  });

  test("is offline with what it has, but without what it uses", () => {
    const row = resource(cluster, "node/pve3", 2 * MINUTE);
    expect(row).toMatchObject({ status: "offline", maxcpu: expect.any(Number), level: "" });
    for (const key of ["cpu", "mem", "disk", "uptime"]) expect(row).not.toHaveProperty(key);
  });

  test("has guests that are told of for five minutes, and then have no name", () => {
    const left = (atMs: number) => resource(cluster, "qemu/106", atMs);
    expect(left(5 * MINUTE)).toMatchObject({ status: "running", name: expect.any(String) });
    expect(left(7 * MINUTE)).toEqual({
      id: "qemu/106",
      type: "qemu",
      vmid: 106,
      node: "pve3",
      pool: "team-a",
      status: "unknown",
    });
    expect(resource(cluster, "node/pve3", 7 * MINUTE)).toEqual({
      id: "node/pve3",
      type: "node",
      node: "pve3",
      status: "offline",
    });
  });

  test("counts its uptime from its return, and so do the guests that stayed on it", () => {
    const at = 21 * MINUTE;
    expect(resource(cluster, "node/pve3", at)?.["uptime"]).toBe(60);
    expect(resource(cluster, "qemu/106", at)?.["uptime"]).toBe(60);
  });

  test("lets replication to it fail, and succeed again", () => {
    const job = (atMs: number) =>
      rows(cluster, "/nodes/pve2/replication", atMs).find(({ id }) => id === "101-0");
    expect(job(0)).toMatchObject({ fail_count: 0, target: "pve3" });
    const failing = job(19 * MINUTE);
    expect(failing).toMatchObject({ fail_count: 1, next_sync: 0, error: expect.any(String) });
    expect(failing?.["last_sync"]).toBe(job(0)?.["last_sync"]);
    expect(job(30 * MINUTE)).toMatchObject({ fail_count: 0 });
  });

  test("takes down its part of Ceph", () => {
    expect(answered(cluster, "/cluster/ceph/status", 0)).toMatchObject({ health: { status: "HEALTH_OK" } });
    expect(answered(cluster, "/cluster/ceph/status", 2 * MINUTE)).toMatchObject({
      health: { status: "HEALTH_WARN", checks: { OSD_DOWN: { severity: "HEALTH_WARN" } } },
      osdmap: { num_osds: 6, num_up_osds: 4 },
    });
  });

  test("is not fenced if it returns in time", () => {
    const brief = clusterOf([
      { atMs: MINUTE, kind: "node", node: "pve3", condition: "offline" },
      { atMs: 1.8 * MINUTE, kind: "node", node: "pve3", condition: "online" },
    ]);
    expect(ha(brief, 1.5 * MINUTE).nodes.pve3).toBe("unknown");
    expect(ha(brief, 10 * MINUTE).nodes.pve3).toBe("online");
    expect(ha(brief, 10 * MINUTE).services["ct:102"]).toMatchObject({ node: "pve3", state: "started" });
  });

  test("takes the HA manager with it until another node takes over", () => {
    const headless = clusterOf([{ atMs: MINUTE, kind: "node", node: "pve1", condition: "offline" }]);
    const from = (atMs: number) =>
      JSON.parse(
        JSON.stringify(answered(headless, "/cluster/ha/status/manager_status", atMs, { node: "pve2" })),
      ).manager_status;
    expect(from(2 * MINUTE)).toMatchObject({ master_node: "pve1", node_status: { pve1: "online" } });
    expect(from(2 * MINUTE).timestamp).toBe(from(MINUTE).timestamp);
    expect(from(3.5 * MINUTE)).toMatchObject({ master_node: "pve2", node_status: { pve1: "unknown" } });
  });

  test("is gone once it is removed, and forgotten an hour later", () => {
    const removed = clusterOf([{ atMs: MINUTE, kind: "node", node: "pve3", condition: "removed" }]);
    expect(ha(removed, 30 * MINUTE).nodes.pve3).toBe("gone");
    expect(ha(removed, 30 * MINUTE).lrm.pve3).toEqual({ mode: "unknown" });
    expect(ha(removed, 90 * MINUTE).nodes).toEqual({ pve1: "online", pve2: "online" });
    expect(rows(removed, "/cluster/status", 2 * MINUTE).map(({ name }) => name)).not.toContain("pve3");
  });
});

describe("maintenance", () => {
  const cluster = clusterOf([
    { atMs: MINUTE, kind: "maintenance", node: "pve2", on: true },
    { atMs: 10 * MINUTE, kind: "maintenance", node: "pve2", on: false },
  ]);

  test("sends HA services away, which remember where they came from", () => {
    expect(ha(cluster, MINUTE + 5 * SECOND).services["ct:108"]).toMatchObject({
      state: "migrate",
      node: "pve2",
      target: expect.stringMatching(/^pve[13]$/),
    });
    const { nodes, services, lrm } = ha(cluster, 5 * MINUTE);
    expect(nodes.pve2).toBe("maintenance");
    expect(lrm.pve2.mode).toBe("maintenance");
    expect(services["ct:108"]).toMatchObject({ state: "started", maintenance_node: "pve2" });
    expect(services["ct:108"].node).not.toBe("pve2");
  });

  test("gives them back at its end", () => {
    const { nodes, services } = ha(cluster, 11 * MINUTE);
    expect(nodes.pve2).toBe("online");
    expect(services["ct:108"]).toMatchObject({ state: "started", node: "pve2" });
    expect(services["ct:108"]).not.toHaveProperty("maintenance_node");
  });

  test("leaves other guests where they are", () => {
    expect(resource(cluster, "qemu/103", 5 * MINUTE)).toMatchObject({ node: "pve2" });
  });
});

describe("a migration", () => {
  const cluster = clusterOf([{ atMs: MINUTE, kind: "migrate", vmid: 100, to: "pve2" }]);

  test("locks the guest, whose configuration then lies on the other node", () => {
    expect(resource(cluster, "qemu/100", MINUTE + SECOND)).toMatchObject({ node: "pve1", lock: "migrate" });
    expect(resource(cluster, "qemu/100", 2 * MINUTE)).toMatchObject({ node: "pve2" });
    expect(resource(cluster, "qemu/100", 2 * MINUTE)).not.toHaveProperty("lock");
    expect(() => answered(cluster, "/nodes/pve1/qemu/100/config", 2 * MINUTE)).toThrow(
      "Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist",
    );
    expect(answered(cluster, "/nodes/pve2/qemu/100/config", 2 * MINUTE)).toMatchObject({
      cores: expect.any(Number),
    });
  });

  test("does not interrupt a virtual machine", () => {
    const uptime = (atMs: number) => Number(resource(cluster, "qemu/100", atMs)?.["uptime"]);
    expect(uptime(5 * MINUTE) - uptime(0)).toBe(300);
  });
});

describe("without a quorum", () => {
  const cluster = clusterOf([
    { atMs: MINUTE, kind: "quorum", quorate: false },
    { atMs: 5 * MINUTE, kind: "quorum", quorate: true },
  ]);

  test("each node sees itself alone, and the HA manager stands still", () => {
    const atMs = 3 * MINUTE;
    const status = rows(cluster, "/cluster/status", atMs, { node: "pve2" });
    expect(status.find(({ type }) => type === "cluster")).toMatchObject({ quorate: false });
    expect(status.filter(({ online }) => online === true).map(({ name }) => name)).toEqual(["pve2"]);
    expect(ha(cluster, atMs).timestamp).toBe(ha(cluster, MINUTE).timestamp);
    expect(ha(cluster, atMs).nodes.pve3).toBe("online");
    expect(() => answered(cluster, "/nodes/pve1/replication", atMs)).toThrow("no quorum!");
  });

  test("nothing is lost when it comes back", () => {
    const status = rows(cluster, "/cluster/status", 6 * MINUTE);
    expect(status.find(({ type }) => type === "cluster")).toMatchObject({ quorate: true });
    expect(ha(cluster, 6 * MINUTE).timestamp).toBeGreaterThan(ha(cluster, 3 * MINUTE).timestamp);
  });

  test("one node can be alone, which the others then fence", () => {
    const split = clusterOf([{ atMs: 0, kind: "quorum", quorate: false, nodes: ["pve3"] }]);
    const quorate = (node: string) =>
      rows(split, "/cluster/status", 5 * MINUTE, { node }).find(({ type }) => type === "cluster")?.[
        "quorate"
      ];
    expect([quorate("pve1"), quorate("pve3")]).toEqual([true, false]);
    expect(ha(split, 5 * MINUTE).services["ct:102"].node).not.toBe("pve3");
  });

  test("two of three nodes that are down leave the last one without", () => {
    const down = ["pve2", "pve3"].map(
      (node) => ({ atMs: 0, kind: "node", node, condition: "offline" }) as const,
    );
    const cluster = clusterOf(down);
    expect(rows(cluster, "/cluster/status", MINUTE).find(({ type }) => type === "cluster")).toMatchObject({
      quorate: false,
    });
    expect(ha(cluster, HOUR).services["ct:102"].state).toBe("started");
  });
});

describe("what moves", () => {
  const cluster = clusterOf([]);

  test("counters and uptimes grow with the clock, by what they moved", () => {
    const [before, after] = [resource(cluster, "qemu/100", 0), resource(cluster, "qemu/100", 10 * MINUTE)];
    const grown = (key: string) => Number(after?.[key]) - Number(before?.[key]);
    expect(grown("uptime")).toBe(600);
    for (const key of ["netin", "netout", "diskread", "diskwrite"]) {
      expect(grown(key)).toBeGreaterThan(0);
      expect(grown(key) % 600).toBe(0);
    }
  });

  test("is told every ten seconds", () => {
    const uptime = (atMs: number) => resource(cluster, "qemu/100", atMs)?.["uptime"];
    expect(uptime(19 * SECOND)).toBe(uptime(10 * SECOND));
    expect(uptime(20 * SECOND)).not.toBe(uptime(19 * SECOND));
  });

  test("a living LRM writes its stamp every five seconds", () => {
    for (const seconds of [0, 3, 61, 119]) {
      const { lrm } = ha(cluster, seconds * SECOND);
      expect(1_774_000_000 + seconds - lrm.pve2.timestamp).toBeWithin(0, 6);
    }
  });
});

describe("drives", () => {
  const cluster = clusterOf(
    [
      { atMs: MINUTE, kind: "drive", node: "pve1", devpath: "/dev/nvme0n1", health: "FAILED!" },
      { atMs: 2 * MINUTE, kind: "drive", node: "pve1", devpath: "/dev/nvme0n1", remaining: 1 },
      { atMs: 3 * MINUTE, kind: "drive", node: "pve1", devpath: "/dev/nvme1n1", health: "FAILED!" },
    ],
    { ceph: false },
  );
  const drive = (path: string, atMs: number) =>
    rows(cluster, path, atMs).find(({ devpath }) => devpath === "/dev/nvme0n1");

  test("fail and wear out, and take their pool with them", () => {
    expect(drive("/nodes/pve1/disks/list", 0)).toMatchObject({ health: "PASSED" });
    expect(drive("/nodes/pve1/disks/list", 2 * MINUTE)).toMatchObject({ health: "FAILED!", wearout: 1 });
    const rpool = (atMs: number) =>
      rows(cluster, "/nodes/pve1/disks/zfs", atMs).find(({ name }) => name === "rpool");
    expect([0, MINUTE, 3 * MINUTE].map((atMs) => rpool(atMs)?.["health"])).toEqual([
      "ONLINE",
      "DEGRADED",
      "FAULTED",
    ]);
    expect(rpool(3 * MINUTE)).toMatchObject({ size: 0, alloc: 0, free: 0 });
  });

  test("say nothing of their health when smartctl is skipped", () => {
    const unasked = drive("/nodes/pve1/disks/list?skipsmart=1", 2 * MINUTE);
    expect(unasked).toMatchObject({
      health: "UNKNOWN",
      wearout: "N/A",
      serial: drive("/nodes/pve1/disks/list", 0)?.["serial"],
    });
  });
});

describe("backups", () => {
  const may = { "/": ["PVEAuditor", "PlumblineBackup"] };
  const user = { name: "backup@pve", acl: may };
  const newest = (cluster: PveCluster, vmid: number, atMs: number) => {
    const list = rows(cluster, "/nodes/pve1/storage/pbs/content?content=backup", atMs, { user });
    return Math.max(...list.filter((row) => row["vmid"] === vmid).map(({ ctime }) => Number(ctime)));
  };
  const cluster = clusterOf([
    { atMs: 2 * DAY, kind: "backup", vmid: 103, fails: true },
    { atMs: 5 * DAY, kind: "backup", vmid: 103, fails: false },
  ]);

  test("are made every night, until they fail, and from then on again", () => {
    const age = (days: number) => 1_774_000_000 + days * 86_400 - newest(cluster, 103, days * DAY);
    expect(age(1)).toBeLessThan(86_400);
    expect(age(4.9)).toBeGreaterThan(2 * 86_400);
    expect(age(6)).toBeLessThan(86_400);
  });

  test("that fail leave a task that says so", () => {
    const status = (days: number) =>
      rows(cluster, "/nodes/pve2/tasks?typefilter=vzdump&limit=200", days * DAY)
        .filter(({ id }) => id === "103")
        .toSorted((a, b) => Number(b["starttime"]) - Number(a["starttime"]))[0]?.["status"];
    expect([status(2), status(4), status(6)]).toEqual(["OK", "command 'vzdump' failed: exit code 1", "OK"]);
  });
});

test("a service can be in error, and the stack be disarmed", () => {
  const cluster = clusterOf([
    { atMs: MINUTE, kind: "guest", vmid: 100, status: "error" },
    { atMs: 2 * MINUTE, kind: "disarm", mode: "freeze" },
    { atMs: 5 * MINUTE, kind: "arm" },
  ]);
  const armed = (atMs: number) =>
    rows(cluster, "/cluster/ha/status/current", atMs).find(({ type }) => type === "fencing")?.["armed-state"];
  expect(ha(cluster, 90 * SECOND).services["vm:100"].state).toBe("error");
  expect(resource(cluster, "qemu/100", 90 * SECOND)).toMatchObject({ status: "stopped", hastate: "error" });
  expect([0, 2.1, 3, 6].map((minute) => armed(minute * MINUTE))).toEqual([
    "armed",
    "disarming",
    "disarmed",
    "armed",
  ]);
  expect(ha(cluster, 3 * MINUTE).lrm.pve1.mode).toBe("disarm");
});

describe("the releases", () => {
  const keys = (value: unknown) => (typeof value === "object" && value !== null ? Object.keys(value) : []);
  const of = (release: PveClusterSize["release"], path: string) => rows(clusterOf([], { release }), path);
  const running = (list: ReturnType<typeof rows>) => list.find(({ status }) => status === "running");

  test("8 has no pressure, no memhost, no memory.available, no armed state, and SDN rows of its own", () => {
    const old = clusterOf([], { release: "8.4" });
    expect(keys(running(rows(old, "/nodes/pve1/qemu"))).filter((key) => key.startsWith("pressure"))).toEqual(
      [],
    );
    expect(running(rows(old, "/cluster/resources"))).not.toHaveProperty("memhost");
    expect(answered(old, "/nodes/pve1/status")).not.toHaveProperty("memory.available");
    const types = (path: string) => new Set(rows(old, path).map(({ type }) => type));
    expect(types("/cluster/ha/status/current").has("fencing")).toBe(false);
    expect([types("/cluster/resources").has("sdn"), types("/cluster/resources").has("network")]).toEqual([
      true,
      false,
    ]);
  });

  test("9 has them, containers' pressure as texts", () => {
    expect(running(of("9.2", "/nodes/pve1/qemu"))).toMatchObject({ pressureiosome: expect.any(Number) });
    expect(running(of("9.2", "/nodes/pve3/lxc"))).toMatchObject({
      pressureiosome: expect.stringMatching(/^\d+\.\d\d$/),
    });
    const types = new Set(of("9.2", "/cluster/resources").map(({ type }) => type));
    expect([types.has("sdn"), types.has("network")]).toEqual([false, true]);
  });

  test("groups are of 8, failback is of 9", () => {
    const resources = (release: PveClusterSize["release"]) =>
      of(release, "/cluster/ha/resources").flatMap(keys);
    expect(resources("8.4")).toContain("group");
    expect(resources("8.4")).not.toContain("failback");
    expect(resources("9.2")).toContain("failback");
    expect(resources("9.2")).not.toContain("group");
  });

  test("during an upgrade each node answers for itself", () => {
    const mixed = clusterOf([], { release: "mixed" });
    expect(answered(mixed, "/nodes/pve1/status")).toHaveProperty("memory.available");
    expect(answered(mixed, "/nodes/pve2/status")).not.toHaveProperty("memory.available");
    expect(answered(mixed, "/version", 0, { node: "pve2" })).toMatchObject({ release: "8.4" });
  });
});

test("a standalone host has no row of a cluster, no QDevice, and never used HA", () => {
  const alone = new PveCluster({ nodes: 1, guests: 3, release: "9.2", standalone: true });
  expect(rows(alone, "/cluster/status")).toEqual([
    expect.objectContaining({ type: "node", nodeid: 0, local: true }),
  ]);
  expect(answered(alone, "/cluster/config/qdevice")).toEqual({});
  expect(answered(alone, "/cluster/ha/status/manager_status")).toEqual({
    manager_status: {},
    quorum: { node: "pve1", quorate: true },
  });
  expect(() => answered(alone, "/cluster/ceph/status")).toThrow("binary not installed: /usr/bin/ceph-mon");
});

test("a large cluster has what was ordered", () => {
  const size = { nodes: 32, guests: 5000, storages: 12, drivesPerNode: 24, release: "9.2" } as const;
  const counts = Map.groupBy(rows(new PveCluster(size), "/cluster/resources"), ({ type }) => type);
  const count = (type: string) => counts.get(type)?.length ?? 0;
  expect([count("node"), count("qemu") + count("lxc"), count("storage")]).toEqual([32, 5000, 32 * 12]);
  const ids = [...counts.values()].flat().map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  const drives = rows(new PveCluster(size), "/nodes/pve32/disks/list");
  expect(new Set(drives.map(({ devpath }) => devpath)).size).toBe(24);
});

describe("the cluster of the demo", () => {
  const cluster = livingPveCluster(() => 0);
  const view = (atMs: number) => JSON.stringify([ha(cluster, atMs).nodes, ha(cluster, atMs).services]);

  test("shows at each of its moments something else than at the one before", () => {
    const views = LIVING_PVE_MOMENTS.map(([, atMs]) =>
      JSON.stringify([
        view(atMs),
        rows(cluster, "/cluster/status", atMs).map(({ name, online, quorate }) => [name, online, quorate]),
        rows(cluster, "/nodes/pve1/disks/list", atMs).map(({ devpath, health }) => [devpath, health]),
        rows(cluster, "/cluster/resources", atMs).map(({ id, status }) => [id, status]),
      ]),
    );
    expect(views.filter((one, i) => one === views[i - 1])).toEqual([]);
  });

  test("ends each hour as it began it", () => {
    const HOURS = [1, 2, 40];
    for (const hour of HOURS) expect(view(hour * HOUR)).toBe(view(0));
  });

  test("has what its description names", () => {
    const told = JSON.stringify([
      rows(cluster, "/cluster/resources"),
      ["pve1", "pve2", "pve3"].map((node) => [node, rows(cluster, `/nodes/${node}/disks/list`)]),
      answered(cluster, "/cluster/ha/status/manager_status"),
    ]);
    const named = LIVING_PVE_SHOWS.flatMap(([subject]) => subject.match(/[\w/]+\d\w*|[a-z]+:\d+|smb/g) ?? []);
    expect(named.filter((name) => !told.includes(`"${name}"`))).toEqual([]);
  });
});
