/** What lies below a block device, told by walking down from layer to layer. Reads no file. */

/** `multipath`: its paths are the business of others. `partition_parent`: the whole disk. `leaf`: stands on nothing. */
export type BackingRole = "multipath" | "partition_parent" | "leaf";

/** What lies below a block device. */
export interface Backing {
  /** Sorted by name; each device once. */
  readonly devices: readonly { readonly device: string; readonly role: BackingRole }[];
  /** False: slaves could not be read, form a loop or go too deep, and `devices` is what is known all the same. */
  readonly complete: boolean;
}

/** One device, as far as the way down goes through it. */
export type Layer =
  | { readonly kind: "multipath" }
  | { readonly kind: "partition"; readonly disk: string }
  /** What it stands on; `isSure` is false where that, or whether it is a multipath device, could not be read. */
  | { readonly kind: "whole"; readonly slaves: readonly string[]; readonly isSure: boolean }
  | { readonly kind: "missing" };

/** Far more than anybody stacks: a partition of a disk, md, LUKS, LVM and a thin pool are seven steps. */
const MAX_DEPTH = 16;

/** The device itself is part of what is below it where it is a disk, or a multipath device. */
export function backingOf(device: string, layerOf: (name: string) => Layer): Backing {
  const roles = new Map<string, BackingRole>();
  const above = new Set<string>();
  const seen = new Set<string>();
  let complete = true;

  const mark = (name: string, role: BackingRole): void => {
    const known = roles.get(name);
    if (known === undefined || rank(role) < rank(known)) roles.set(name, role);
  };
  const descend = (name: string): void => {
    if (above.has(name) || above.size > MAX_DEPTH) complete = false;
    else if (!seen.has(name)) {
      seen.add(name);
      above.add(name);
      pass(name, layerOf(name));
      above.delete(name);
    }
  };
  const pass = (name: string, layer: Layer): void => {
    switch (layer.kind) {
      case "multipath":
        mark(name, "multipath");
        break;
      case "partition":
        mark(layer.disk, "partition_parent");
        descend(layer.disk);
        break;
      case "whole":
        if (!layer.isSure) complete = false;
        else if (layer.slaves.length === 0) mark(name, "leaf");
        for (const slave of layer.slaves) descend(slave);
        break;
      case "missing":
        complete = false;
    }
  };

  descend(device);
  const devices = Array.from(roles, ([device, role]) => ({ device, role }));
  return { devices: devices.sort((a, b) => (a.device < b.device ? -1 : 1)), complete };
}

/** The first that applies is a device's role. */
const ROLES: readonly BackingRole[] = ["multipath", "partition_parent", "leaf"];
const rank = (role: BackingRole): number => ROLES.indexOf(role);
