/** Where the API server is, what of it is trusted, and who asks it. */
import { X509Certificate } from "node:crypto";
import { ConfigError } from "../../config/error.ts";
import type { Environment } from "../../config/load.ts";
import { readToken, TlsCredentials } from "../../rest/credentials.ts";
import { RestFailure } from "../../rest/failure.ts";
import type { ClientTls } from "../../runtime/index.ts";
import type { AccessSettings } from "./access-settings.ts";
import { type ExecCredential, ExecPlugin } from "./exec-plugin.ts";
import { inCluster } from "./in-cluster.ts";
import { fromKubeconfig } from "./kubeconfig.ts";

export interface ClusterAccess {
  /** `https://host:port`, or `https://host:port/prefix`; no slash at the end. */
  readonly server: string;
  /** Of the pod, or of the kubeconfig's context. */
  readonly namespace: string | undefined;
  /**
   * The same object for as long as nothing has changed; what an exec plugin gives is there once `authorization` has
   * resolved. Throws RestFailure("credentials") where a file cannot be used, or a certificate has expired.
   */
  readonly tls: ClientTls;
  /** `Bearer …`; undefined where a certificate says who asks. Rejects with RestFailure("credentials"). */
  authorization(): Promise<string | undefined>;
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
export function clusterAccess({
  kubeconfig,
  env,
  serviceAccountDir,
  warn = () => {},
}: AccessOptions): ClusterAccess {
  const paths = kubeconfig || env["KUBECONFIG"];
  const settings = paths ? fromKubeconfig(paths, warn) : inCluster(env, serviceAccountDir);
  try {
    const access = new Access(settings, env);
    void access.tls;
    if (settings.asker.kind === "token_file") readToken(settings.asker.path);
    return access;
  } catch (error) {
    if (error instanceof RestFailure) throw new ConfigError({ text: error.message });
    throw error;
  }
}

class Access implements ClusterAccess {
  readonly #settings: AccessSettings;
  readonly #plugin: ExecPlugin | undefined;
  #fromPlugin: ExecCredential["certificate"];
  #credentials: TlsCredentials;
  #tls:
    | { readonly texts: Texts; readonly whole: ClientTls; readonly expiries: readonly Expiry[] }
    | undefined;

  constructor(settings: AccessSettings, env: Environment) {
    this.#settings = settings;
    this.#credentials = new TlsCredentials(settings.tls);
    const { asker } = settings;
    this.#plugin = asker.kind === "exec" ? new ExecPlugin(asker.exec, env, this.#clusterInfo()) : undefined;
  }

  get server(): string {
    return this.#settings.server;
  }

  get namespace(): string | undefined {
    return this.#settings.namespace;
  }

  get tls(): ClientTls {
    const texts = this.#credentials.read();
    if (this.#tls?.texts !== texts) {
      const { insecureSkipVerify, serverName } = this.#settings;
      this.#tls = { texts, whole: { ...texts, insecureSkipVerify, serverName }, expiries: expiriesOf(texts) };
    }
    const over = this.#tls.expiries.find(({ at }) => at < Date.now());
    if (over === undefined) return this.#tls.whole;
    const since = new Date(over.at).toISOString();
    throw new RestFailure("credentials", `${over.what} for ${this.server} expired at ${since}; renew it`);
  }

  async authorization(): Promise<string | undefined> {
    const { asker } = this.#settings;
    switch (asker.kind) {
      case "certificate":
        return undefined;
      case "token":
        return `Bearer ${asker.token.reveal()}`;
      case "token_file":
        return `Bearer ${readToken(asker.path)}`;
      case "exec":
        return this.#askPlugin(asker.exec.command);
    }
  }

  rejected(): void {
    this.#plugin?.drop();
  }

  async #askPlugin(command: string): Promise<string | undefined> {
    const { token, certificate } = (await this.#plugin?.credential()) ?? {};
    if (certificate !== this.#fromPlugin) {
      this.#fromPlugin = certificate;
      const origin = `the answer of the exec plugin ${command}`;
      const pem = (text: string) => ({ origin, text });
      const own = certificate && { cert: pem(certificate.cert), key: pem(certificate.key) };
      this.#credentials = new TlsCredentials({ ...this.#settings.tls, ...own });
    }
    return token === undefined ? undefined : `Bearer ${token}`;
  }

  /** As ExecCredential's `spec.cluster` has it. */
  #clusterInfo(): unknown {
    const { server, serverName, insecureSkipVerify } = this.#settings;
    const { ca } = this.#credentials.read();
    return {
      server,
      ...(serverName === undefined ? {} : { "tls-server-name": serverName }),
      ...(insecureSkipVerify ? { "insecure-skip-tls-verify": true } : {}),
      ...(ca === undefined ? {} : { "certificate-authority-data": Buffer.from(ca).toString("base64") }),
    };
  }
}

type Texts = ReturnType<TlsCredentials["read"]>;

interface Expiry {
  readonly what: string;
  /** Unix ms. */
  readonly at: number;
}

/** Of several authorities one that is still valid is enough. */
function expiriesOf({ ca, cert }: Texts): Expiry[] {
  const ends = (text: string) => text.split(/(?=-----BEGIN CERTIFICATE-----)/).flatMap(endOf);
  const own = cert === undefined ? [] : ends(cert).slice(0, 1);
  const authorities = ca === undefined ? [] : [Math.max(...ends(ca))];
  return [
    ...own.map((at) => ({ what: "the client certificate", at })),
    ...authorities.map((at) => ({ what: "the certificate of the authority", at })),
  ];
}

const endOf = (text: string): number[] =>
  text.startsWith("-----BEGIN") ? [Date.parse(new X509Certificate(text).validTo)] : [];
