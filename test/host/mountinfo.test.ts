import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import {
  changedMountPoints,
  type Mount,
  MountInfoError,
  MountTable,
  parseMountInfo,
} from "../../src/host/mountinfo.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";

const KUBELET = "/var/lib/kubelet";

const parse = (text: string, directory = KUBELET) =>
  parseMountInfo(new TextEncoder().encode(text), directory);

const line = (
  mountPoint: string,
  { device = "8:16", root = "/", optional = "", end = "ext4 /dev/sdb rw" } = {},
) => `36 35 ${device} ${root} ${mountPoint} rw,noatime ${optional}- ${end}\n`;

describe("a line of the table", () => {
  const point = `${KUBELET}/pods/a/mount`;
  const only = (text: string): Mount | undefined => parse(text).below.get(point);

  test("may have no, one or several optional fields", () => {
    for (const optional of ["", "shared:1 ", "shared:1 master:2 propagate_from:3 unbindable "]) {
      expect(only(line(point, { optional }))).toEqual({
        device: "8:16",
        root: "/",
        mountPoint: point,
        fstype: "ext4",
        source: "/dev/sdb",
      });
    }
  });

  test("has spaces, tabs, newlines and backslashes as octal numbers, in every field", () => {
    const { below } = parse(
      line(`${KUBELET}/a\\040b\\011c\\012d\\134e\\134040`, {
        root: "/r\\040s",
        end: "fuse.x\\040y /dev/mapper/a\\134b rw",
      }),
    );
    expect([...below.values()]).toEqual([
      {
        device: "8:16",
        root: "/r s",
        mountPoint: `${KUBELET}/a b\tc\nd\\e\\040`,
        fstype: "fuse.x y",
        source: "/dev/mapper/a\\b",
      },
    ]);
  });

  test("may have a root that is no path", () => {
    expect(only(line(point, { root: "net:[4026532341]", end: "nsfs nsfs rw" }))?.root).toBe(
      "net:[4026532341]",
    );
    expect(only(line(point, { root: "/nvme1n1//deleted" }))?.root).toBe("/nvme1n1//deleted");
  });

  test("may have an options field with colons, commas and dashes", () => {
    const end = "overlay overlay rw,lowerdir=/a:/b:/c,upperdir=/d,workdir=/e - f";
    expect(only(line(point, { device: "0:61", end }))).toMatchObject({
      fstype: "overlay",
      source: "overlay",
    });
  });

  test("may have an empty source", () => {
    expect(only(line(point, { end: "tmpfs  rw,size=4k" }))).toMatchObject({ fstype: "tmpfs", source: "" });
  });

  test("that is cut off is skipped, for its source may be cut off too", () => {
    const whole = line(point);
    const { mountPoint, ...expected } = { ...only(whole), mountPoint: point };
    for (let length = 0; length < whole.length; length++) {
      const mount = only(whole.slice(0, length));
      if (mount !== undefined) expect(mount).toMatchObject({ ...expected, mountPoint });
    }
    expect(only(whole.trimEnd())).toBeDefined();
    expect(only(whole.slice(0, whole.indexOf("/dev/sdb") + 7))).toBeUndefined();
  });

  test("that is none of a mount table is skipped, and those around it are not", () => {
    const garbage = [
      "",
      " ",
      "garbage",
      `36 35 8:16 / ${point}`,
      `36 35 8:16 / ${point} rw shared:1 ext4 /dev/sdc rw`,
      `36 35 8.16 / ${point} rw - ext4 /dev/sdc rw`,
      `36 35 8:16 / ${point}x rw-ext4 /dev/sdc rw`,
      `- - - - ${point} - - -`,
      "\0\0\0\xff",
    ].join("\n");
    const { below } = parse(`${garbage}\n${line(point)}${garbage}\n`);
    expect([...below.keys()]).toEqual([point]);
    expect(below.get(point)?.source).toBe("/dev/sdb");
  });

  test("that is not UTF-8 has U+FFFD in the place of its bytes", () => {
    const text = Buffer.from(line(`${KUBELET}/\xff\xfe`), "latin1");
    expect([...parseMountInfo(text, KUBELET).below.keys()]).toEqual([`${KUBELET}/\uFFFD\uFFFD`]);
  });

  test("of stacked mounts is the last one", () => {
    const { below } = parse(line(point, { device: "8:1" }) + line(point, { device: "8:2" }));
    expect(below.get(point)?.device).toBe("8:2");
  });
});

