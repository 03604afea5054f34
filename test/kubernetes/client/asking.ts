/** Requests of the API client and how they ended, as plain values: the same in each runtime. */
import { inspect } from "node:util";
import { clusterAccess } from "../../../src/kubernetes/client/access.ts";
import { KubernetesApi } from "../../../src/kubernetes/client/api.ts";
import { ApiFailure } from "../../../src/kubernetes/client/failure.ts";
import { CONFIG_MAP } from "../../../src/kubernetes/object.ts";

export interface Asking {
  readonly kubeconfig: string;
  readonly verb: "get" | "apply" | "delete" | "watch";
  /** Of the ConfigMap. */
  readonly name: string;
  readonly timeoutMs?: number;
}

export interface Outcome {
  /** What was found, or the events of a watch until it ended. */
  readonly found?: unknown;
  readonly reason?: string;
  readonly status?: number | undefined;
  readonly message?: string;
  /** All that a log could make of the error. */
  readonly inspected?: string;
}

const { signal } = new AbortController();
const log = { debug() {}, info() {}, warn() {}, error() {} };

export async function ask({ kubeconfig, verb, name, timeoutMs = 10_000 }: Asking): Promise<Outcome> {
  const found: unknown[] = [];
  let api: KubernetesApi | undefined;
  try {
    // A watch that is mute ends after 30 s and this.
    const options = { log, timeoutMs, watchSeconds: () => -29.5 };
    api = new KubernetesApi(
      clusterAccess({ kubeconfig, env: { PATH: "/usr/bin:/bin" }, warn() {} }),
      options,
    );
    const metadata = { name, namespace: "n" };
    switch (verb) {
      case "get":
        return { found: await api.get(CONFIG_MAP, name, "n", signal) };
      case "apply":
        return { found: await api.apply({ apiVersion: "v1", kind: "ConfigMap", metadata }, signal) };
      case "delete":
        return { found: await api.delete(CONFIG_MAP, name, "n", signal) };
      case "watch":
        for await (const event of await api.watch(
          CONFIG_MAP,
          { namespace: "n", fieldSelector: name },
          "1",
          signal,
        ))
          found.push(event);
    }
    return { found };
  } catch (error) {
    if (!(error instanceof ApiFailure)) return { found, message: String(error) };
    const { reason, status, message } = error;
    return { found, reason, status, message, inspected: inspect(error, { depth: 9, showHidden: true }) };
  } finally {
    api?.close();
  }
}
