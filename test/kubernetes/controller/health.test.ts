import { describe, expect, test } from "bun:test";
import { HealthWatch } from "../../../src/kubernetes/controller/health.ts";
import { keepPod, podOf } from "../../../src/kubernetes/controller/pods.ts";
import type { KubernetesObject } from "../../../src/kubernetes/object.ts";

const PATIENCE = { runningMs: 100_000, pendingMs: 200_000 };

const pod = (status: object, more: object = {}, metadata: object = {}): KubernetesObject => ({
  metadata: { name: "p", uid: "u", ...metadata },
  spec: { nodeName: "node-1", containers: [{ name: "plumbline", image: "x" }], ...more },
  status,
});
const waiting = (reason: string) => ({
  phase: "Running",
  containerStatuses: [{ state: { waiting: { reason } } }],
});
const READY = { phase: "Running", podIP: "10.0.0.7", conditions: [{ type: "Ready", status: "True" }] };
const NOT_READY = { phase: "Running", conditions: [{ type: "Ready", status: "False" }] };
const TIED = {
  nodeName: undefined,
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["node-9"] }] }],
      },
    },
  },
};

const look = (pods: readonly KubernetesObject[], failing: readonly string[] = [], patience = PATIENCE) =>
  new HealthWatch(failing, patience).look(pods.map(keepPod).map(podOf), undefined);

describe("a node", () => {
  test.each([
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "CreateContainerConfigError",
    "CreateContainerError",
  ])("fails at once when its pod waits with %s", (reason) => {
    expect(look([pod(waiting(reason))]).failing).toEqual([{ node: "node-1", why: reason }]);
  });

  test("fails when its pod has failed, with a word of Kubernetes and no other text", () => {
    expect(look([pod({ phase: "Failed", reason: "Evicted" })]).failing).toEqual([
      { node: "node-1", why: "Evicted" },
    ]);
    expect(look([pod({ phase: "Failed", reason: "a\nb" })]).failing).toEqual([
      { node: "node-1", why: "Failed" },
    ]);
  });

  test("does not fail while its pod may still get ready, and is looked at again when the patience ends", () => {
    const starting = look([pod({ ...waiting("ContainerCreating"), phase: "Pending" })]);
    expect(starting.failing).toEqual([]);
    const { failing, againMs } = look([pod(NOT_READY)]);
    expect(failing).toEqual([]);
    expect(againMs).toBeGreaterThan(90_000);
  });

  test("fails when the patience has ended, also one that the pod could not be scheduled on", () => {
    const none = { runningMs: 0, pendingMs: 0 };
    expect(look([pod(NOT_READY)], [], none).failing).toEqual([{ node: "node-1", why: "not ready" }]);
    const unscheduled = pod(
      { phase: "Pending", conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable" }] },
      TIED,
    );
    expect(look([unscheduled]).failing).toEqual([]);
    expect(look([unscheduled], [], none).failing).toEqual([{ node: "node-9", why: "Unschedulable" }]);
  });

  test("that failed goes on failing until its pod is ready", () => {
    expect(look([pod(NOT_READY)], ["node-1"]).failing).toHaveLength(1);
    expect(look([pod(READY)], ["node-1"]).failing).toEqual([]);
  });

  test("does not fail while another pod of it is ready, or only one that leaves is not", () => {
    expect(look([pod(READY), pod(waiting("CrashLoopBackOff"), {}, { uid: "v", name: "q" })]).failing).toEqual(
      [],
    );
    const leaving = { deletionTimestamp: "2026-01-01T00:00:00Z" };
    expect(look([pod(waiting("CrashLoopBackOff"), {}, leaving)]).failing).toEqual([]);
  });

  test("without a pod counts when it has been so for too long", () => {
    const rollout = {
      configHash: "h",
      isObserved: true,
      desired: 3,
      scheduled: 1,
      updated: 1,
      ready: 1,
      unavailable: 2,
    };
    const pods = [podOf(keepPod(pod(READY)))];
    const none = { runningMs: 0, pendingMs: 0 };
    expect(new HealthWatch([], PATIENCE).look(pods, rollout)).toMatchObject({ withoutPod: 0 });
    expect(new HealthWatch([], none).look(pods, rollout)).toMatchObject({ withoutPod: 2 });
    const stale = { ...rollout, scheduled: 3, ready: 3 };
    expect(new HealthWatch([], none).look(pods, stale)).toMatchObject({ withoutPod: 2 });
    const unseen = { ...rollout, isObserved: false };
    expect(new HealthWatch([], PATIENCE).look(pods, unseen)).toMatchObject({ withoutPod: 0 });
    expect(new HealthWatch([], none).look(pods, unseen)).toMatchObject({ withoutPod: undefined });
  });
});

test("of a pod no more is kept than is needed", () => {
  const kept = keepPod(
    pod({ ...READY, hostIP: "10.0.0.1" }, { volumes: [{ name: "big" }] }, { annotations: { a: "b" } }),
  );
  expect(JSON.stringify(kept)).not.toContain("big");
  expect(JSON.stringify(kept)).not.toContain("annotations");
  expect(podOf(kept)).toMatchObject({ node: "node-1", ip: "10.0.0.7", isReady: true, isPending: false });
});

test("a pod with nonsense in it is a pod that is not ready", () => {
  const kept = keepPod({ metadata: { name: "p" }, spec: { containers: 7, affinity: [] }, status: "fine" });
  expect(podOf(kept)).toMatchObject({ node: undefined, ip: undefined, isReady: false });
});
