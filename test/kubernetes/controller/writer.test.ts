import { expect, test } from "bun:test";
import { clusterAccess } from "../../../src/kubernetes/client/access.ts";
import { KubernetesApi } from "../../../src/kubernetes/client/api.ts";
import { TermOver, Writer } from "../../../src/kubernetes/controller/writer.ts";
import { SERVICE } from "../../../src/kubernetes/object.ts";
import { startKubernetesApi } from "../../support/kubernetes-api/start.ts";
import { eventually } from "../operating.ts";

const LOG = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const MANIFEST = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x", namespace: "default" } };

async function writing() {
  const server = await startKubernetesApi();
  const api = new KubernetesApi(clusterAccess({ kubeconfig: server.kubeconfig, env: {} }), { log: LOG });
  const end = new AbortController();
  let isOver = false;
  const writer = new Writer(api, { signal: end.signal, isOver: () => isOver });
  return { server, writer, end, expire: () => (isOver = true) };
}

test("a write after the term's time is not sent, even if nothing has ended the term yet", async () => {
  const { server, writer, expire } = await writing();
  await using _ = server;
  expire();
  const writes = [
    () => writer.apply(MANIFEST),
    () => writer.create(MANIFEST),
    () => writer.patch(SERVICE, "x", "default", {}),
    () => writer.delete(SERVICE, "x", "default"),
  ];
  for (const write of writes) await expect(write()).rejects.toBeInstanceOf(TermOver);
  await Bun.sleep(50);
  expect(server.requests).toEqual([]);
});

test("a write that waits for its answer is broken off when the term ends", async () => {
  const { server, writer, end } = await writing();
  await using _ = server;
  server.fault({ kind: "silent" });
  const write = writer.apply(MANIFEST);
  write.catch(() => {});
  await eventually(() => server.requests.length === 1);
  end.abort();
  await expect(write).rejects.toBeInstanceOf(TermOver);
});
