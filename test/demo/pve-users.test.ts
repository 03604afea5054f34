/** What users and tokens of the simulated Proxmox VE may see, and how they are told that they may not. */
import { describe, expect, test } from "bun:test";
import { PveCluster } from "../../src/demo/pve-cluster.ts";
import { AUDITOR, type PveAcl, rightsOf } from "../../src/demo/pve-users.ts";
import { answered, rows } from "../support/pve-asking.ts";

const cluster = new PveCluster({ nodes: 3, guests: 12, storages: 8, release: "9.2" });
const as = (acl: PveAcl) => ({ user: { name: "some@pve", acl } });
const types = (acl: PveAcl) =>
  new Set(rows(cluster, "/cluster/resources", 0, as(acl)).map(({ type }) => type));

describe("rights", () => {
  test("are inherited by deeper paths, unless one of these says otherwise", () => {
    const { can } = rightsOf({ name: "a@pve", acl: { "/": ["PVEAuditor"], "/vms/100": ["VM.Backup"] } });
    expect(can("Sys.Audit", "/nodes/pve1")).toBe(true);
    expect(can("VM.Audit", "/vms/101")).toBe(true);
    expect(can("VM.Audit", "/vms/100")).toBe(false);
    expect(can("VM.Backup", "/vms/100")).toBe(true);
  });

  test("of /vms/10 are not those of /vms/100", () => {
    const { can } = rightsOf({ name: "a@pve", acl: { "/vms/10": ["VM.Audit"] } });
    expect([can("VM.Audit", "/vms/10"), can("VM.Audit", "/vms/100")]).toEqual([true, false]);
  });

  test("of a token are those that its user has too", () => {
    const user = { name: "a@pve", acl: { "/": ["Sys.Audit", "VM.Audit"] } };
    const { can } = rightsOf(user, { secret: "", acl: { "/": ["Sys.Audit", "Datastore.Audit"] } });
    const held = ["Sys.Audit", "VM.Audit", "Datastore.Audit"].filter((privilege) => can(privilege, "/"));
    expect(held).toEqual(["Sys.Audit"]);
  });

  test("of a token without a list of its own are none, if it is separated", () => {
    expect(rightsOf(AUDITOR, { secret: "" }).can("Sys.Audit", "/")).toBe(false);
    expect(rightsOf(AUDITOR, { secret: "", privsep: false }).can("Sys.Audit", "/")).toBe(true);
  });
});