describe("the mounts of a directory", () => {
  test("are those at and below it, not those whose path starts with the same letters", () => {
    const points = [KUBELET, `${KUBELET}/pods/a`, "/var/lib/kubelet2", "/var", "/", "/mnt"];
    expect([...parse(points.map((point) => line(point)).join("")).below.keys()]).toEqual(points.slice(0, 2));
  });

  test("are all of them where it is the root", () => {
    expect(parse(line("/") + line("/mnt"), "/")).toMatchObject({ holder: { mountPoint: "/" } });
    expect(parse(line("/") + line("/mnt"), "/").below.size).toBe(2);
  });

  test("are held by the innermost mount above, or at, it", () => {
    expect(parse("").holder).toBeUndefined();
    expect(parse(line("/var") + line("/")).holder?.mountPoint).toBe("/var");
    expect(parse(line(KUBELET) + line("/var")).holder?.mountPoint).toBe(KUBELET);
    expect(parse(line("/var/lib/kubelet/pods") + line("/")).holder?.mountPoint).toBe("/");
    expect(parse(line("/var", { device: "8:1" }) + line("/var", { device: "8:2" })).holder?.device).toBe(
      "8:2",
    );
  });

  test("are found below a directory with a space, a backslash or an umlaut in its name", () => {
    const { below, holder } = parse(line("/a\\040b\\134ü") + line("/a\\040b\\134ü/x"), "/a b\\ü");
    expect([...below.keys()]).toEqual(["/a b\\ü", "/a b\\ü/x"]);
    expect(holder?.mountPoint).toBe("/a b\\ü");
  });

  test("are found among 100,000 others", () => {
    const others = Array.from({ length: 100_000 }, (_, index) => line(`/run/netns/${index}`)).join("");
    const { below, holder } = parse(line("/") + others + line(`${KUBELET}/last`));
    expect([...below.keys()]).toEqual([`${KUBELET}/last`]);
    expect(holder?.mountPoint).toBe("/");
  });

  test("are 100,000", () => {
    const text = Array.from({ length: 100_000 }, (_, index) => line(`${KUBELET}/pods/${index}`)).join("");
    expect(parse(text).below.size).toBe(100_000);
  });

  test("differ where one came, went or became another", () => {
    const before = parse(line(`${KUBELET}/same`) + line(`${KUBELET}/other`) + line(`${KUBELET}/gone`));
    const after = parse(
      line(`${KUBELET}/new`) + line(`${KUBELET}/same`) + line(`${KUBELET}/other`, { root: "/sub" }),
    );
    expect(changedMountPoints(before, after).sort()).toEqual(
      ["gone", "new", "other"].map((name) => `${KUBELET}/${name}`),
    );
  });
});

const mountArbitrary = fc.record({
  device: fc.tuple(fc.nat(4095), fc.nat(1048575)).map(([major, minor]) => `${major}:${minor}`),
  root: fc.oneof(
    fc.constant("/"),
    fc.string({ unit: "grapheme" }).map((name) => `/${name}`),
  ),
  mountPoint: fc
    .array(fc.oneof(fc.constantFrom("var", "lib", "kubelet"), fc.string({ unit: "grapheme", minLength: 1 })))
    .map((names) => `/${names.join("/")}`),
  fstype: fc.constantFrom("ext4", "xfs", "fuse.x y"),
  source: fc.string({ unit: "grapheme" }),
});

/** As the kernel writes it. */
const write = ({ device, root, mountPoint, fstype, source }: Mount): string =>
  `1 0 ${device} ${written(root)} ${written(mountPoint)} rw shared:7 - ${written(fstype)} ${written(source)} rw\n`;

