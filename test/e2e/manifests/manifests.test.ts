/** The overlays at a real API server: each is accepted as a whole, and the exporter comes to run on every node. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import {
  DAEMON_SET,
  type Kind,
  POD_MONITOR,
  PROMETHEUS_RULE,
  SECURITY_CONTEXT_CONSTRAINTS,
} from "../../../src/kubernetes/object.ts";
import { KUSTOMIZATIONS, OVERLAYS, renderOverlay } from "../../support/kustomize.ts";
import { describeWithKubernetes } from "../kubernetes/binaries.ts";
import { type Cluster, startCluster } from "../kubernetes/cluster.ts";
import { until } from "../kubernetes/until.ts";

const START_MS = 120_000;
const TEST_MS = 60_000;
const NODES = 12;
const SERVICE_MONITOR: Kind = {
  apiVersion: "monitoring.coreos.com/v1",
  kind: "ServiceMonitor",
  plural: "servicemonitors",
  isNamespaced: true,
};

describeWithKubernetes("the overlays at an API server", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: NODES });
    for (const kind of [POD_MONITOR, PROMETHEUS_RULE, SERVICE_MONITOR, SECURITY_CONTEXT_CONSTRAINTS])
      await cluster.addKind(kind);
    // What is not there cannot be written into, not even for a try.
    await cluster.kubectl(["create", "namespace", "plumbline", "--save-config"]);
  }, START_MS);
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  }, START_MS);

  const apply = async (overlay: string, ...flags: readonly string[]): Promise<readonly string[]> => {
    const directory = join(KUSTOMIZATIONS, "overlays", overlay);
    return (await cluster.kubectl(["apply", ...flags, "--kustomize", directory])).trimEnd().split("\n");
  };

  test.each([...OVERLAYS])(
    "%s is accepted, all of it",
    async (overlay) => {
      const answers = await apply(overlay, "--dry-run=server");
      for (const answer of answers) expect(answer).toMatch(/ (created|configured) \(server dry run\)$/);
      expect(answers).toHaveLength(renderOverlay(overlay).length);
    },
    TEST_MS,
  );

  test(
    "generic runs the exporter on every node",
    async () => {
      await apply("generic");
      await until("a pod is ready on every node", TEST_MS, async () => {
        const daemonSet = await cluster.admin.get(DAEMON_SET, "plumbline", "plumbline");
        return JSON.stringify(daemonSet?.["status"]).includes(`"numberReady":${NODES},`);
      });
    },
    TEST_MS,
  );

  test.each([...OVERLAYS])(
    "%s, applied a second time, changes nothing",
    async (overlay) => {
      await apply(overlay);
      for (const answer of await apply(overlay)) expect(answer).toEndWith(" unchanged");
    },
    TEST_MS,
  );
});
