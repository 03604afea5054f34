/**
 * The exporter on every node, with the least rights that its collectors need; as deploy/kubernetes has it, where the
 * reasons stand.
 */
import {
  CONFIG_DIRECTORY,
  CONFIG_KEY,
  exporterConfig,
  HOST_DEV,
  HOST_SYS,
  readsDevices,
  SECRETS_DIRECTORY,
} from "./exporter-config.ts";
import type { PlumblineSpec } from "./spec-schema.ts";

export interface Pods {
  /** Of the ServiceAccount and the ConfigMap. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly image: string;
  readonly configHash: string;
}

export const CONFIG_HASH = "plumbline.dev/config-hash";

export function daemonSetSpec(spec: PlumblineSpec, pods: Pods): Readonly<Record<string, unknown>> {
  const parts = mounts(spec, pods.name);
  return {
    selector: { matchLabels: pods.labels },
    updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "10%" } },
    template: {
      metadata: {
        labels: pods.labels,
        annotations: {
          [CONFIG_HASH]: pods.configHash,
          "kubectl.kubernetes.io/default-container": CONTAINER,
        },
      },
      spec: {
        serviceAccountName: pods.name,
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        ...(spec.priorityClassName === undefined ? {} : { priorityClassName: spec.priorityClassName }),
        tolerations: spec.tolerations,
        nodeSelector: nodeSelector(spec),
        containers: [
          {
            name: CONTAINER,
            image: pods.image,
            args: ["serve", `--config.file=${CONFIG_DIRECTORY}/${CONFIG_KEY}`],
            env: [{ name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }],
            ports: containerPorts(spec),
            livenessProbe: { ...probe("/-/healthy"), failureThreshold: 6 },
            readinessProbe: probe("/-/ready"),
            resources: {
              requests: asTexts(spec.resources.requests),
              limits: asTexts(spec.resources.limits),
            },
            securityContext: securityContext(spec),
            volumeMounts: parts.map(({ mount }) => mount),
          },
        ],
        volumes: parts.map(({ volume }) => volume),
      },
    },
  };
}

const CONTAINER = "plumbline";

export const nodeSelector = (
  spec: Pick<PlumblineSpec, "nodeSelector">,
): Readonly<Record<string, string>> => ({ "kubernetes.io/os": "linux", ...spec.nodeSelector });

/** Server-side apply refuses quantities that are numbers. */
const asTexts = (quantities: Readonly<Record<string, string | number>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(quantities).map(([resource, quantity]) => [resource, String(quantity)]));

const probe = (path: string) => ({
  httpGet: { path, port: "metrics" },
  timeoutSeconds: 5,
  periodSeconds: 10,
});

/** Named by their protocol as well, which is part of a port's key for server-side apply. */
function containerPorts(spec: PlumblineSpec) {
  return exporterConfig(spec).ports.map((containerPort, index) => ({
    name: index === 0 ? "metrics" : `metrics-${containerPort}`,
    containerPort,
    protocol: "TCP",
  }));
}

/** DAC_READ_SEARCH: files of the kubelet that a driver gave to another user. SYS_ADMIN: the commands that read log pages. */
export function capabilities(spec: PlumblineSpec): readonly string[] {
  return [
    ...(spec.collectors.csi || readsDevices(spec) ? ["DAC_READ_SEARCH"] : []),
    ...(readsDevices(spec) ? ["SYS_ADMIN"] : []),
  ];
}

export const isPrivileged = (spec: PlumblineSpec): boolean =>
  readsDevices(spec) && spec.deviceAccess === "Privileged";

function securityContext(spec: PlumblineSpec) {
  return {
    runAsUser: 0,
    runAsGroup: 0,
    // The API server refuses one of the two beside the other.
    ...(isPrivileged(spec) ? { privileged: true } : { allowPrivilegeEscalation: false }),
    readOnlyRootFilesystem: true,
    seccompProfile: { type: "RuntimeDefault" },
    capabilities: { drop: ["ALL"], add: capabilities(spec) },
  };
}

/** A volume and where the container has it; all of them are read-only. */
interface Mount {
  readonly volume: Readonly<Record<string, unknown>>;
  readonly mount: Readonly<Record<string, unknown>>;
}

function mounts(spec: PlumblineSpec, configMap: string): readonly Mount[] {
  const { kubelet, readsTrident } = exporterConfig(spec);
  return [
    mount("config", { configMap: { name: configMap } }, CONFIG_DIRECTORY),
    hostDirectory("sys", "/sys", HOST_SYS),
    ...(spec.collectors.csi ? [withLaterMounts(hostDirectory("kubelet", kubelet, kubelet))] : []),
    ...(spec.collectors.csi && readsTrident ? [hostDirectory("trident", TRIDENT, TRIDENT)] : []),
    ...(readsDevices(spec) ? [hostDirectory("dev", "/dev", HOST_DEV)] : []),
    ...spec.secrets.map((secretName, index) =>
      mount(
        `secret-${index}`,
        { secret: { secretName, defaultMode: READ_BY_OWNER } },
        `${SECRETS_DIRECTORY}/${secretName}`,
      ),
    ),
  ];
}

/** Of Trident's own files, which config.csi.vendor_files asks for. */
const TRIDENT = "/var/lib/trident/tracking";
const READ_BY_OWNER = 0o400;

const mount = (name: string, source: object, mountPath: string): Mount => ({
  volume: { name, ...source },
  mount: { name, mountPath, readOnly: true },
});

const hostDirectory = (name: string, path: string, mountPath: string): Mount =>
  mount(name, { hostPath: { path, type: "Directory" } }, mountPath);

/** Else volumes that are mounted after the start are not seen. */
const withLaterMounts = ({ volume, mount }: Mount): Mount => ({
  volume,
  mount: { ...mount, mountPropagation: "HostToContainer" },
});
