/** What a kubeconfig, or a pod's ServiceAccount, says of the API server and of who asks it. */
import type { Secret } from "../../config/secret.ts";
import type { TlsSources } from "../../rest/credentials.ts";

export interface AccessSettings {
  /** `https://host:port/prefix`, no slash at the end. */
  readonly server: string;
  readonly namespace: string | undefined;
  readonly tls: TlsSources;
  readonly insecureSkipVerify: boolean;
  /** Which name the server's certificate has, where it is not the one in the URL. */
  readonly serverName: string | undefined;
  readonly asker: Asker;
}

export type Asker =
  /** That of `tls`. */
  | { readonly kind: "certificate" }
  | { readonly kind: "token"; readonly token: Secret }
  /** Rotates. */
  | { readonly kind: "token_file"; readonly path: string }
  | { readonly kind: "exec"; readonly exec: ExecSettings };

/** A program that gives a token or a certificate, as `users[].user.exec` of a kubeconfig has it. */
export interface ExecSettings {
  readonly apiVersion: ExecVersion;
  /** A path, or a name that PATH leads to. */
  readonly command: string;
  readonly args: readonly string[];
  /** Beside the process's own. */
  readonly env: Readonly<Record<string, string>>;
  readonly provideClusterInfo: boolean;
}

export const EXEC_VERSIONS = [
  "client.authentication.k8s.io/v1",
  "client.authentication.k8s.io/v1beta1",
] as const;
export type ExecVersion = (typeof EXEC_VERSIONS)[number];
