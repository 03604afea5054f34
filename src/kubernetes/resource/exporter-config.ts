/** The configuration file of a Plumbline's pods: what it says, and what follows from how its pods are made. */
import { createHash } from "node:crypto";
import * as v from "valibot";
import { stringify } from "yaml";
import { listenPorts } from "./listen-ports.ts";
import { type PlumblineSpec, SPEC } from "./spec-schema.ts";

export const CONFIG_DIRECTORY = "/etc/plumbline";
export const CONFIG_KEY = "plumbline.yml";
/** Each Secret is a directory here. */
export const SECRETS_DIRECTORY = "/var/run/secrets/plumbline";

/** Where the pods have what is the node's. The kubelet's directory is at its own path, because mount tables hold that. */
export const HOST_SYS = "/host/sys";
export const HOST_DEV = "/host/dev";

/** The same text for the same arguments. */
export function configText(spec: PlumblineSpec, clusterId: string | undefined): string {
  const { collectors, path, ...rest } = v.parse(SECTIONS, spec.config);
  const config = {
    ...rest,
    collectors: { ...collectors, ...spec.collectors },
    path: { ...path, sysfs: HOST_SYS, ...(readsDevices(spec) ? { devfs: HOST_DEV } : {}) },
    ...(clusterId === undefined ? {} : { cluster_id: clusterId }),
  };
  const body = stringify(config, { sortMapEntries: true, aliasDuplicateObjects: false, lineWidth: 0 });
  return `# Made from a Plumbline by the operator, which puts back what is changed here.\n${body}`;
}

export const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Whether a collector is on that opens /dev/nvme*. */
export const readsDevices = ({ collectors }: PlumblineSpec): boolean =>
  collectors.nvme || collectors.ebs || collectors.instance_store;

/** What of the configuration decides about the pods, with its defaults. */
export function exporterConfig(spec: PlumblineSpec): {
  /** The first is the one that is scraped. */
  readonly ports: readonly number[];
  readonly telemetryPath: string;
  readonly kubelet: string;
  readonly readsTrident: boolean;
} {
  const { web, path, csi } = v.parse(SPEC.entries.config, spec.config);
  return {
    ports: listenPorts(web.listen_addresses),
    telemetryPath: web.telemetry_path,
    kubelet: path.kubelet ?? "/var/lib/kubelet",
    readsTrident: csi.vendor_files?.includes("trident") ?? false,
  };
}

const SECTION = v.optional(v.record(v.string(), v.unknown()), {});
const SECTIONS = v.looseObject({ collectors: SECTION, path: SECTION });
