/** The client and its informers against a whole API server, which goes away, forgets, and changes its mind. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { clusterAccess } from "../../../src/kubernetes/client/access.ts";
import { KubernetesApi } from "../../../src/kubernetes/client/api.ts";
import { Informer } from "../../../src/kubernetes/client/informer.ts";
import { CONFIG_MAP, type Kind, type Manifest, POD_MONITOR } from "../../../src/kubernetes/object.ts";
import { MONITORING_CRDS } from "../../support/kubernetes-api/crds.ts";
import { type Account, type FakeKubernetes, startKubernetesApi } from "../../support/kubernetes-api/start.ts";
import { failureOf, quiet, until } from "./scripted-api.ts";

let kit: FakeKubernetes;
let end: AbortController;
beforeEach(async () => {
  kit = await startKubernetesApi();
  end = new AbortController();
  kit.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "n" } });
});
afterEach(async () => {
  end.abort();
  await kit[Symbol.asyncDispose]();
});

const admin = () => new KubernetesApi(clusterAccess({ kubeconfig: kit.kubeconfig, env: {} }), { log: quiet });

/** As in a pod. */
function asAccount({ directory }: Account): KubernetesApi {
  const { hostname, port } = new URL(kit.server);
  const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
  return new KubernetesApi(clusterAccess({ kubeconfig: undefined, env, serviceAccountDir: directory }), {
    log: quiet,
  });
}

const configMap = (name: string, value: string): Manifest => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "n" },
  data: { value },
});

function inform(api: KubernetesApi, kind: Kind) {
  const restarts: string[] = [];
  const informer = new Informer(
    api,
    kind,
    { namespace: "n" },
    {
      log: quiet,
      onChange() {},
      onRestart: (reason) => restarts.push(reason),
    },
  );
  void informer.run(end.signal);
  return { informer, restarts };
}

const inOrder = (objects: readonly { readonly metadata: { readonly name: string } }[]) =>
  objects.toSorted((one, other) => (one.metadata.name < other.metadata.name ? -1 : 1));

describe("an informer", () => {
  test("holds what the server holds, whatever happened to its watch meanwhile", async () => {
    for (let index = 0; index < 20; index++) kit.put(configMap(`c-${index}`, "first"));
    const { informer, restarts } = inform(admin(), CONFIG_MAP);
    const isTrue = () => Bun.deepEquals(inOrder(informer.list()), inOrder(kit.objects(CONFIG_MAP, "n")));
    await until(() => informer.hasSynced && isTrue());

    kit.dropWatches({ isMidLine: true });
    kit.put(configMap("c-1", "second"));
    kit.remove(CONFIG_MAP, "c-2", "n");
    await until(isTrue);

    kit.dropWatches();
    kit.put(configMap("c-3", "third"));
    kit.remove(CONFIG_MAP, "c-4", "n");
    kit.compact();
    await until(isTrue);

    await kit.stop();
    kit.remove(CONFIG_MAP, "c-5", "n");
    kit.put(configMap("c-new", "fourth"));
    await kit.restart();
    await until(isTrue);
    kit.put(configMap("c-newer", "fifth"));
    await until(isTrue);
    expect(restarts).toContain("connect");
    expect(restarts).toContain("gone");
  });

  test("asks for no list again for as long as its watch can go on", async () => {
    const { informer } = inform(admin(), CONFIG_MAP);
    await until(() => informer.hasSynced && kit.watches.length === 1);
    for (let time = 0; time < 3; time++) {
      kit.dropWatches();
      kit.put(configMap("a", String(time)));
      await until(() => informer.get("a", "n")?.["data"] !== undefined && kit.watches.length === 1);
    }
    expect(
      kit.requests.filter(({ verb, resource }) => verb === "list" && resource === "configmaps"),
    ).toHaveLength(1);
  });

  test("begins when its CRD appears", async () => {
    const { informer } = inform(admin(), POD_MONITOR);
    await until(() => informer.hasSynced);
    expect(informer.exists).toBe(false);
    for (const crd of MONITORING_CRDS) kit.put(crd);
    kit.put({
      apiVersion: POD_MONITOR.apiVersion,
      kind: "PodMonitor",
      metadata: { name: "a", namespace: "n" },
    });
    await until(() => {
      informer.retryNow();
      return informer.get("a", "n") !== undefined;
    });
    expect(informer.exists).toBe(true);
  });
});

describe("a ServiceAccount", () => {
  const RULES = [
    { apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list", "watch"], namespace: "n" },
  ];

  test("whose token rotates goes on, and is refused once none of its tokens counts", async () => {
    const account = kit.account("operator", "n", RULES);
    const api = asAccount(account);
    const list = () => api.list(CONFIG_MAP, { namespace: "n" }, end.signal);
    await list();
    const before = readFileSync(account.tokenFile, "utf8");
    account.rotate();
    await list();
    expect(readFileSync(account.tokenFile, "utf8")).not.toBe(before);
    expect(kit.requests.filter(({ status }) => status === 401)).toEqual([]);
    account.revoke();
    expect(await failureOf(list())).toMatchObject({ reason: "unauthorized" });
  });

  test("learns which rule it lacks", async () => {
    const api = asAccount(kit.account("operator", "n", RULES));
    const failure = await failureOf(api.apply(configMap("a", "1"), end.signal));
    expect(failure.message).toContain(
      'lacks the rule {"apiGroups":[""],"resources":["configmaps"],"verbs":["patch"]}',
    );
  });
});

test("a client certificate is who asks, and one that has expired asks nobody", async () => {
  const { clientCertificate, expiredCertificate } = kit;
  const kubeconfigOf = async ({ certFile, keyFile }: typeof clientCertificate) => {
    const path = `${kit.directory}/with-certificate`;
    await Bun.write(
      path,
      JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
        clusters: [{ name: "x", cluster: { server: kit.server, "certificate-authority": kit.caFile } }],
        users: [{ name: "x", user: { "client-certificate": certFile, "client-key": keyFile } }],
      }),
    );
    return path;
  };
  const access = clusterAccess({ kubeconfig: await kubeconfigOf(clientCertificate), env: {} });
  await new KubernetesApi(access, { log: quiet }).list(CONFIG_MAP, {}, end.signal);
  expect(kit.requests.at(-1)?.user).toBe("admin");
  const expired = await kubeconfigOf(expiredCertificate);
  expect(() => clusterAccess({ kubeconfig: expired, env: {} })).toThrow("expired at");
});
