/** Starts the Kubernetes API server of the test kit. */
import type { FakeKubernetes, KubernetesApiOptions } from "./contract.ts";

export type * from "./contract.ts";

export function startKubernetesApi(_options: KubernetesApiOptions = {}): Promise<FakeKubernetes> {
  return Promise.reject(new Error("not yet"));
}
