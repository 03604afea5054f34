/**
 * A cluster-scoped object cannot be owned by a namespaced one, so the garbage collector leaves it: a finalizer lets the
 * operator remove it first. A Plumbline that is deleted goes all the same where that is refused.
 */
import { ApiFailure } from "../client/failure.ts";
import { type KubernetesObject, PLUMBLINE, SECURITY_CONTEXT_CONSTRAINTS } from "../object.ts";
import { constraintsName } from "../resource/desired.ts";
import type { Writer } from "./writer.ts";

const FINALIZER = "plumbline.dev/cluster-scoped";

/** For how long what may pass by itself is waited for. */
const GIVE_UP_MS = 30_000;
const PASSES_NEVER: ReadonlySet<string> = new Set(["forbidden", "invalid"]);

export const hasFinalizer = ({ metadata }: KubernetesObject): boolean =>
  metadata.finalizers?.includes(FINALIZER) === true;

/** Before anything that it is for is made. */
export const addFinalizer = (plumbline: KubernetesObject, writer: Writer): Promise<KubernetesObject> =>
  setFinalizers(plumbline, [...(plumbline.metadata.finalizers ?? []), FINALIZER], writer);

/**
 * Removes the SCC, and then the finalizer. Gives why the SCC had to be left, or undefined. Rejects with what may pass
 * yet; `waitedMs`: since the deletion was first seen.
 */
export async function retire(
  plumbline: KubernetesObject,
  writer: Writer,
  waitedMs: number,
): Promise<ApiFailure | undefined> {
  let left: ApiFailure | undefined;
  try {
    await writer.delete(SECURITY_CONTEXT_CONSTRAINTS, constraintsName(plumbline), undefined);
  } catch (error) {
    if (!(error instanceof ApiFailure)) throw error;
    if (!PASSES_NEVER.has(error.reason) && waitedMs < GIVE_UP_MS) throw error;
    left = error;
  }
  const others = plumbline.metadata.finalizers?.filter((finalizer) => finalizer !== FINALIZER) ?? [];
  await setFinalizers(plumbline, others, writer);
  return left;
}

/** With the resourceVersion, so that no finalizer of anybody else is lost: "conflict" where it is not the newest. */
function setFinalizers(
  { metadata }: KubernetesObject,
  finalizers: readonly string[],
  writer: Writer,
): Promise<KubernetesObject> {
  const { name, namespace, resourceVersion } = metadata;
  return writer.patch(PLUMBLINE, name, namespace, { metadata: { resourceVersion, finalizers } });
}
