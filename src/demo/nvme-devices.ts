/** Descriptions of simulated controllers by kind: an EBS volume, an instance store, any other drive. */
import * as answers from "./nvme-answers.ts";
import type { ControllerDescription, NamespaceDescription } from "./nvme-host.ts";
import {
  type AmazonCounters,
  type ControllerIdentity,
  ebsPage,
  type InstanceStoreCounters,
  identifyController,
  identifyNamespace,
  instanceStorePages,
  type SmartValues,
  smartPage,
} from "./nvme-pages.ts";
import type { Change } from "./nvme-recording.ts";

export const AMAZON_VENDOR = 0x1d0f;
export const EBS_MODEL = "Amazon Elastic Block Store";
export const INSTANCE_STORE_MODEL = "Amazon EC2 NVMe Instance Storage";

export interface EbsVolume {
  readonly name: string;
  /** `vol` and 17 hexadecimal digits. */
  readonly serial: string;
  /** Name in the instance's block device mapping: `/dev/sdf`. */
  readonly mapping?: string;
  readonly sizeBytes: bigint;
  readonly counters: AmazonCounters;
  readonly changes?: Change[];
}

export function ebsVolume(volume: EbsVolume): ControllerDescription {
  const { name, serial, mapping, sizeBytes, counters, changes } = volume;
  return controller(
    { name, model: EBS_MODEL, serial, firmware: "2.0" },
    { vendorId: AMAZON_VENDOR, ...(mapping !== undefined && { mapping }) },
    [{ name: `${name}n1`, nsid: 1, blocks: sizeBytes / 512n }],
    [
      answers.shows(answers.SMART, smartPage({ temperatureKelvin: 0, availableSparePercent: 100 })),
      answers.shows(answers.EBS, ebsPage(counters), changes),
    ],
  );
}

export interface InstanceStore {
  readonly name: string;
  /** `AWS` and 17 hexadecimal digits. */
  readonly serial: string;
  readonly mapping?: string;
  readonly sizeBytes: bigint;
  readonly counters: InstanceStoreCounters;
  readonly changes?: Change[];
  /** Of the second half. */
  readonly detailChanges?: Change[];
}

export function instanceStore(store: InstanceStore): ControllerDescription {
  const { name, serial, mapping, sizeBytes, counters } = store;
  const { first, detail } = instanceStorePages(counters);
  return controller(
    { name, model: INSTANCE_STORE_MODEL, serial, firmware: "0" },
    { vendorId: AMAZON_VENDOR, ...(mapping !== undefined && { mapping }) },
    [{ name: `${name}n1`, nsid: 1, blocks: sizeBytes / 512n }],
    [
      answers.shows(answers.SMART, smartPage({ temperatureKelvin: 308, availableSparePercent: 100 })),
      answers.shows(answers.INSTANCE_STORE, first, store.changes),
      answers.shows(answers.INSTANCE_STORE_DETAIL, detail, store.detailChanges),
    ],
  );
}

export interface Drive {
  readonly name: string;
  readonly model: string;
  readonly serial: string;
  readonly firmware: string;
  readonly transport?: string;
  readonly state?: string;
  readonly subsystem?: number;
  readonly identity?: ControllerIdentity;
  readonly namespaces: readonly NamespaceDescription[];
  readonly smart: SmartValues;
  readonly changes?: Change[];
}

export function drive(drive: Drive): ControllerDescription {
  const { identity = {}, namespaces, smart, changes, ...rest } = drive;
  return controller(rest, { vendorId: 0x1234, ...identity }, namespaces, [
    answers.shows(answers.SMART, smartPage(smart), changes),
  ]);
}

/** Adds what Identify answers, with the same text and sizes as sysfs. */
function controller(
  sysfs: Omit<ControllerDescription, "namespaces" | "answers">,
  identity: ControllerIdentity,
  namespaces: readonly NamespaceDescription[],
  logPages: ControllerDescription["answers"],
): ControllerDescription {
  const { serial, model, firmware } = sysfs;
  const page = identifyController({ serial, model, firmware, ...identity });
  const identifyAll = namespaces.map((namespace) =>
    answers.shows(
      answers.namespace(namespace.nsid),
      identifyNamespace({
        sizeBlocks: namespace.blocks,
        capacityBlocks: namespace.blocks,
        usedBlocks: namespace.usedBlocks ?? namespace.blocks,
        logicalBlockSizeBytes: namespace.logicalBlockBytes ?? 512,
      }),
    ),
  );
  return {
    ...sysfs,
    namespaces,
    answers: [answers.shows(answers.CONTROLLER, page), ...identifyAll, ...logPages],
  };
}
