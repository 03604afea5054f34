/** What BlockDevices remembers, in a /sys whose inode numbers last as the kernel's do: on tmpfs none comes twice. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { BlockDevices } from "../../src/host/block-devices.ts";
import { describeUnless } from "../support/debian.ts";
import { type BlockDevice, buildBlockDevices, removeBlockDevice, setSlaves } from "../support/sysfs-tree.ts";

const TMPFS_MAGIC = 0x01021994;

describeUnless(isTmpfs("/dev/shm") ? undefined : "/dev/shm is no tmpfs", "what is remembered", () => {
  const directory = mkdtempSync("/dev/shm/plumbline-block-");
  afterAll(() => rmSync(directory, { recursive: true }));
  let sysfs = "";
  let trees = 0;
  beforeEach(() => {
    sysfs = join(directory, `${trees++}`);
  });
  const opened = (): BlockDevices => new BlockDevices(sysfs, () => true);

  describe("the generation", () => {
    const SDA = { name: "sda", dev: "8:0", scsi: { address: "0:0:0:1" } };
    const LV = { name: "dm-0", dev: "253:0", dm: { name: "lv", uuid: "LVM-1" } };

    test("stays while nothing changes, and while what changes concerns nobody", () => {
      buildBlockDevices(sysfs, [SDA, { ...LV, slaves: ["sda"] }]);
      const devices = opened();
      const before = devices.refresh();
      expect([devices.nameOf("253:0"), devices.exists("sda"), devices.dmNamed("lv")]).toEqual([
        "dm-0",
        true,
        "dm-0",
      ]);
      devices.backing("dm-0");
      expect(devices.refresh()).toBe(before);
      buildBlockDevices(sysfs, [{ name: "loop0", dev: "7:0" }]);
      expect(devices.refresh()).toBe(before);
    });

    test("grows with slaves, with devices that go, with those that were missing and come, with a name of dm", () => {
      buildBlockDevices(sysfs, [SDA, LV]);
      const devices = opened();
      let last = devices.refresh();
      const grows = (ask: () => unknown, change: () => void): void => {
        ask();
        change();
        const now = devices.refresh();
        expect(now).toBeGreaterThan(last);
        last = devices.refresh();
        expect(last).toBe(now);
      };
      grows(
        () => devices.backing("dm-0"),
        () => setSlaves(sysfs, "dm-0", ["sda"]),
      );
      grows(
        () => devices.nameOf("7:0"),
        () => buildBlockDevices(sysfs, [{ name: "loop0", dev: "7:0" }]),
      );
      grows(
        () => devices.nameOf("7:0"),
        () => removeBlockDevice(sysfs, "loop0"),
      );
      grows(
        () => devices.exists("loop0"),
        () => buildBlockDevices(sysfs, [{ name: "loop0", dev: "7:0" }]),
      );
      const rename = (name: string) => writeFileSync(join(sysfs, "class/block/dm-0/dm/name"), `${name}\n`);
      grows(
        () => devices.dmNamed("lv"),
        () => rename("renamed"),
      );
      grows(
        () => devices.dmNamed("lv"),
        () => rename("lv"),
      );
    });

    test("grows where a dm device is given the uuid that it lacked", () => {
      const dm = { name: "mpatha", uuid: "" };
      buildBlockDevices(sysfs, [SDA, { name: "dm-0", dev: "253:0", dm, slaves: ["sda"] }]);
      const devices = opened();
      const before = devices.refresh();
      expect(devices.backing("dm-0").devices).toEqual([{ device: "sda", role: "leaf" }]);
      writeFileSync(join(sysfs, "class/block/dm-0/dm/uuid"), "mpath-1\n");
      expect(devices.refresh()).toBeGreaterThan(before);
      expect(devices.backing("dm-0").devices).toEqual([{ device: "dm-0", role: "multipath" }]);
    });

    test("grows each time where inode numbers may come twice, or the devices cannot be listed", () => {
      buildBlockDevices(sysfs, [SDA]);
      const devices = new BlockDevices(sysfs);
      expect(devices.refresh()).toBeLessThan(devices.refresh());

      const others = opened();
      others.nameOf("8:0");
      renameSync(join(sysfs, "class"), join(sysfs, "hidden"));
      expect(others.refresh()).toBeLessThan(others.refresh());
      renameSync(join(sysfs, "hidden"), join(sysfs, "class"));
      const again = others.refresh();
      expect(others.refresh()).toBe(again);
    });
  });

  test("is what a new reader sees, whatever changed since, and the generation is the same only if all is", () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 30 }), (changes) => {
        sysfs = join(directory, `${trees++}`);
        buildBlockDevices(sysfs, []);
        const host = new Host(sysfs);
        const devices = opened();
        let generation = devices.refresh();
        let answers = askAll(devices);
        for (const each of changes) {
          host.apply(each);
          if (each.kind === "pass") continue;
          const now = devices.refresh();
          if (now === generation) expect(askAll(new BlockDevices(sysfs))).toEqual(answers);
          generation = now;
          answers = askAll(devices);
          expect(answers).toEqual(askAll(new BlockDevices(sysfs)));
        }
        rmSync(sysfs, { recursive: true });
      }),
      { numRuns: 150 },
    );
  });
});

/** A stacking device, a disk of its own kind, or a disk with partitions, by the rules of the kernel. */
const KINDS = {
  "dm-0": "dm",
  "dm-1": "dm",
  "dm-2": "dm",
  md0: "virtual",
  md1: "virtual",
  loop0: "loop",
  sda: "disk",
  sdb: "disk",
  "cciss/c0d0": "disk",
} as const;
type Name = keyof typeof KINDS;
const NAMES = Object.keys(KINDS).filter((name): name is Name => name in KINDS);
const PARTITIONS = NAMES.filter((name) => KINDS[name] === "disk").map((name) => `${name}p1`);
const NUMBERS = Array.from({ length: 2 * NAMES.length }, (_, minor) => `8:${minor}`);
const DM_NAMES = ["a", "b", "c"];
const UUIDS = ["mpath-1", "LVM-1", "CRYPT-LUKS2-1", "part1-mpath-1", ""];