describe("without a right", () => {
  test.each([
    ["VM.Audit", ["node", "storage", "pool", "network"]],
    ["Datastore.Audit", ["node", "qemu", "lxc", "pool", "network"]],
    ["Pool.Audit", ["node", "qemu", "lxc", "storage", "network"]],
    ["SDN.Audit", ["node", "qemu", "lxc", "storage", "pool"]],
  ])("%s a kind of row is missing in /cluster/resources", (missing, left) => {
    const all = ["Sys.Audit", "VM.Audit", "Datastore.Audit", "Pool.Audit", "SDN.Audit"];
    expect(types({ "/": all.filter((privilege) => privilege !== missing) })).toEqual(new Set(left));
  });

  test("Sys.Audit on a node its row is thin", () => {
    const [node] = rows(cluster, "/cluster/resources", 0, as({}));
    expect(Object.keys(node ?? {}).toSorted()).toEqual(["id", "level", "node", "status", "type"]);
  });

  test("lists of guests, storages and jobs are empty", () => {
    for (const path of [
      "/nodes/pve1/qemu",
      "/nodes/pve1/lxc",
      "/nodes/pve1/storage",
      "/nodes/pve2/replication",
    ]) {
      expect(rows(cluster, path)).not.toEqual([]);
      expect(rows(cluster, path, 0, as({ "/": ["Sys.Audit"] }))).toEqual([]);
    }
  });

  test.each([
    ["/cluster/status", "(/, Sys.Audit)"],
    ["/cluster/config/qdevice", "(/, Sys.Audit)"],
    ["/cluster/backup-info/not-backed-up", "(/, Sys.Audit)"],
    ["/cluster/ha/status/manager_status", "(/, Sys.Audit)"],
    ["/cluster/ceph/status", "(/, Sys.Audit|Datastore.Audit)"],
    ["/nodes/pve2/status", "(/nodes/pve2, Sys.Audit)"],
    ["/nodes/pve2/rrddata?timeframe=hour", "(/nodes/pve2, Sys.Audit)"],
    ["/nodes/pve2/disks/zfs", "(/, Sys.Audit)"],
    ["/nodes/pve1/qemu/100/config", "(/vms/100, VM.Audit)"],
    ["/nodes/pve1/qemu/100/agent/get-fsinfo", "(/vms/100, VM.GuestAgent.Audit)"],
    ["/nodes/pve1/storage/pbs/content", "(/storage/pbs, Datastore.Audit|Datastore.AllocateSpace)"],
  ])("%s is refused, with what is missing: %s", (path, missing) => {
    expect(() => answered(cluster, path, 0, as({ "/": ["Pool.Audit"] }))).toThrow(
      `Permission check failed ${missing}`,
    );
  });

  test("the list of drives is refused without saying which, and given on the node as well as on /", () => {
    const list = (acl: PveAcl) => () => answered(cluster, "/nodes/pve1/disks/list", 0, as(acl));
    expect(list({})).toThrow(/^Permission check failed$/);
    expect(list({ "/nodes/pve1": ["Sys.Audit"] })).not.toThrow();
    expect(list({ "/": ["Sys.Audit"] })).not.toThrow();
  });

  test("anybody is told the version, the subscription's status and the certificates", () => {
    expect(answered(cluster, "/version", 0, as({}))).toHaveProperty("release");
    expect(answered(cluster, "/nodes/pve1/subscription", 0, as({}))).toEqual({
      status: "active",
      level: "c",
    });
    expect(answered(cluster, "/nodes/pve1/certificates/info", 0, as({}))).toHaveLength(3);
  });
});

describe("backups", () => {
  const list = (acl: PveAcl) => rows(cluster, "/nodes/pve1/storage/pbs/content?content=backup", 0, as(acl));

  test("are listed with both rights only; else the list is empty and nothing says why", () => {
    expect(list({ "/": ["PVEAuditor"] })).toEqual([]);
    expect(list({ "/": ["PVEAuditor", "Datastore.AllocateSpace"] })).toEqual([]);
    expect(list({ "/": ["PVEAuditor", "VM.Backup"] })).toEqual([]);
    expect(list({ "/": ["PVEAuditor", "PlumblineBackup"] })).not.toEqual([]);
  });

  test("are listed for the guests that one may back up", () => {
    const acl = { "/": ["PVEAuditor", "Datastore.AllocateSpace"], "/vms/101": ["VM.Audit", "VM.Backup"] };
    expect(new Set(list(acl).map(({ vmid }) => vmid))).toEqual(new Set([101]));
  });
});

test("everybody is told what they may", () => {
  const acl = { "/": ["PVEAuditor"], "/storage/pbs": ["Datastore.Audit"] };
  expect(answered(cluster, "/access/permissions", 0, as(acl))).toMatchObject({
    "/": { "Sys.Audit": 1, "VM.Audit": 1 },
    "/storage/pbs": { "Datastore.Audit": 1 },
  });
  expect(answered(cluster, "/access/permissions", 0, as({}))).toEqual({});
});

test("release 8 asks for another right on the guest agent, which the auditor does not have", () => {
  const old = new PveCluster({ nodes: 1, guests: 3, release: "8.4" });
  expect(() => answered(old, "/nodes/pve1/qemu/100/agent/get-fsinfo")).toThrow("(/vms/100, VM.Monitor)");
  const told = answered(old, "/access/permissions", 0, as({ "/": ["PVEAuditor"] }));
  expect(told).toMatchObject({ "/vms": { "VM.Audit": 1 } });
  expect(told).not.toMatchObject({ "/vms": { "VM.GuestAgent.Audit": 1 } });
});
