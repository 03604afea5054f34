/** Nodes as a cluster on EC2 has them. */
import type { Manifest } from "../../../src/kubernetes/object.ts";

/** Ready. */
export function nodeNamed(name: string, index: number): Manifest {
  const zone = `us-east-1${"abc"[index % 3]}`;
  const capacity = { cpu: "8", memory: "32Gi", pods: "110" };
  const now = new Date().toISOString();
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      labels: {
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "node.kubernetes.io/instance-type": "m6i.large",
        "topology.kubernetes.io/region": "us-east-1",
        "topology.kubernetes.io/zone": zone,
      },
    },
    spec: {
      providerID: `aws:///${zone}/i-${(0x0a1b2c3d00000000n + BigInt(index)).toString(16).padStart(17, "0")}`,
    },
    status: {
      capacity,
      allocatable: capacity,
      addresses: [
        { type: "InternalIP", address: `10.99.${index >> 8}.${index & 255}` },
        { type: "Hostname", address: name },
      ],
      conditions: [
        { type: "Ready", status: "True", reason: "KubeletReady", message: "", lastTransitionTime: now },
      ],
    },
  };
}
