/** What the collectors of EBS and of instance-store volumes share: who their devices are and who they belong to. */
import { identifyController } from "./commands.ts";
import type { Interview } from "./interview.ts";
import type { Controller } from "./model.ts";
import {
  AMAZON_VENDOR_ID,
  decodeIdentifyController,
  type IdentifyController,
} from "./pages/identify-controller.ts";

/** From the configuration: whose volumes these are. */
export interface Place {
  readonly node: string;
  /** Undefined: the series have no label `cluster_id`. */
  readonly clusterId: string | undefined;
}

/** Whether a controller with Amazon's model is Amazon's. Only then may it be asked for log page D0h. */
export type Identified =
  | { readonly kind: "amazon"; readonly identity: IdentifyController }
  | { readonly kind: "impostor" }
  | { readonly kind: "unknown" };

export async function identifyAmazon(controller: Controller, interview: Interview): Promise<Identified> {
  const asked = await interview.ask(identifyController(), decodeIdentifyController);
  if (asked.kind !== "page") return { kind: "unknown" };
  if (asked.page.vendorId === AMAZON_VENDOR_ID) return { kind: "amazon", identity: asked.page };
  const vendor = `0x${asked.page.vendorId.toString(16).padStart(4, "0")}`;
  interview.note({
    reason: "bad_identity",
    detail: `the model is "${controller.model}", but the PCI vendor is ${vendor} and not Amazon's 0x1d0f; its log pages are left alone`,
  });
  return { kind: "impostor" };
}

/** The block device of an Amazon volume, which has one namespace; undefined, and noted, where it has none. */
export function volumeDevice(controller: Controller, interview: Interview): string | undefined {
  const device = controller.namespaces[0]?.name;
  if (device === undefined) {
    interview.note({
      reason: "no_namespace",
      detail:
        "the controller has no namespace, so there is no block device to name; it may be being attached or detached",
    });
  }
  return device;
}
