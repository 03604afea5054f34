/**
 * How a Kubernetes API server behaves, as far as an operator relies on it: each behaviour is shown on the kit's server in
 * test/kubernetes, and on a real one in test/e2e/kubernetes, so that the kit cannot drift away from what it plays.
 */
import { APPLYING } from "./conformance/applying.ts";
import { CUSTOM_RESOURCES } from "./conformance/custom-resources.ts";
import { READING } from "./conformance/reading.ts";
import { REFUSING } from "./conformance/refusing.ts";
import { Ask, type Behaviour, type Target } from "./conformance/server.ts";
import { WRITING } from "./conformance/writing.ts";

export type { Behaviour, Target } from "./conformance/server.ts";

export const BEHAVIOURS: readonly Behaviour[] = [
  ...READING,
  ...WRITING,
  ...APPLYING,
  ...CUSTOM_RESOURCES,
  ...REFUSING,
];

/** In a namespace of its own, which is deleted in the end. */
export async function show(behaviour: Behaviour, target: Target): Promise<void> {
  const ask = new Ask(target);
  const namespace = `conformance-${crypto.randomUUID().slice(0, 8)}`;
  await ask.post("/api/v1/namespaces", { metadata: { name: namespace } });
  try {
    const core = `/api/v1/namespaces/${namespace}`;
    const apps = `/apis/apps/v1/namespaces/${namespace}`;
    await behaviour.run({ ask, namespace, target, core, apps });
  } finally {
    await ask.delete(`/api/v1/namespaces/${namespace}`);
  }
}

/** 20 of Kubernetes 1.20 */
export async function minorVersion(target: Target): Promise<number> {
  const { body } = await new Ask(target).get("/version");
  return Number.parseInt(String(body["minor"]), 10);
}
