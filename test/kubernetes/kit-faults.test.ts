/** What only the test kit's API server does: it fails when it is told to, and plays what stands behind a real one. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CONFIG_MAP, DAEMON_SET, NODE, POD } from "../../src/kubernetes/object.ts";
import { Ask, configMap, daemonSet, soon, versionOf } from "../support/kubernetes-api/conformance/server.ts";
import { at, listOf } from "../support/kubernetes-api/json.ts";
import { type FakeKubernetes, type Fault, startKubernetesApi } from "../support/kubernetes-api/start.ts";

const MAPS = "/api/v1/namespaces/default/configmaps";

let kubernetes: FakeKubernetes;
let ask: Ask;

async function start(options: Parameters<typeof startKubernetesApi>[0] = {}): Promise<void> {
  kubernetes = await startKubernetesApi(options);
  ask = asking(kubernetes.token);
}

const asking = (token: string): Ask => {
  const { server, ca } = kubernetes;
  return new Ask({ server, ca, token, tokenFor: () => Promise.reject(new Error("no")) });
};

const withCertificate = (pair: { readonly cert: string; readonly key: string }) =>
  fetch(`${kubernetes.server}${MAPS}`, {
    tls: { ca: kubernetes.ca, cert: pair.cert, key: pair.key },
    keepalive: false,
  });

afterEach(() => kubernetes[Symbol.asyncDispose]());

describe("a fault", () => {
  beforeEach(() => start());

  test("is a Status with Retry-After, as often as it is told", async () => {
    const fault = kubernetes.fault(
      { kind: "status", status: 429, retryAfterS: 3 },
      { verb: "list", times: 1 },
    );
    const headers = { authorization: `Bearer ${kubernetes.token}` };
    const first = await fetch(`${kubernetes.server}${MAPS}`, { headers, tls: { ca: kubernetes.ca } });
    expect([first.status, first.headers.get("retry-after")]).toEqual([429, "3"]);
    expect(await first.json()).toMatchObject({ kind: "Status", reason: "TooManyRequests", code: 429 });
    expect((await ask.get(MAPS)).status).toBe(200);
    expect(fault.hits).toBe(1);
  });

  test("strikes only where it is told to, until it ends", async () => {
    const fault = kubernetes.fault(
      { kind: "status", status: 500 },
      { resource: "configmaps", verb: "create" },
    );
    expect((await ask.get(MAPS)).status).toBe(200);
    expect((await ask.post(MAPS, configMap("a"))).status).toBe(500);
    expect((await ask.get("/api/v1/nodes")).status).toBe(200);
    fault.end();
    expect((await ask.post(MAPS, configMap("a"))).status).toBe(201);
  });

  test.each<[string, Fault]>([
    ["the answer's length is a lie", { kind: "truncated" }],
    ["the connection is reset", { kind: "reset" }],
  ])("leaves no answer: %s", async (_, fault) => {
    kubernetes.fault(fault, { times: 1 });
    await expect(ask.get(MAPS)).rejects.toThrow();
  });

  test("is JSON that ends too early in an answer that is whole", async () => {
    kubernetes.fault({ kind: "truncated", isLengthTrue: true }, { times: 1 });
    const { body } = await ask.get(MAPS);
    expect(body["text"]).toStartWith('{"kind":"ConfigMapList"');
  });

  test("is a reset after the request has been done", async () => {
    kubernetes.fault({ kind: "reset", isDone: true }, { times: 1 });
    await expect(ask.post(MAPS, configMap("a"))).rejects.toThrow();
    await soon(async () => kubernetes.object(CONFIG_MAP, "a", "default") !== undefined);
  });

  test("is a redirect, and any body", async () => {
    kubernetes.fault({ kind: "body", body: "<html>", type: "text/html" }, { times: 1 });
    expect((await ask.get(MAPS)).body).toEqual({ text: "<html>" });
    kubernetes.fault({ kind: "redirect", status: 307, to: "https://elsewhere.example/" }, { times: 1 });
    const answer = await fetch(`${kubernetes.server}${MAPS}`, {
      redirect: "manual",
      tls: { ca: kubernetes.ca },
    });
    expect([answer.status, answer.headers.get("location")]).toEqual([307, "https://elsewhere.example/"]);
  });

  test("is silence, or a late answer", async () => {
    kubernetes.fault({ kind: "silent" }, { times: 1 });
    const signal = AbortSignal.timeout(100);
    const silent = fetch(`${kubernetes.server}${MAPS}`, { signal, tls: { ca: kubernetes.ca } });
    await expect(silent).rejects.toThrow();
    kubernetes.fault({ kind: "slow", ms: 50 }, { times: 1 });
    expect((await ask.get(MAPS)).status).toBe(200);
  });

  test("is a watch that begins with 410", async () => {
    kubernetes.fault({ kind: "gone-watch" }, { times: 1 });
    const since = versionOf((await ask.get(MAPS)).body);
    const events = await ask.watch(`${MAPS}?watch=1&resourceVersion=${since}`, 9);
    expect(events).toMatchObject([{ type: "ERROR", object: { code: 410 } }]);
  });

  test("is a watch that never sends a byte of its body", async () => {
    kubernetes.fault({ kind: "mute-watch" }, { times: 1 });
    const response = await fetch(`${kubernetes.server}${MAPS}?watch=1&timeoutSeconds=1`, {
      headers: { authorization: `Bearer ${kubernetes.token}` },
      tls: { ca: kubernetes.ca },
    });
    const reading = response.body?.getReader().read();
    const end = Bun.sleep(1500).then(() => "nothing");
    expect(await Promise.race([reading, end])).toBe("nothing");
  });

  test("is the end of a watch's connection, in the middle of a line", async () => {
    const path = `${MAPS}?watch=1&resourceVersion=${versionOf((await ask.get(MAPS)).body)}`;
    const events = ask.watch(path, 9);
    await soon(async () => kubernetes.watches.length === 1);
    kubernetes.dropWatches({ isMidLine: true });
    await expect(events).rejects.toThrow();
    await soon(async () => kubernetes.watches.length === 0);
  });
});

describe("the server", () => {
  beforeEach(() => start());

  test("forgets old resourceVersions, and continue tokens with them", async () => {
    const since = versionOf((await ask.get(MAPS)).body);
    for (const name of ["a", "b"])
      kubernetes.put({ ...configMap(name), metadata: { name, namespace: "default" } });
    const page = (await ask.get(`${MAPS}?limit=1`)).body;
    kubernetes.compact();
    expect(await ask.watch(`${MAPS}?watch=1&resourceVersion=${since}`, 1)).toMatchObject([
      { type: "ERROR", object: { code: 410 } },
    ]);
    const token = String(at(page, "metadata", "continue"));
    expect((await ask.get(`${MAPS}?limit=1&continue=${token}`)).status).toBe(410);
  });

  test("comes back at the same address with its objects, and knows no resourceVersion from before", async () => {
    const since = versionOf((await ask.post(MAPS, configMap("a"))).body);
    await kubernetes.stop();
    await expect(ask.get(MAPS)).rejects.toThrow();
    kubernetes.put({ ...configMap("b"), metadata: { name: "b", namespace: "default" } });
    await kubernetes.restart();
    expect((await ask.get(`${MAPS}/b`)).status).toBe(200);
    expect(await ask.watch(`${MAPS}?watch=1&resourceVersion=${since}`, 1)).toMatchObject([
      { type: "ERROR", object: { code: 410 } },
    ]);
  });

  test("gives an account its rights and a folder as a pod finds it, and takes its newest token only", async () => {
    const get = { apiGroups: [""], resources: ["configmaps"], verbs: ["list"], namespace: "default" };
    const account = kubernetes.account("operator", "default", [get]);
    const old = account.token;
    expect((await asking(old).get(MAPS)).status).toBe(200);
    account.rotate();
    expect((await asking(old).get(MAPS)).status).toBe(401);
    expect((await asking(readFileSync(account.tokenFile, "utf8")).get(MAPS)).status).toBe(200);
    expect(readFileSync(join(account.directory, "namespace"), "utf8")).toBe("default");
    account.rules = [];
    expect((await asking(account.token).get(MAPS)).status).toBe(403);
    account.revoke();
    expect((await asking(account.token).get(MAPS)).status).toBe(401);
  });

  test("knows the admin by its certificate, as long as that is valid", async () => {
    expect((await withCertificate(kubernetes.clientCertificate)).status).toBe(200);
    expect((await withCertificate(kubernetes.expiredCertificate)).status).toBe(401);
    expect((await fetch(`${kubernetes.server}${MAPS}`, { tls: { ca: kubernetes.ca } })).status).toBe(403);
  });

  test("keeps what was asked, by whom, and what it answered", async () => {
    await ask.apply(`${MAPS}/a`, "one", configMap("a"));
    await asking("nobody").get(MAPS);
    expect(kubernetes.requests).toMatchObject([
      { verb: "apply", resource: "configmaps", name: "a", namespace: "default", user: "admin", status: 201 },
      { verb: "list", resource: "configmaps", name: undefined, user: undefined, status: 401 },
    ]);
  });

  test("lets a hand edit, in the name of another client", async () => {
    await ask.apply(`${MAPS}/a`, "one", configMap("a", { x: "1" }));
    kubernetes.edit(CONFIG_MAP, "a", "default", { data: { x: "2" } });
    const { body } = await ask.get(`${MAPS}/a`);
    expect(at(body, "data", "x")).toBe("2");
    expect(at(body, "metadata", "managedFields")).toMatchObject([{ manager: "another-client" }]);
  });

  test("takes its folder away in the end", async () => {
    await using other = await startKubernetesApi();
    const { directory } = other;
    expect(existsSync(directory)).toBe(true);
    await other[Symbol.asyncDispose]();
    expect(existsSync(directory)).toBe(false);
  });
});

describe("the controllers", () => {
  beforeEach(() => start({ nodes: 3, controllers: true, podIp: ({ node }) => `127.0.0.${node.slice(-1)}` }));

  const PATH = "/apis/apps/v1/namespaces/default/daemonsets/d";
  const everywhere = (image: string) => {
    const set = daemonSet("d", { image });
    const { nodeSelector, ...spec } = set.spec.template.spec;
    return { ...set, spec: { ...set.spec, template: { ...set.spec.template, spec } } };
  };
  const status = () => kubernetes.object(DAEMON_SET, "d", "default")?.["status"];
  const pods = () => kubernetes.objects(POD, "default");
  const images = () => pods().map((pod) => at(listOf(at(pod, "spec", "containers"))[0], "image"));
  const ready = async (count: number) => {
    await soon(async () => at(status(), "numberReady") === count && pods().length === count);
  };

  test("run a pod on each node, with an address and a status, and tell the DaemonSet", async () => {
    await ask.apply(PATH, "one", everywhere("main:1"));
    await ready(3);
    expect(status()).toMatchObject({
      desiredNumberScheduled: 3,
      numberReady: 3,
      numberAvailable: 3,
      updatedNumberScheduled: 3,
      observedGeneration: 1,
    });
    expect(
      pods()
        .map((pod) => [at(pod, "spec", "nodeName"), at(pod, "status", "podIP")])
        .toSorted(),
    ).toEqual([
      ["fake-1", "127.0.0.1"],
      ["fake-2", "127.0.0.2"],
      ["fake-3", "127.0.0.3"],
    ]);
  });

  test("replace a pod that was deleted, and follow nodes that come and go", async () => {
    await ask.apply(PATH, "one", everywhere("main:1"));
    await ready(3);
    const [first] = pods();
    kubernetes.remove(POD, first?.metadata.name ?? "", "default");
    await ready(3);
    expect(pods().map(({ metadata }) => metadata.uid)).not.toContain(first?.metadata.uid);
    kubernetes.addNode("fake-4");
    await ready(4);
    kubernetes.remove(NODE, "fake-1");
    await ready(3);
  });

  test("roll a changed template out one after the other", async () => {
    await ask.apply(PATH, "one", everywhere("main:1"));
    await ready(3);
    await ask.apply(PATH, "one", everywhere("main:2"));
    await soon(
      async () => at(status(), "observedGeneration") === 2 && at(status(), "updatedNumberScheduled") === 3,
    );
    await ready(3);
    expect(images()).toEqual(["main:2", "main:2", "main:2"]);
  });

  test.each(["crash", "notready"] as const)("show a pod that is told to be %s", async (state) => {
    await ask.apply(PATH, "one", everywhere("main:1"));
    await ready(3);
    const name = pods()[0]?.metadata.name ?? "";
    kubernetes.setPod(name, "default", state);
    await soon(async () => at(status(), "numberUnavailable") === 1);
    kubernetes.setPod(name, "default", "ready");
    await ready(3);
  });

  test("end the pods with their DaemonSet", async () => {
    await ask.apply(PATH, "one", everywhere("main:1"));
    await ready(3);
    await ask.delete(PATH);
    await soon(async () => pods().length === 0);
  });
});
