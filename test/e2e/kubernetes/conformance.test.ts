/** A real API server behaves as the one of the test kit, of which test/kubernetes/kit.test.ts shows the same list. */
import { afterAll, beforeAll, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { realTarget } from "../../support/kubernetes-api/conformance/real-accounts.ts";
import type { Target } from "../../support/kubernetes-api/conformance/server.ts";
import { BEHAVIOURS, minorVersion, show } from "../../support/kubernetes-api/conformance.ts";
import { at, listOf, textOf } from "../../support/kubernetes-api/json.ts";
import { describeWithKubernetes } from "./binaries.ts";
import { type Cluster, startCluster } from "./cluster.ts";

const START_MS = 120_000;
const TEST_MS = 60_000;

describeWithKubernetes("a real API server", () => {
  let cluster: Cluster;
  let target: Target;
  let minor: number;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 0 });
    target = realTarget({ server: cluster.server, ca: cluster.pki.ca, token: tokenIn(cluster.kubeconfig) });
    minor = await minorVersion(target);
  }, START_MS);
  afterAll(() => cluster?.[Symbol.asyncDispose](), START_MS);

  test.each(BEHAVIOURS.map((behaviour): [string, typeof behaviour] => [behaviour.name, behaviour]))(
    "%s",
    async (_, behaviour) => {
      if ((behaviour.since ?? 0) <= minor) await show(behaviour, target);
    },
    TEST_MS,
  );
});

function tokenIn(kubeconfig: string): string {
  const config: unknown = parse(readFileSync(kubeconfig, "utf8"));
  return textOf(at(listOf(at(config, "users"))[0], "user", "token")) ?? "";
}
