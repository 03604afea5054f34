/** Our client of the API on a real API server: lists in pages, watches, resourceVersions that are gone, apply. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { clusterAccess } from "../../../src/kubernetes/client/access.ts";
import { KubernetesApi } from "../../../src/kubernetes/client/api.ts";
import { ApiFailure } from "../../../src/kubernetes/client/failure.ts";
import { Informer } from "../../../src/kubernetes/client/informer.ts";
import { CONFIG_MAP, type Manifest, POD_MONITOR, SERVICE_ACCOUNT } from "../../../src/kubernetes/object.ts";
import { RecordedLog } from "../../support/nvme-simulated-host.ts";
import { describeWithKubernetes } from "./binaries.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { until } from "./until.ts";

const START_MS = 120_000;
const TEST_MS = 60_000;
const SOON_MS = 20_000;
const NAMESPACE = "default";
/** More than two pages. */
const MANY = 1100;
const AT_ONCE = 20;

const configMap = (name: string, data: Readonly<Record<string, string>> = {}): Manifest => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: NAMESPACE, labels: { test: "informer" } },
  data,
});

describeWithKubernetes("an informer", () => {
  let cluster: Cluster;
  let api: KubernetesApi;
  const log = new RecordedLog();
  const { signal } = new AbortController();

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 0 });
    api = new KubernetesApi(clusterAccess({ kubeconfig: cluster.kubeconfig, env: {} }), { log });
  }, START_MS);
  afterAll(async () => {
    api?.close();
    await cluster?.[Symbol.asyncDispose]();
  }, START_MS);

  test(
    "lists page by page, follows each change, and misses none while the API server is away",
    async () => {
      const left = Array.from({ length: MANY }, (_, index) => `many-${index}`);
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          for (let name = left.pop(); name !== undefined; name = left.pop())
            await cluster.admin.create(CONFIG_MAP, configMap(name));
        }),
      );
      const ends = new AbortController();
      const changes: string[] = [];
      const restarts: string[] = [];
      const scope = { namespace: NAMESPACE, labelSelector: "test=informer" };
      const informer = new Informer(api, CONFIG_MAP, scope, {
        log,
        onChange: ({ metadata }, change) => void changes.push(`${change} ${metadata.name}`),
        onRestart: (reason) => void restarts.push(reason),
      });
      const running = informer.run(ends.signal);
      await until("it has all", SOON_MS, async () => informer.hasSynced);
      expect(informer.list()).toHaveLength(MANY);
      expect(changes.splice(0)).toHaveLength(MANY);

      await cluster.admin.create(CONFIG_MAP, configMap("one"));
      await cluster.admin.edit(CONFIG_MAP, "one", NAMESPACE, { data: { a: "b" } });
      await cluster.admin.remove(CONFIG_MAP, "one", NAMESPACE);
      await until("it has seen three changes", SOON_MS, async () => changes.length === 3);
      expect(changes.splice(0)).toEqual(["added one", "modified one", "deleted one"]);

      // What happens to other kinds makes the version of this one's last change too old for a server that starts.
      const { apiVersion, kind } = SERVICE_ACCOUNT;
      await cluster.admin.create(SERVICE_ACCOUNT, {
        apiVersion,
        kind,
        metadata: { name: "other", namespace: NAMESPACE },
      });
      await cluster.killApiServer();
      await cluster.startApiServer();
      // Before or after its watch is back.
      await cluster.admin.edit(CONFIG_MAP, "many-1", NAMESPACE, { data: { a: "b" } });
      await cluster.admin.remove(CONFIG_MAP, "many-2", NAMESPACE);
      await cluster.admin.create(CONFIG_MAP, configMap("late"));
      await until("it has seen three more", SOON_MS, async () => changes.length >= 3);
      await Bun.sleep(500);
      expect(changes.toSorted()).toEqual(["added late", "deleted many-2", "modified many-1"]);
      expect(informer.list()).toHaveLength(MANY);
      expect(restarts).toContain("gone");
      ends.abort();
      await running;
    },
    TEST_MS,
  );

  test(
    "begins to watch a kind once its CRD is there",
    async () => {
      const ends = new AbortController();
      const informer = new Informer(api, POD_MONITOR, { namespace: NAMESPACE }, { log, onChange: () => {} });
      const running = informer.run(ends.signal);
      await until("it knows that there is none", SOON_MS, async () => informer.hasSynced);
      expect(informer.exists).toBe(false);
      await cluster.addKind(POD_MONITOR);
      informer.retryNow();
      await until("it knows the kind", SOON_MS, async () => informer.exists);
      const { apiVersion, kind } = POD_MONITOR;
      await cluster.admin.create(POD_MONITOR, {
        apiVersion,
        kind,
        metadata: { name: "a", namespace: NAMESPACE },
      });
      await until("it has the object", SOON_MS, async () => informer.get("a", NAMESPACE) !== undefined);
      ends.abort();
      await running;
    },
    TEST_MS,
  );

  test(
    "is told 410 for a resourceVersion from before the API server's start",
    async () => {
      const watch = async () => {
        for await (const event of await api.watch(POD_MONITOR, { namespace: NAMESPACE }, "1", signal))
          return event;
        return undefined;
      };
      expect(await watch().catch((error: unknown) => error)).toMatchObject({ reason: "gone" });
    },
    TEST_MS,
  );

  test(
    "apply takes a field over that somebody else has, and replace does not what is old",
    async () => {
      await cluster.admin.create(CONFIG_MAP, configMap("contested", { mine: "1", theirs: "1" }));
      const applied = await api.apply(configMap("contested", { mine: "2" }), signal);
      expect(applied["data"]).toEqual({ mine: "2", theirs: "1" });
      await cluster.admin.edit(CONFIG_MAP, "contested", NAMESPACE, { data: { theirs: "2" } });
      const replacing = await api.replace({ ...applied, data: {} }, signal).catch((error: unknown) => error);
      expect(replacing).toBeInstanceOf(ApiFailure);
      expect(replacing).toMatchObject({ reason: "conflict" });
    },
    TEST_MS,
  );
});
