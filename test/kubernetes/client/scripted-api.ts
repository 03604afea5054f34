/** An API server that answers as a test says, over TLS, and a client that asks it. */
import type { ClusterAccess } from "../../../src/kubernetes/client/access.ts";
import { type ApiOptions, KubernetesApi } from "../../../src/kubernetes/client/api.ts";
import { ApiFailure } from "../../../src/kubernetes/client/failure.ts";
import type { Log } from "../../../src/log/log.ts";
import { type Asked, type Conduct, HostileServer, json } from "../../support/hostile-server.ts";
import type { Certificates } from "../../web/certificates.ts";

export const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Longer than any secret of a test that may be in an answer by chance. */
export const TOKEN = "planted.bearer.token.of.the.operator";

export const serving = (made: Certificates, conduct: Conduct, port = 0): Promise<HostileServer> =>
  HostileServer.start(conduct, { tls: made.server, port });

export function accessTo(server: HostileServer, made: Certificates): ClusterAccess {
  return {
    server: server.origin,
    namespace: undefined,
    tls: { ca: made.ca.cert },
    authorization: async () => `Bearer ${TOKEN}`,
    rejected() {},
  };
}

export const clientOf = (access: ClusterAccess, options: Partial<ApiOptions> = {}): KubernetesApi =>
  new KubernetesApi(access, { log: quiet, ...options });

export async function failureOf(attempt: Promise<unknown>): Promise<ApiFailure> {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof ApiFailure) return error;
    throw error;
  }
  throw new Error("nothing failed");
}

/** The body of an error answer. */
export const status = (code: number, more: Readonly<Record<string, unknown>> = {}): Conduct =>
  json({ kind: "Status", apiVersion: "v1", status: "Failure", code, ...more }, code);

export const configMap = (name: string, resourceVersion: string, uid = name) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "n", uid, resourceVersion },
});

export const listOf = (resourceVersion: string, ...items: readonly unknown[]): Conduct =>
  json({ kind: "ConfigMapList", apiVersion: "v1", metadata: { resourceVersion }, items });

export const isWatch = ({ path }: Asked): boolean => path.includes("watch=1");

const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

/** The head of a watch's answer and these texts, as they are. */
export const beginWatch =
  (...texts: readonly string[]): Conduct =>
  (connection) => {
    const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.write(head + texts.map(chunk).join(""));
  };

/** The same, and the end that a server gives it after some minutes. */
export const wholeWatch =
  (...texts: readonly string[]): Conduct =>
  (connection, asked) => {
    beginWatch(...texts)(connection, asked);
    connection.write("0\r\n\r\n");
  };

/** The same, and the end of the connection in its midst. */
export const cutWatch =
  (...texts: readonly string[]): Conduct =>
  (connection, asked) => {
    beginWatch(...texts)(connection, asked);
    connection.end();
  };

export const event = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;

export const bookmark = (resourceVersion: string): string =>
  event("BOOKMARK", {
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: { resourceVersion, creationTimestamp: null },
  });

const PATIENCE_MS = 20_000;

export async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`it never came: ${isSo}`);
    await Bun.sleep(2);
  }
}
