/** The API server as a pod finds it: its address in the environment, the ServiceAccount in a folder. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../../config/error.ts";
import type { Environment } from "../../config/load.ts";
import type { AccessSettings } from "./access-settings.ts";

const SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Throws ConfigError. */
export function inCluster(env: Environment, directory = SERVICE_ACCOUNT_DIR): AccessSettings {
  const host = env["KUBERNETES_SERVICE_HOST"];
  const port = env["KUBERNETES_SERVICE_PORT"];
  if (!host || !port)
    throw new ConfigError({
      text: "no API server is known: give --kubeconfig or KUBECONFIG, or run the operator in a pod of the cluster",
    });
  const url = URL.parse(`https://${host.includes(":") ? `[${host}]` : host}:${port}`);
  if (url === null)
    throw new ConfigError({
      text: `KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are no address: ${JSON.stringify(host)} and ${JSON.stringify(port)}`,
    });
  return {
    server: url.origin,
    namespace: namespaceIn(directory),
    tls: { ca: join(directory, "ca.crt") },
    insecureSkipVerify: false,
    serverName: undefined,
    asker: { kind: "token_file", path: join(directory, "token") },
  };
}

function namespaceIn(directory: string): string | undefined {
  try {
    return readFileSync(join(directory, "namespace"), "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}
