/** Who leads, and that whoever does not writes nothing. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import * as v from "valibot";
import { LEASE_NAME, LEASE_TIMING } from "../../src/kubernetes/leader.ts";
import { CONFIG_MAP, LEASE, PLUMBLINE, SERVICE } from "../../src/kubernetes/object.ts";
import { Bed, eventually, metric, NAMESPACE, plumbline, quiet } from "./operating.ts";

setDefaultTimeout(60_000);

const LeaseSchema = v.looseObject({
  spec: v.looseObject({
    holderIdentity: v.string(),
    leaseDurationSeconds: v.number(),
    leaseTransitions: v.number(),
    renewTime: v.pipe(v.string(), v.regex(/\.\d{6}Z$/)),
  }),
});
const lease = (bed: Bed) => v.parse(LeaseSchema, bed.object(LEASE, LEASE_NAME)).spec;
const WRITES = new Set(["create", "patch", "apply", "delete"]);
const writes = (bed: Bed) =>
  bed.api.requests.filter(({ verb, resource }) => WRITES.has(verb) && resource !== "leases");

describe("of two replicas", () => {
  test("one leads and the other serves health only, and knows who leads", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const first = bed.operate({ leaderElect: true, identity: "one" });
    await eventually(() => first.operator.isLeader);
    const before = bed.api.requests.length;
    const second = bed.operate({ leaderElect: true, identity: "two" });
    await eventually(() => second.operator.isReady);
    expect(second.operator.isLeader).toBe(false);
    expect(second.operator.leader).toBe("one");
    expect(second.operator.exporterPods().pods).toEqual([]);
    await bed.settled();
    const lists = bed.api.requests
      .slice(before)
      .filter(({ verb, resource }) => verb === "list" && resource === "pods");
    expect(lists.length).toBeLessThanOrEqual(1);
    expect(await metric(first.own, "plumbline_operator_leader")).toBe(1);
    expect(await metric(second.own, "plumbline_operator_leader")).toBe(0);
    expect(await metric(second.own, "plumbline_operator_daemonset_pods_desired")).toBeUndefined();
  });

  test("nobody leads for longer than 10 s without a renewal, of which there is one every 2 s, and a Lease is of 15 s", async () => {
    expect(LEASE_TIMING).toEqual({ durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 });
    await using bed = await Bed.start();
    const { operator } = bed.operate({ leaderElect: true, timing: {} });
    await eventually(() => operator.isLeader);
    expect(lease(bed).leaseDurationSeconds).toBe(15);
    const renewals = () =>
      bed.api.requests.filter(({ verb, resource }) => verb === "update" && resource === "leases");
    await eventually(() => renewals().length === 2);
    const [first = 0, second = 0] = renewals().map(({ at }) => at);
    expect(second - first).toBeGreaterThan(1900);
  });

  test("the other takes over at once when the leader ends and gives its Lease back", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const times = { lease: { durationMs: 60_000, renewDeadlineMs: 40_000, retryMs: 100 } };
    const first = bed.operate({ leaderElect: true, identity: "one", timing: times });
    await eventually(() => first.operator.isLeader);
    const second = bed.operate({ leaderElect: true, identity: "two", timing: times });
    await eventually(() => second.operator.leader === "one");
    await first.stop();
    await eventually(() => second.operator.isLeader);
    expect(lease(bed)).toMatchObject({ leaseTransitions: 1, leaseDurationSeconds: 60 });
    expect(lease(bed).holderIdentity).toStartWith("two_");
  });

  test("the other takes over from a leader that is dead, only after the Lease has run out", async () => {
    await using bed = await Bed.start();
    bed.api.put({
      apiVersion: LEASE.apiVersion,
      kind: LEASE.kind,
      metadata: { name: LEASE_NAME, namespace: NAMESPACE },
      spec: {
        holderIdentity: "dead",
        leaseDurationSeconds: 15,
        leaseTransitions: 4,
        renewTime: "2001-01-01T00:00:00.000000Z",
      },
    });
    const { operator } = bed.operate({ leaderElect: true });
    await eventually(() => operator.leader === "dead");
    const startedAt = performance.now();
    expect(operator.isLeader).toBe(false);
    await eventually(() => operator.isLeader);
    expect(performance.now() - startedAt).toBeGreaterThan(1000);
    expect(lease(bed).leaseTransitions).toBe(5);
  });
});

describe("a leader", () => {
  test("whose Lease somebody else takes writes nothing more", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const { operator } = bed.operate({ leaderElect: true });
    await bed.settled();
    bed.api.edit(LEASE, LEASE_NAME, NAMESPACE, { spec: { holderIdentity: "other" } });
    await eventually(() => !operator.isLeader);
    const before = writes(bed).length;
    bed.api.remove(SERVICE, "plumbline-cluster", NAMESPACE);
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: { monitoring: { interval: "1m" } } });
    await Bun.sleep(300);
    expect(operator.isLeader).toBe(false);
    expect(writes(bed).length).toBe(before);
    expect(operator.exporterPods().pods).toEqual([]);
  });

  test("that cannot renew stops when its time is over, also in the middle of a write", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const { operator } = bed.operate({ leaderElect: true });
    await bed.settled();
    bed.api.fault({ kind: "silent" }, { verb: "apply" });
    using renewals = bed.api.fault({ kind: "status", status: 500 }, { resource: "leases" });
    bed.api.edit(CONFIG_MAP, "plumbline-cluster", NAMESPACE, { data: { "plumbline.yml": "# by hand\n" } });
    await eventually(() => !operator.isLeader);
    const before = writes(bed).length;
    await Bun.sleep(300);
    expect(writes(bed).length).toBe(before);
    expect(operator.exporterPods().pods).toEqual([]);
    renewals.end();
    await eventually(() => operator.isLeader);
  });

  test("that meets a conflict on its Lease looks again and goes on", async () => {
    await using bed = await Bed.start();
    const { operator } = bed.operate({ leaderElect: true });
    await eventually(() => operator.isLeader);
    bed.api.fault({ kind: "status", status: 409 }, { verb: "update", resource: "leases", times: 2 });
    await quiet(bed.api, 600);
    expect(operator.isLeader).toBe(true);
    expect(lease(bed).leaseTransitions).toBe(0);
  });

  test("whose Lease is deleted makes it again", async () => {
    await using bed = await Bed.start();
    const { operator } = bed.operate({ leaderElect: true });
    await eventually(() => operator.isLeader);
    bed.api.remove(LEASE, LEASE_NAME, NAMESPACE);
    await eventually(() => bed.object(LEASE, LEASE_NAME) !== undefined);
    expect(operator.isLeader).toBe(true);
  });

  test("that is told to stop gives its Lease back and ends its watches, within 5 s", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const { stop } = bed.operate({ leaderElect: true });
    await bed.settled();
    bed.api.fault({ kind: "silent" }, { verb: "apply" });
    bed.api.remove(SERVICE, "plumbline-cluster", NAMESPACE);
    const startedAt = performance.now();
    await stop();
    expect(performance.now() - startedAt).toBeLessThan(5000);
    expect(lease(bed).holderIdentity).toBe("");
    await eventually(() => bed.api.watches.length === 0);
  });

  test("gives its Lease back also if its last renewal was written and never answered", async () => {
    await using bed = await Bed.start();
    const { operator, stop } = bed.operate({ leaderElect: true });
    await eventually(() => operator.isLeader);
    const renewed = lease(bed).renewTime;
    bed.api.fault({ kind: "reset", isDone: true }, { verb: "update", resource: "leases", times: 1 });
    await eventually(() => lease(bed).renewTime !== renewed);
    await stop();
    expect(lease(bed).holderIdentity).toBe("");
  });

  test("that was asleep for longer than its Lease writes nothing when it wakes up", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const { operator } = bed.operate({ leaderElect: true });
    await bed.settled();
    const wake = performance.now() + 1200;
    while (performance.now() < wake);
    expect(operator.isLeader).toBe(false);
  });
});

test("a Lease with nonsense in it is taken when it has not changed for long enough", async () => {
  await using bed = await Bed.start();
  bed.api.put({
    apiVersion: LEASE.apiVersion,
    kind: LEASE.kind,
    metadata: { name: LEASE_NAME, namespace: NAMESPACE },
    spec: { holderIdentity: 7, leaseTransitions: "many", renewTime: "never" },
  });
  const { operator } = bed.operate({ leaderElect: true });
  await eventually(() => operator.isLeader);
});
