/** Where the API server is, what of it is trusted, and who asks it. */
import type { Environment } from "../config/load.ts";
import type { ClientTls } from "../runtime/index.ts";

export interface ClusterAccess {
  /** `https://host:port`, or `https://host:port/prefix`; no slash at the end. */
  readonly server: string;
  /** Of the pod, or of the kubeconfig's context. */
  readonly namespace: string | undefined;
  /**
   * The same object for as long as nothing has changed; what an exec plugin gives is there once `authorization` has
   * resolved. Throws ApiFailure("credentials") where a file cannot be used.
   */
  readonly tls: ClientTls;
  /** `Bearer …`; undefined where a certificate says who asks. Rejects with ApiFailure("credentials"). */
  authorization(signal: AbortSignal): Promise<string | undefined>;
  /** The server answered 401: the next `authorization` is a new one, where a new one can be had. */
  rejected(): void;
}

export interface AccessOptions {
  /** The flag's value: a path, or several with colons between them. Default: the variable KUBECONFIG. */
  readonly kubeconfig: string | undefined;
  readonly env: Environment;
  readonly serviceAccountDir?: string;
  /** Is told what works and should not stay so. */
  readonly warn?: (message: string) => void;
}

/** Throws ConfigError, whose sentence says what to do. */
export function clusterAccess(_options: AccessOptions): ClusterAccess {
  throw new Error("not yet");
}
