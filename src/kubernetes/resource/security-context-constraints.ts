/** What OpenShift lets the pods of one Plumbline be, and nobody else's. */
import { capabilities, isPrivileged } from "./daemon-set.ts";
import type { PlumblineSpec } from "./spec-schema.ts";

export function securityContextConstraints(
  spec: PlumblineSpec,
  serviceAccount: { readonly namespace: string; readonly name: string },
): Readonly<Record<string, unknown>> {
  const { namespace, name } = serviceAccount;
  return {
    users: [`system:serviceaccount:${namespace}:${name}`],
    groups: [],
    allowHostDirVolumePlugin: true,
    allowPrivilegedContainer: isPrivileged(spec),
    // Follows from it: a privileged container cannot be without.
    allowPrivilegeEscalation: isPrivileged(spec),
    allowedCapabilities: capabilities(spec),
    defaultAddCapabilities: [],
    requiredDropCapabilities: ["ALL"],
    allowHostIPC: false,
    allowHostNetwork: false,
    allowHostPID: false,
    allowHostPorts: false,
    readOnlyRootFilesystem: true,
    runAsUser: { type: "RunAsAny" },
    // Confined containers may read neither the kubelet's files nor devices.
    seLinuxContext: { type: "MustRunAs", seLinuxOptions: { type: "spc_t" } },
    fsGroup: { type: "RunAsAny" },
    supplementalGroups: { type: "RunAsAny" },
    seccompProfiles: ["runtime/default"],
    volumes: ["configMap", "hostPath", "secret"],
  };
}