type Change =
  | {
      readonly kind: "add";
      readonly name: Name;
      readonly minor: number;
      readonly uuid: string;
      readonly dmName: string;
    }
  | { readonly kind: "remove"; readonly name: Name }
  | { readonly kind: "stack"; readonly name: Name; readonly slaves: readonly string[] }
  | { readonly kind: "rename"; readonly name: Name; readonly dmName: string }
  | { readonly kind: "uuid"; readonly name: Name; readonly uuid: string }
  /** The next change follows before anybody looks. */
  | { readonly kind: "pass" };

const name = fc.constantFrom(...NAMES);
const dmName = fc.constantFrom(...DM_NAMES);
const uuid = fc.constantFrom(...UUIDS);
const slaves = fc.uniqueArray(fc.constantFrom(...NAMES, ...PARTITIONS), { maxLength: 3 });
const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("add"),
      name,
      minor: fc.nat(NAMES.length - 1),
      uuid,
      dmName,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove"), name }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("stack"), name, slaves }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rename"), name, dmName }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("uuid"), name, uuid }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pass") }) },
);

/** A host on which devices change as the kernel lets them. */
class Host {
  readonly #sysfs: string;
  readonly #devices = new Map<Name, { readonly minor: number; uuid: string; dmName: string }>();

  constructor(sysfs: string) {
    this.#sysfs = sysfs;
  }

  apply(change: Change): void {
    if (change.kind === "pass") return;
    const device = this.#devices.get(change.name);
    if (change.kind === "add") this.#add(change);
    else if (device === undefined) return;
    else if (change.kind === "remove") this.#remove(change.name);
    else if (change.kind === "stack") {
      const kind = KINDS[change.name];
      if (kind === "dm" || kind === "virtual") setSlaves(this.#sysfs, change.name, change.slaves);
    } else if (KINDS[change.name] === "dm") {
      const attribute = join(this.#sysfs, "class/block", change.name, "dm");
      if (change.kind === "rename") {
        if (this.#dmNamed(change.dmName) !== undefined) return;
        device.dmName = change.dmName;
        writeFileSync(join(attribute, "name"), `${change.dmName}\n`);
      }
      // A uuid is given once.
      else if (device.uuid === "") {
        device.uuid = change.uuid;
        writeFileSync(join(attribute, "uuid"), `${change.uuid}\n`);
      }
    }
  }

  #dmNamed(dmName: string): Name | undefined {
    for (const [name, device] of this.#devices) {
      if (KINDS[name] === "dm" && device.dmName === dmName) return name;
    }
    return undefined;
  }

  /** In the place of whatever has its name, its number or its name of dm. */
  #add({ name, minor, uuid, dmName }: Change & { readonly kind: "add" }): void {
    for (const [other, { minor: taken }] of this.#devices) {
      if (other === name || taken === minor) this.#remove(other);
    }
    const kind = KINDS[name];
    const namesake = kind === "dm" ? this.#dmNamed(dmName) : undefined;
    if (namesake !== undefined) this.#remove(namesake);
    this.#devices.set(name, { minor, uuid, dmName });
    const disk: BlockDevice = {
      name,
      dev: `8:${2 * minor}`,
      ...(kind === "dm" && { dm: { name: dmName, uuid } }),
      ...(kind === "disk" && { parent: "pci0000:00/block" }),
    };
    const partition = { name: `${name}p1`, dev: `8:${2 * minor + 1}`, partitionOf: name };
    buildBlockDevices(this.#sysfs, kind === "disk" ? [disk, partition] : [disk]);
  }

  #remove(name: Name): void {
    this.#devices.delete(name);
    removeBlockDevice(this.#sysfs, name);
  }
}

function askAll(devices: BlockDevices) {
  const names = [...NAMES, ...PARTITIONS];
  return {
    names: NUMBERS.map((number) => devices.nameOf(number)),
    exist: names.map((name) => devices.exists(name)),
    dm: DM_NAMES.map((name) => devices.dmNamed(name)),
    backing: names.map((name) => devices.backing(name)),
  };
}

function isTmpfs(path: string): boolean {
  try {
    return statfsSync(path).type === TMPFS_MAGIC;
  } catch {
    return false;
  }
}
