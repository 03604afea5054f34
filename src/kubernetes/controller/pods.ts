/** The exporter's pods: what of them is kept, whether they are well, and on which node they are or should be. */
import * as v from "valibot";
import { type KubernetesObject, ObjectSchema } from "../object.ts";

export interface Pod {
  readonly name: string;
  readonly uid: string;
  /** Where it runs, or where alone it may. */
  readonly node: string | undefined;
  readonly ip: string | undefined;
  /** Of the container's port named `metrics`. */
  readonly port: number | undefined;
  readonly isReady: boolean;
  /** Deleted, and on its way out. */
  readonly isLeaving: boolean;
  /** Not scheduled, or no container of it runs yet. */
  readonly isPending: boolean;
  readonly trouble: Trouble | undefined;
}

export interface Trouble {
  /** Why it does not come up, in Kubernetes's word: CrashLoopBackOff, ErrImagePull, Unschedulable. */
  readonly reason: string;
  /** A pod that is only slow to start never shows it. */
  readonly isCertain: boolean;
}

/** The label that names the Plumbline. */
export const INSTANCE = "app.kubernetes.io/instance";

const CERTAIN: ReadonlySet<string> = new Set([
  "CrashLoopBackOff",
  "ImagePullBackOff",
  "ErrImagePull",
  "ErrImageNeverPull",
  "InvalidImageName",
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
]);

const text = v.fallback(v.optional(v.string()), undefined);
const list = <S extends v.GenericSchema>(item: S) => v.fallback(v.optional(v.array(item), []), []);
const part = <E extends v.ObjectEntries>(entries: E) => v.fallback(v.optional(v.object(entries)), undefined);

/** Members that are not named here are dropped: of a thousand pods no more than this is in memory. */
const KeptPodSchema = v.object({
  metadata: v.object({
    name: v.string(),
    namespace: text,
    uid: v.fallback(v.optional(v.string(), ""), ""),
    resourceVersion: text,
    deletionTimestamp: text,
    labels: part({ [INSTANCE]: text }),
  }),
  spec: part({
    nodeName: text,
    affinity: part({
      nodeAffinity: part({
        requiredDuringSchedulingIgnoredDuringExecution: part({
          nodeSelectorTerms: list(
            v.object({ matchFields: list(v.object({ key: text, values: list(v.string()) })) }),
          ),
        }),
      }),
    }),
    containers: list(
      v.object({
        ports: list(v.object({ name: text, containerPort: v.fallback(v.optional(v.number()), undefined) })),
      }),
    ),
  }),
  status: part({
    phase: text,
    podIP: text,
    reason: text,
    conditions: list(v.object({ type: text, status: text, reason: text })),
    containerStatuses: list(
      v.object({
        ready: v.fallback(v.optional(v.boolean(), false), false),
        state: part({ waiting: part({ reason: text }) }),
      }),
    ),
  }),
});
type KeptPod = v.InferOutput<typeof KeptPodSchema>;

/** What an informer keeps of a pod. */
export const keepPod = (object: KubernetesObject): KubernetesObject =>
  v.parse(ObjectSchema, v.parse(KeptPodSchema, object));

const read = new WeakMap<KubernetesObject, Pod>();

export function podOf(object: KubernetesObject): Pod {
  const known = read.get(object);
  if (known !== undefined) return known;
  const pod = describe(v.parse(KeptPodSchema, object));
  read.set(object, pod);
  return pod;
}

function describe({ metadata, spec, status }: KeptPod): Pod {
  const condition = (type: string) => status?.conditions.find((one) => one.type === type);
  return {
    name: metadata.name,
    uid: metadata.uid,
    node: spec?.nodeName || intendedNode(spec),
    ip: status?.podIP || undefined,
    port: spec?.containers.flatMap(({ ports }) => ports).find(({ name }) => name === "metrics")
      ?.containerPort,
    isReady: condition("Ready")?.status === "True",
    isLeaving: metadata.deletionTimestamp !== undefined,
    isPending: status?.phase === undefined || status.phase === "Pending",
    trouble: troubleOf(status, condition("PodScheduled")?.reason),
  };
}

/** The DaemonSet controller ties each pod to its node by the node's name, before the scheduler has seen it. */
const intendedNode = (spec: KeptPod["spec"]): string | undefined =>
  spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
    .flatMap(({ matchFields }) => matchFields)
    .find(({ key }) => key === "metadata.name")?.values[0];

function troubleOf(status: KeptPod["status"], scheduling: string | undefined): Trouble | undefined {
  if (status?.phase === "Failed") return { reason: wordOr(status.reason, "Failed"), isCertain: true };
  const waiting = status?.containerStatuses
    .map(({ state }) => state?.waiting?.reason)
    .find((reason) => reason !== undefined && CERTAIN.has(reason));
  if (waiting !== undefined) return { reason: waiting, isCertain: true };
  if (scheduling === "Unschedulable") return { reason: scheduling, isCertain: false };
  return isCutOff(status) ? { reason: "NodeNotReady", isCertain: false } : undefined;
}

/**
 * Of a node whose kubelet reports no more, the node controller takes back the readiness of the pods, and not that of
 * their containers. https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/util/node/controller_utils.go
 */
const isCutOff = (status: KeptPod["status"]): boolean =>
  status?.conditions.some((condition) => condition.type === "Ready" && condition.status !== "True") ===
    true &&
  status.containerStatuses.length > 0 &&
  status.containerStatuses.every(({ ready }) => ready);

/** Only what looks like a word of Kubernetes is repeated. */
const wordOr = (reason: string | undefined, otherwise: string): string =>
  reason !== undefined && /^[A-Za-z]{1,60}$/.test(reason) ? reason : otherwise;
