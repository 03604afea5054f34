/** What the collectors of EBS and of instance-store volumes share: who their devices are and who they belong to. */
import { identifyController } from "./commands.ts";
import type { Interview } from "./interview.ts";
import type { AdminCommand, Controller } from "./model.ts";
import {
  AMAZON_VENDOR_ID,
  decodeIdentifyController,
  type IdentifyController,
} from "./pages/identify-controller.ts";
import type { Decoded } from "./problem.ts";

/** From the configuration: whose volumes these are. */
export interface Place {
  readonly node: string;
  /** Undefined: the series have no label `cluster_id`. */
  readonly clusterId: string | undefined;
}

export type AskedVolume<Page> =
  | {
      readonly kind: "volume";
      /** Block device: `nvme1n1`. */
      readonly device: string;
      readonly identity: IdentifyController;
      readonly page: Page;
      /** As in `Answer`. */
      readonly readAt: number;
    }
  /** `matches` and `failed` as in `Reading`. */
  | { readonly kind: "none"; readonly matches: boolean; readonly failed: boolean };

/** Reads log page D0h of a controller with Amazon's model, and only if it turns out to be Amazon's. */
export async function askVolume<Page>(
  controller: Controller,
  interview: Interview,
  command: AdminCommand,
  decode: (bytes: Uint8Array) => Decoded<Page>,
): Promise<AskedVolume<Page>> {
  const identified = await interview.ask(identifyController(), decodeIdentifyController);
  if (identified.kind !== "page") return { kind: "none", matches: true, failed: true };
  const identity = identified.page;
  if (identity.vendorId !== AMAZON_VENDOR_ID) {
    const vendor = `0x${identity.vendorId.toString(16).padStart(4, "0")}`;
    interview.note({
      reason: "bad_identity",
      detail: `the model is "${controller.model}", but the PCI vendor is ${vendor} and not Amazon's 0x1d0f; its log pages are left alone`,
    });
    return { kind: "none", matches: false, failed: true };
  }
  // A volume has one namespace.
  const device = controller.namespaces[0]?.name;
  if (device === undefined) {
    interview.note({
      reason: "no_namespace",
      detail:
        "the controller has no namespace, so there is no block device to name; it may be being attached or detached",
    });
    return { kind: "none", matches: true, failed: true };
  }
  const asked = await interview.ask(command, decode);
  if (asked.kind !== "page") return { kind: "none", matches: true, failed: asked.kind === "failed" };
  return { ...asked, kind: "volume", device, identity };
}
