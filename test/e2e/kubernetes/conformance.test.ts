/** A real API server behaves as the one of the test kit, of which test/kubernetes/kit.test.ts shows the same list. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { realTarget } from "../../support/kubernetes-api/conformance/real-accounts.ts";
import type { Target } from "../../support/kubernetes-api/conformance/server.ts";
import { BEHAVIOURS, minorVersion, show } from "../../support/kubernetes-api/conformance.ts";
import { at, listOf, textOf } from "../../support/kubernetes-api/json.ts";
import { describeWithKubernetes } from "./binaries.ts";
import { type Cluster, startCluster } from "./cluster.ts";

/** Of the Kubernetes that build.sh builds; what came later is shown by the kit alone. */
const MINOR = 20;
const START_MS = 120_000;
const TEST_MS = 60_000;

describeWithKubernetes("a real API server", () => {
  let cluster: Cluster;
  let target: Target;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 0 });
    target = realTarget({ server: cluster.server, ca: cluster.pki.ca, token: tokenIn(cluster.kubeconfig) });
    expect(await minorVersion(target)).toBe(MINOR);
  }, START_MS);
  afterAll(() => cluster?.[Symbol.asyncDispose](), START_MS);

  const known = BEHAVIOURS.filter(({ since = 0 }) => since <= MINOR);
  test.each(known.map((behaviour): [string, typeof behaviour] => [behaviour.name, behaviour]))(
    "%s",
    (_, behaviour) => show(behaviour, target),
    TEST_MS,
  );
});

function tokenIn(kubeconfig: string): string {
  const config: unknown = parse(readFileSync(kubeconfig, "utf8"));
  return textOf(at(listOf(at(config, "users"))[0], "user", "token")) ?? "";
}