const written = (text: string): string =>
  text.replace(/[ \t\n\\#]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);

/** The rule itself, without a thought for speed. */
function expected(mounts: readonly Mount[], directory: string) {
  const inside = (path: string, parent: string) =>
    path === parent || path.startsWith(`${parent}/`.replace("//", "/"));
  const above = mounts.filter(({ mountPoint }) => inside(directory, mountPoint));
  const longest = Math.max(...above.map(({ mountPoint }) => mountPoint.length));
  return {
    holder: above.findLast(({ mountPoint }) => mountPoint.length === longest),
    below: new Map(
      mounts
        .filter(({ mountPoint }) => inside(mountPoint, directory))
        .map((mount) => [mount.mountPoint, mount]),
    ),
  };
}

describe("any table", () => {
  const directory = fc.constantFrom("/", "/var", "/var/lib", "/var/lib/kubelet");

  test("that the kernel writes is read as it was meant", () => {
    fc.assert(
      fc.property(fc.array(mountArbitrary), directory, (mounts, path) => {
        // NUL is in no path, and `#` is escaped nowhere that matters: what is above the directory holds none.
        const possible = mounts.filter((mount) => !Object.values(mount).join("").includes("\0"));
        expect(parse(possible.map(write).join(""), path)).toEqual(expected(possible, path));
      }),
    );
  });

  test("of bytes without sense is read without an error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), directory, (bytes, path) => {
        expect(parseMountInfo(bytes, path).below.size).toBe(0);
      }),
    );
  });

  test("of words in any order is read without an error", () => {
    const words = fc.constantFrom(" ", "\n", "-", " - ", "8:1", "/", KUBELET, "rw", "\\040", "1");
    fc.assert(
      fc.property(fc.array(words, { maxLength: 60 }), (parts) => {
        for (const [point, mount] of parse(parts.join("")).below) expect(point).toBe(mount.mountPoint);
      }),
    );
  });
});

describe("a table in a file", () => {
  let directory: string;
  let path: string;
  let table: MountTable;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "plumbline-mountinfo-"));
    path = join(directory, "mountinfo");
    table = new MountTable(path);
  });
  afterEach(() => {
    table.close();
    chmodSync(directory, 0o700);
    rmSync(directory, { recursive: true });
  });

  const failure = (): MountInfoError => {
    try {
      table.read(KUBELET);
    } catch (error) {
      if (error instanceof MountInfoError) return error;
    }
    throw new Error("the table was read");
  };

  test("keeps its generation and its answer for as long as its bytes are the same", () => {
    writeFileSync(path, line("/") + line(`${KUBELET}/a`));
    const first = table.read(KUBELET);
    writeFileSync(path, line("/") + line(`${KUBELET}/a`));
    expect(table.read(KUBELET)).toEqual(first);
    expect(table.read(KUBELET).mounts).toBe(first.mounts);
  });

  test("keeps them too where only mounts elsewhere came and went", () => {
    writeFileSync(path, line("/") + line(`${KUBELET}/a`));
    const first = table.read(KUBELET);
    writeFileSync(path, line("/") + line("/run/container") + line(`${KUBELET}/a`));
    const second = table.read(KUBELET);
    expect(second.generation).toBe(first.generation);
    expect(second.mounts).toBe(first.mounts);
    writeFileSync(path, line("/") + line(`${KUBELET}/b`));
    const third = table.read(KUBELET);
    expect(third.generation).toBeGreaterThan(first.generation);
    expect([...third.mounts.below.keys()]).toEqual([`${KUBELET}/b`]);
  });

  test("answers for another directory when it is asked for another", () => {
    writeFileSync(path, line("/mnt/a") + line(`${KUBELET}/b`));
    expect(table.read(KUBELET).mounts.below.has(`${KUBELET}/b`)).toBe(true);
    expect([...table.read("/mnt").mounts.below.keys()]).toEqual(["/mnt/a"]);
  });

  test("is read through all its changes as if each were the first", () => {
    fc.assert(
      fc.property(fc.array(fc.array(mountArbitrary, { maxLength: 8 }), { maxLength: 8 }), (versions) => {
        // Most lines stay, as they do on a host.
        let text = line("/") + line(`${KUBELET}/a`) + line(`${KUBELET}/b`);
        let last = -1;
        for (const version of versions) {
          const lines = text.split(/(?<=\n)/);
          lines.splice(version.length % (lines.length + 1), version.length % 3, ...version.map(write));
          text = lines.join("");
          writeFileSync(path, text);
          const { mounts, generation } = table.read("/var");
          expect(mounts).toEqual(parse(text, "/var"));
          expect(generation).toBeGreaterThanOrEqual(last);
          last = generation;
        }
      }),
    );
  });

  test("that is missing is an error with its code, and is read once it is there", () => {
    expect(failure()).toMatchObject({
      code: "ENOENT",
      message: `cannot read the mount table ${path}: no such file or directory`,
    });
    writeFileSync(path, line(`${KUBELET}/a`));
    expect(table.read(KUBELET).mounts.below.size).toBe(1);
    rmSync(path);
    expect(failure().code).toBe("ENOENT");
  });

  test("larger than 64 MiB is refused", () => {
    writeFileSync(path, "");
    truncateSync(path, 64 * 1024 * 1024 + 1);
    expect(failure()).toMatchObject({
      code: "EFBIG",
      message: `the mount table ${path} is larger than 64 MiB`,
    });
  });

  test("that is a directory is an error", () => {
    table.close();
    table = new MountTable(directory);
    expect(failure().code).toBe("EISDIR");
  });
});

