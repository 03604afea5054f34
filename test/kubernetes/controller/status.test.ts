import { describe, expect, test } from "bun:test";
import {
  type Observation,
  type PlumblineStatus,
  statusOf,
  writtenStatus,
} from "../../../src/kubernetes/controller/status.ts";
import { transitions } from "../../../src/kubernetes/controller/transitions.ts";

const ROLLOUT = {
  configHash: "h",
  isObserved: true,
  desired: 20,
  scheduled: 20,
  updated: 20,
  ready: 20,
  unavailable: 0,
};
const seen = (more: Partial<Observation> = {}): Observation => ({
  generation: 3,
  problems: [],
  refusals: [],
  rollout: ROLLOUT,
  failing: [],
  withoutPod: { count: 0, nodes: [], refusal: undefined },
  daemonSet: { name: "plumbline-cluster", namespace: "plumbline" },
  monitoring: { enabled: "auto", missing: [] },
  ...more,
});
const words = (status: PlumblineStatus) =>
  Object.fromEntries(status.conditions.map(({ type, status: is, reason }) => [type, `${is} ${reason}`]));
const message = (status: PlumblineStatus, type: string) =>
  status.conditions.find((condition) => condition.type === type)?.message;

describe("the status", () => {
  test.each([
    ["all nodes ready", {}, "True AllNodesReady"],
    ["a tenth not ready", { ready: 18 }, "True EnoughNodesReady"],
    ["more than a tenth not ready", { ready: 17 }, "False TooFewNodesReady"],
    ["one node, not ready", { desired: 1, ready: 0 }, "False TooFewNodesReady"],
    ["no node that matches", { desired: 0, ready: 0 }, "True NoNodes"],
    ["nothing known yet", { desired: 0, ready: 0, isObserved: false }, "False Starting"],
  ])("with %s says of Available what that means", (_, rollout, expected) => {
    expect(words(statusOf(seen({ rollout: { ...ROLLOUT, ...rollout } }), undefined))["Available"]).toBe(
      expected,
    );
  });

  test.each([
    ["all updated", {}, "False RolledOut"],
    ["some not updated", { updated: 7 }, "True RollingOut"],
    ["a change that nobody has seen", { isObserved: false }, "True RollingOut"],
    ["a pod still to be made", { scheduled: 19 }, "True RollingOut"],
  ])("with %s says of Progressing what that means", (_, rollout, expected) => {
    expect(words(statusOf(seen({ rollout: { ...ROLLOUT, ...rollout } }), undefined))["Progressing"]).toBe(
      expected,
    );
  });

  test("gives the gravest fault as the reason and all of them in the message", () => {
    const status = statusOf(
      seen({
        problems: ["spec.a must be b"],
        refusals: [{ reason: "forbidden", message: "cannot patch services" }],
        failing: [{ node: "node-1", why: "CrashLoopBackOff" }],
      }),
      undefined,
    );
    expect(words(status)["Degraded"]).toBe("True InvalidSpec");
    for (const part of ["spec.a must be b", "cannot patch services", "node-1 (CrashLoopBackOff)"])
      expect(message(status, "Degraded")).toContain(part);
  });

  test("keeps the time of a transition as long as the condition's status is the same", () => {
    const first = statusOf(seen(), undefined);
    const old = "2020-01-01T00:00:00Z";
    const before = {
      ...first,
      conditions: first.conditions.map((one) => ({ ...one, lastTransitionTime: old })),
    };
    const same = statusOf(seen({ rollout: { ...ROLLOUT, ready: 19 } }), before);
    expect(same.conditions.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual([old, old, old, old]);
    const worse = statusOf(seen({ problems: ["spec.a must be b"] }), before);
    expect(worse.conditions.filter(({ lastTransitionTime }) => lastTransitionTime !== old)).toHaveLength(1);
  });

  test("is cut to what a condition can hold", () => {
    const status = statusOf(seen({ problems: ["x".repeat(100_000)] }), undefined);
    expect(message(status, "Degraded")?.length).toBeLessThanOrEqual(2000);
  });

  test("that somebody filled with nonsense counts as never written", () => {
    expect(
      writtenStatus({ metadata: { name: "x" }, status: { observedGeneration: "three" } }),
    ).toBeUndefined();
    expect(writtenStatus({ metadata: { name: "x" } })).toBeUndefined();
  });
});

describe("transitions", () => {
  const step = (
    before: PlumblineStatus | undefined,
    now: Observation,
    failedBefore: readonly string[] = [],
  ) =>
    transitions({
      before,
      after: statusOf(now, before),
      changes: [],
      failing: now.failing,
      failedBefore: new Set(failedBefore),
    }).map(({ reason }) => reason);
  const invalid = (problem = "spec.a must be b", generation = 3) => seen({ problems: [problem], generation });

  test("are none while nothing is different", () => {
    const well = statusOf(seen(), undefined);
    expect(step(well, seen())).toEqual([]);
    const ill = statusOf(invalid(), undefined);
    expect(step(ill, invalid())).toEqual([]);
  });

  test("tell of an invalid spec once for each spec that is wrong in another way", () => {
    expect(step(statusOf(seen(), undefined), invalid())).toEqual(["InvalidSpec"]);
    const ill = statusOf(invalid(), undefined);
    expect(step(ill, invalid("spec.a must be b", 4))).toEqual([]);
    expect(step(ill, invalid("spec.c must be d", 4))).toEqual(["InvalidSpec"]);
  });

  test("tell once of all nodes that begin to fail at the same time, and not again of those that go on", () => {
    const failing = ["node-1", "node-2"].map((node) => ({ node, why: "not ready" }));
    expect(step(statusOf(seen(), undefined), seen({ failing }))).toEqual(["NodeFailing"]);
    expect(step(statusOf(seen(), undefined), seen({ failing }), ["node-1", "node-2"])).toEqual([]);
  });

  test("tell of a refusal once, however its message changes", () => {
    const refused = (text: string) => seen({ refusals: [{ reason: "forbidden", message: text }] });
    expect(step(statusOf(seen(), undefined), refused("services"))).toEqual(["Forbidden"]);
    expect(step(statusOf(refused("services"), undefined), refused("services; configmaps"))).toEqual([]);
  });
});
