/** What a test sees of the Kubernetes API server of the test kit. `startKubernetesApi` of start.ts makes one. */
import type { Kind, KubernetesObject, Manifest } from "../../../src/kubernetes/object.ts";

export interface KubernetesApiOptions {
  /** 0, the default, lets the kernel choose; `restart` takes the same one again. */
  readonly port?: number;
  /** Nodes fake-1 … fake-N, Ready, with zone, instance type and providerID; none by default. */
  readonly nodes?: number;
  /** Plays the DaemonSet controller and the kubelets: pods for each node, their status, rolling updates. Off by default. */
  readonly controllers?: boolean;
  /** CustomResourceDefinitions that are there from the start; MONITORING_CRDS and others are in crds.ts. */
  readonly crds?: readonly Manifest[];
  /** The pod's IP; by default 10.88.x.y. */
  readonly podIp?: (pod: { readonly node: string; readonly uid: string }) => string;
  /** How long a pod takes to become ready; 0 by default, so that it is ready as soon as it is made. */
  readonly podStartMs?: number;
  /** Of watches with allowWatchBookmarks; 1000 by default (a real server sends one a minute). */
  readonly bookmarkMs?: number;
}

export interface FakeKubernetes extends AsyncDisposable {
  /** https://127.0.0.1:PORT */
  readonly server: string;
  readonly port: number;
  /** Everything below lies there: ca.crt, kubeconfig, accounts. Removed at the end. */
  readonly directory: string;
  readonly caFile: string;
  readonly ca: string;
  /** May do everything. */
  readonly token: string;
  /** The path of a kubeconfig with that token. */
  readonly kubeconfig: string;
  /** Of user admin, group system:masters; signed by the same CA. */
  readonly clientCertificate: KeyPair;
  /** The same, past its time. */
  readonly expiredCertificate: KeyPair;

  /** What was asked, in its order, the rejected requests too. */
  readonly requests: readonly Requested[];
  /** Watches that are open now. */
  readonly watches: readonly Requested[];

  /** In the order of namespace and name. */
  objects(kind: Kind, namespace?: string): readonly KubernetesObject[];
  object(kind: Kind, name: string, namespace?: string): KubernetesObject | undefined;
  /**
   * Creates, or replaces all but the metadata that only a server sets, as another client would with the manager
   * `another-client`, but without rights, schemas or faults; a status counts. Works while the server is down.
   */
  put(manifest: Manifest): KubernetesObject;
  /** What a hand does with `kubectl edit`: a JSON merge patch (undefined members of it do nothing, null removes). */
  edit(kind: Kind, name: string, namespace: string | undefined, patch: unknown): KubernetesObject;
  /** As DELETE does: with finalizers it stays with a deletionTimestamp, and what it owns goes too. */
  remove(kind: Kind, name: string, namespace?: string): void;
  /** A node with its Ready condition, in the shape of the others. */
  addNode(name: string): KubernetesObject;
  /** As if their process had ended: pods and DaemonSets stay as they are. */
  stopControllers(): void;
  /** From now on no pod of a DaemonSet is made on the node; those that are there stay. */
  refusePods(node: string): void;
  /** What the kubelets make of the pod from now on (as long as that pod lives). */
  setPod(name: string, namespace: string, state: PodState): void;

  /** A ServiceAccount's rights and tokens; its folder looks like /var/run/secrets/kubernetes.io/serviceaccount. */
  account(name: string, namespace: string, rules: readonly Rule[]): Account;

  /** What goes wrong from now on; the first that fits a request and has turns left is used. */
  fault(fault: Fault, where?: FaultPlace): FaultHandle;
  /** Ends the connections of all watches (of one kind), in the middle of a line if `isMidLine`. */
  dropWatches(options?: { readonly kind?: Kind; readonly isMidLine?: boolean }): void;
  /** Forgets old resourceVersions: a watch from one of them, and a `continue`, gets 410. */
  compact(): void;

  /** Nothing listens any more, all connections end; the objects stay. */
  stop(): Promise<void>;
  /** Listens on the same port again. All resourceVersions from before are gone, as with a real server that restarts. */
  restart(): Promise<void>;
}

export interface KeyPair {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

export interface Requested {
  readonly method: string;
  /** get, list, watch, create, update, patch, apply, delete, deletecollection */
  readonly verb: string;
  /** plural of the kind, "daemonsets"; "" for paths like /version */
  readonly resource: string;
  readonly subresource: string | undefined;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  /** With the query. */
  readonly path: string;
  /** The header. */
  readonly accept: string;
  /** The account's name, "admin", or undefined for a token that is not known. */
  readonly user: string | undefined;
  readonly body: string;
  /** performance.now() */
  readonly at: number;
  /** Of the answer, once it began; undefined for none. */
  status: number | undefined;
}

export type PodState = "ready" | "notready" | "crash" | "pending";

/** As in a Role or, without `namespace`, in a ClusterRole. `apply` needs patch (and create, as 1.20 does). */
export interface Rule {
  readonly apiGroups: readonly string[];
  /** plurals; `daemonsets/status` for a subresource; "*" for all */
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly namespace?: string;
}

export interface Account {
  readonly directory: string;
  readonly tokenFile: string;
  /** The one in tokenFile. */
  readonly token: string;
  /** May be changed at any time. */
  rules: readonly Rule[];
  /** Writes a new token into tokenFile, and does not take the old one any more. */
  rotate(): string;
  /** Takes none of its tokens from now on. */
  revoke(): void;
}

export type Fault =
  /** A Status body; with `retryAfterS` the header. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly retryAfterS?: number;
      readonly message?: string;
    }
  /** The answer ends in the middle of its JSON: with its connection, or, if its length is true, as a whole answer. */
  | { readonly kind: "truncated"; readonly isLengthTrue?: boolean }
  /** The connection is reset in place of an answer, the request not done, or done. */
  | { readonly kind: "reset"; readonly isDone?: boolean }
  /** The answer comes later. */
  | { readonly kind: "slow"; readonly ms: number }
  /** No answer at all. */
  | { readonly kind: "silent" }
  /** Of a watch: the header comes, and then nothing, ever, not even its end. */
  | { readonly kind: "mute-watch" }
  /** A watch's first event is an ERROR with 410. */
  | { readonly kind: "gone-watch" }
  /** Any bytes as the body. */
  | { readonly kind: "body"; readonly status?: number; readonly body: string; readonly type?: string }
  | { readonly kind: "redirect"; readonly status: 301 | 302 | 307 | 308; readonly to: string };

export interface FaultPlace {
  readonly verb?: string;
  readonly resource?: string;
  readonly subresource?: string;
  readonly name?: string;
  /** How often; without it until `end`. */
  readonly times?: number;
}

export interface FaultHandle extends Disposable {
  /** How often it struck. */
  readonly hits: number;
  end(): void;
}