describe("the kernel's table", () => {
  test("has a mount that holds the root directory, and is not read again while nothing changes", () => {
    const table = new MountTable("/proc/self/mountinfo");
    const first = table.read("/");
    expect(first.mounts.holder?.mountPoint).toBe("/");
    expect(table.read("/").mounts).toBe(first.mounts);
    table.close();
  });
});

const deno = denoPath();
describeUnless(deno === undefined ? "no Deno" : undefined, "under Deno", () => {
  const config = `--config=${join(import.meta.dir, "../../deno.json")}`;
  for (const rights of [["--allow-all"], ["--allow-read", "--allow-write", "--allow-env", "--deny-ffi"]]) {
    test(`a table is read through its changes with ${rights.join(" ")}`, () => {
      const script = join(import.meta.dir, "mountinfo-changes.ts");
      const command = [deno ?? "deno", "run", "--quiet", "--no-check", config, ...rights, script];
      const { stdout, stderr } = Bun.spawnSync(command, { cwd: tmpdir(), timeout: 30_000 });
      expect(stderr.toString()).toBe("");
      expect(JSON.parse(stdout.toString())).toEqual([
        { generation: 1, below: ["a", "b"] },
        { generation: 1, below: ["a", "b"] },
        { generation: 2, below: ["a", "b", "c"] },
        { generation: 3, below: ["a", "c"] },
        { generation: 4, below: [] },
      ]);
    });
  }
});

const canMount = Bun.spawnSync(["unshare", "--mount", "true"]).exitCode === 0;

describeUnless(
  canMount ? undefined : "mounts want root",
  "the kernel's table, in a mount namespace of its own",
  () => {
    test("is read once after each mount and umount, and while it is quiet only where it can change all the same", () => {
      const script = join(import.meta.dir, "mount-and-read.ts");
      const { stdout, stderr } = Bun.spawnSync(["unshare", "--mount", process.execPath, script], {
        timeout: 30_000,
      });
      expect(stderr.toString()).toBe("");
      const steps: unknown = JSON.parse(stdout.toString());
      expect(steps).toEqual([
        { step: "start", mounts: [], reads: "some", generation: 1 },
        { step: "quiet", mounts: [], reads: "none", generation: 1 },
        { step: "mount a", mounts: ["a"], reads: "some", generation: 2 },
        { step: "quiet", mounts: ["a"], reads: "none", generation: 2 },
        { step: "mount b", mounts: ["a", "b"], reads: "some", generation: 3 },
        { step: "mount elsewhere", mounts: ["a", "b"], reads: "some", generation: 3 },
        { step: "umount a", mounts: ["b"], reads: "some", generation: 4 },
        { step: "quiet", mounts: ["b"], reads: "none", generation: 4 },
        { step: "bind a", mounts: ["a", "b"], reads: "some", generation: 5 },
        {
          step: "delete what is bound, which the kernel does not tell of",
          mounts: ["a of what is deleted", "b"],
          reads: "some",
          generation: 6,
        },
        { step: "umount a", mounts: ["b"], reads: "some", generation: 7 },
        { step: "quiet", mounts: ["b"], reads: "none", generation: 7 },
        {
          step: "rename the parent, which the kernel does not tell of",
          mounts: ["b"],
          reads: "none",
          generation: 7,
        },
        { step: "forget", mounts: [], reads: "some", generation: 8 },
      ]);
    });
  },
);
