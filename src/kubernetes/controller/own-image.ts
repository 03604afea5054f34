/** The image that the operator itself runs: what a Plumbline runs that names none. */
import * as v from "valibot";
import type { KubernetesApi } from "../client/api.ts";
import { ApiFailure } from "../client/failure.ts";
import { POD } from "../object.ts";

const PodSchema = v.looseObject({
  spec: v.looseObject({
    containers: v.array(v.looseObject({ name: v.optional(v.string()), image: v.optional(v.string()) })),
  }),
});

/** As the manifests name it, beside which something else may have put containers of its own. */
const CONTAINERS: ReadonlySet<string> = new Set(["operator", "plumbline", "plumbline-operator"]);

/** Of the pod; undefined where it runs in none, or may not read it. Rejects with what may pass. */
export async function ownImage(
  api: KubernetesApi,
  pod: { readonly name: string; readonly namespace: string },
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const parsed = v.safeParse(PodSchema, await api.get(POD, pod.name, pod.namespace, signal));
    if (!parsed.success) return undefined;
    const { containers } = parsed.output.spec;
    return (containers.find(({ name = "" }) => CONTAINERS.has(name)) ?? containers[0])?.image;
  } catch (error) {
    if (error instanceof ApiFailure && error.reason === "forbidden") return undefined;
    throw error;
  }
}
