/** On which nodes the exporter fails, as the alert about them learns it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { podOf } from "../../src/kubernetes/controller/pods.ts";
import { POD } from "../../src/kubernetes/object.ts";
import { Bed, eventually, metric, plumbline } from "./operating.ts";

setDefaultTimeout(60_000);

const METRIC = "plumbline_operator_node_failing";

const pod = (ready: string, isContainerReady: boolean) => ({
  ...POD,
  metadata: { name: "plumbline-cluster-x", namespace: "plumbline", uid: "1" },
  spec: { nodeName: "worker-1" },
  status: {
    phase: "Running",
    conditions: [{ type: "Ready", status: ready }],
    containerStatuses: [{ ready: isContainerReady, state: {} }],
  },
});

test("a pod that is not ready although its container is has lost its node", () => {
  expect(podOf(pod("False", true)).trouble).toEqual({ reason: "NodeNotReady", isCertain: false });
  expect(podOf(pod("Unknown", true)).trouble?.reason).toBe("NodeNotReady");
});

test("a pod whose container is not ready has its own trouble, and a ready pod has none", () => {
  expect(podOf(pod("False", false)).trouble).toBeUndefined();
  expect(podOf(pod("True", true)).trouble).toBeUndefined();
});

test("a node is told of with the reason until its pod is ready again", async () => {
  await using bed = await Bed.start();
  bed.api.put(plumbline());
  const { own } = bed.operate();
  await bed.settled();
  expect(await metric(own, METRIC)).toBeUndefined();
  const [{ metadata } = { metadata: { name: "" } }] = bed.api.objects(POD, "plumbline");
  bed.api.setPod(metadata.name, "plumbline", "crash");
  await eventually(async () => (await metric(own, METRIC, { reason: "CrashLoopBackOff" })) === 1);
  bed.api.setPod(metadata.name, "plumbline", "ready");
  await eventually(async () => (await metric(own, METRIC)) === undefined);
});

test("no more nodes are told of than the status names, and none by a replica that does not lead", async () => {
  await using bed = await Bed.start({ nodes: 25 });
  bed.api.put(plumbline());
  const { own, stop } = bed.operate();
  await bed.settled();
  for (const { metadata } of bed.api.objects(POD, "plumbline"))
    bed.api.setPod(metadata.name, "plumbline", "crash");
  await eventually(() => bed.status()?.nodesFailing.length === 20);
  const series = async () =>
    [...(await own.samples()).families.values()].find(({ descriptor }) => descriptor.name === METRIC)?.values
      .length ?? 0;
  expect(await series()).toBe(20);
  await stop();
  expect(await series()).toBe(0);
});
