/** The programs of a real Kubernetes control plane, which `build.sh` makes of Debian's packages. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describeUnless, lacking, OPENSSL } from "../../support/debian.ts";

const DIRECTORY = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "plumbline/kubernetes");

export type ControlPlane = "etcd" | "kube-apiserver" | "kube-controller-manager" | "kube-scheduler";

/** Debian 13's: its kustomize knows components. The server is 1.20: kubectl 1.32 does with it what the tests need. */
export const KUBECTL = join(DIRECTORY, "kubectl");

export const binaryOf = (program: ControlPlane): string => join(DIRECTORY, program);

/** Why no cluster can be started on this machine; undefined where one can. */
export function lackingForKubernetes(): string | undefined {
  const files = ["kubectl", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
  const missing = files.filter((file) => !existsSync(join(DIRECTORY, file)));
  if (missing.length > 0)
    return `no ${missing.join(", ")} in ${DIRECTORY}: test/e2e/kubernetes/build.sh makes them in 5 minutes`;
  return lacking([OPENSSL, { command: "setpriv", package: "util-linux" }]);
}

/** `describe` for a body that needs the control plane. CI says itself where it could not be built in the time it has. */
export function describeWithKubernetes(name: string, body: () => void): void {
  const reason = lackingForKubernetes();
  if (reason !== undefined && process.env["PLUMBLINE_WITHOUT_KUBERNETES"] === "true") {
    process.stderr.write(`LEFT OUT: ${name}: ${reason}\n`);
    return;
  }
  describeUnless(reason, name, body);
}
