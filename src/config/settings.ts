/** What the program runs with, once flags, environment, file and defaults have been brought together. */
import type { LogLevel } from "../log/log.ts";
import type { PveSettings } from "./pve.ts";

export interface Settings {
  readonly configFile: string | undefined;
  readonly web: {
    /** `host:port`, `[::]:port`, `:port` or `unix:///path`. */
    readonly listenAddresses: readonly string[];
    readonly telemetryPath: string;
    readonly configFile: string | undefined;
    /** TLS without a configuration file. */
    readonly keyPair: { readonly certFile: string; readonly keyFile: string } | undefined;
    readonly maxRequests: number;
    readonly timeoutOffsetMs: number;
    readonly enableLifecycle: boolean;
    readonly disableExporterMetrics: boolean;
  };
  readonly scrape: { readonly timeoutMs: number; readonly timeoutMaxMs: number };
  readonly collectors: {
    readonly disableDefaults: boolean;
    /** Only those that the user named: true for `--collector.NAME`, false for `--no-collector.NAME`. */
    readonly chosen: Readonly<Record<string, boolean>>;
  };
  readonly path: {
    readonly rootfs: string;
    readonly procfs: string;
    readonly sysfs: string;
    readonly devfs: string;
    readonly kubelet: string;
  };
  /** Somebody named `path.kubelet`: there is to be a kubelet. */
  readonly kubeletIsNamed: boolean;
  readonly nodeName: string;
  /** Nobody gave `nodeName`: it is the host name. */
  readonly nodeNameIsHostName: boolean;
  readonly clusterId: string | undefined;
  readonly ebs: {
    /** EBS_DEVICE: the only device that the `ebs` collector looks at, `/dev/nvme1n1` or `/dev/nvme1`. */
    readonly device: string | undefined;
  };
  readonly csi: {
    /** Each at most once. */
    readonly vendorFiles: readonly ("trident" | "hpe")[];
  };
  readonly mayastor: {
    /** `https://host:port/v0`, without a slash at its end; undefined: there is none to ask. */
    readonly endpoint: string | undefined;
    /** Longest time of one fetch, whatever the scrape allows. */
    readonly timeoutMs: number;
    /** The only node that is asked about; undefined: the whole cluster. */
    readonly nodeName: string | undefined;
    readonly tokenFile: string | undefined;
    readonly allowPlaintextToken: boolean;
    readonly caFile: string | undefined;
    /** With `keyFile` or not at all. */
    readonly certFile: string | undefined;
    readonly keyFile: string | undefined;
    readonly insecureSkipVerify: boolean;
    /** Each at most once. */
    readonly resources: readonly ("nodes" | "pools" | "volumes" | "replicas")[];
    readonly officialPoolNames: boolean;
    /** Patterns of whole node ids; each is one that `linearPattern` takes. */
    readonly ignoreNodes: readonly string[];
  };
  readonly pve: PveSettings;
  readonly textfile: {
    readonly directory: string | undefined;
    readonly name: string;
    readonly strict: boolean;
  };
  readonly state: { readonly directory: string };
  readonly operator: {
    /** As KUBECONFIG: several are separated by colons. Undefined: the pod's service account. */
    readonly kubeconfig: string | undefined;
    /** Undefined: that of the kubeconfig or of the service account. */
    readonly namespace: string | undefined;
    /** In the Lease: the pod's name. */
    readonly identity: string;
    readonly leaderElect: boolean;
    readonly image: string | undefined;
    readonly metricsListenAddresses: readonly string[];
    readonly metricsConfigFile: string | undefined;
    readonly healthListenAddresses: readonly string[];
  };
  readonly log: { readonly level: LogLevel; readonly format: "logfmt" | "json" };
}
