import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Files, KubeletError, walkKubelet } from "../../src/csi/kubelet.ts";
import type { KubeletWalk, SkipReason } from "../../src/csi/model.ts";
import type { Limits } from "../../src/csi/turns.ts";
import { WatchedFiles } from "../../src/host/watched-files.ts";
import { DirectFiles } from "../support/direct-files.ts";
import {
  blockDirectory,
  buildKubelet,
  buildPods,
  oldStagedDirectory,
  publishedDirectory,
  removeFromPod,
  stagedDirectory,
  volumeDevices,
} from "../support/kubelet-tree.ts";

const PATIENT: Limits = { signal: new AbortController().signal, deadline: Number.POSITIVE_INFINITY };
const DRIVER = "disk.example.org";

let directory: string;
let root: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-kubelet-"));
  root = join(directory, "var/lib/kubelet");
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** Walked by the files that are remembered and by those that are not, which must say the same. */
async function walk(at = root): Promise<KubeletWalk> {
  const files = new WatchedFiles();
  try {
    files.refresh();
    const { entries, skipped } = await walkKubelet(files, at, PATIENT);
    expect(plain(await walkKubelet(new DirectFiles(), at, PATIENT))).toEqual({ entries, skipped });
    return { entries, skipped };
  } finally {
    files.close();
  }
}

const plain = ({ entries, skipped }: KubeletWalk): KubeletWalk => ({ entries, skipped });
const handles = ({ entries }: KubeletWalk): string[] => entries.map(({ handle }) => handle);

/** Two volumes that nothing is wrong with. */
function buildHealthy(): void {
  buildKubelet(root, [
    { driver: DRIVER, handle: "healthy", pv: "pv-healthy", pods: ["uid-healthy"], staged: true },
    { kind: "block", driver: DRIVER, handle: "healthy-block", pv: "pv-healthy-block", pods: ["uid-healthy"] },
  ]);
}
const HEALTHY = ["healthy", "healthy-block", "healthy"];

function replaceBySymlink(path: string): void {
  const elsewhere = join(directory, "elsewhere");
  renameSync(path, elsewhere);
  symlinkSync(elsewhere, path);
}

function replaceByFifo(path: string): void {
  rmSync(path, { recursive: true });
  expect(spawnSync("mkfifo", [path]).status).toBe(0);
}

describe("what the kubelet leaves", () => {
  test("a volume that two pods use is found in both, and where it is staged", async () => {
    buildKubelet(root, [
      { driver: DRIVER, handle: "vol-1", pv: "pv-1", pods: ["uid-1", "uid-2"], staged: true },
    ]);
    const staged = stagedDirectory(root, DRIVER, "vol-1");
    const published = (uid: string) => ({
      path: join(publishedDirectory(root, uid, "pv-1"), "vol_data.json"),
      kind: "published" as const,
      driver: DRIVER,
      handle: "vol-1",
      persistentVolume: "pv-1",
      ephemeral: false,
      mountPoints: [join(publishedDirectory(root, uid, "pv-1"), "mount")],
      mountParents: [],
      deviceNodes: [],
    });
    expect(await walk()).toEqual({
      entries: [
        published("uid-1"),
        published("uid-2"),
        {
          path: join(staged, "vol_data.json"),
          kind: "staged",
          driver: DRIVER,
          handle: "vol-1",
          persistentVolume: undefined,
          ephemeral: false,
          mountPoints: [join(staged, "globalmount")],
          mountParents: [join(staged, "globalmount")],
          deviceNodes: [],
        },
      ],
      skipped: [],
    });
  });

  test("a volume staged before Kubernetes 1.24 has the PersistentVolume's name from its directory", async () => {
    buildKubelet(root, [{ driver: DRIVER, handle: "vol-1", pv: "pv-1", staged: "pv" }]);
    const staged = oldStagedDirectory(root, "pv-1");
    expect(await walk()).toMatchObject({
      entries: [
        {
          kind: "staged",
          handle: "vol-1",
          persistentVolume: "pv-1",
          mountPoints: [join(staged, "globalmount")],
        },
      ],
      skipped: [],
    });
  });

  test("a staged volume's file may name the PersistentVolume", async () => {
    const json = { specVolID: "pv-named" };
    buildKubelet(root, [
      { driver: DRIVER, handle: "vol-1", pv: "pv-1", staged: true, json },
      { driver: DRIVER, handle: "vol-2", pv: "pv-2", staged: "pv", json },
    ]);
    const { entries } = await walk();
    expect(entries.map(({ persistentVolume }) => persistentVolume)).toEqual(["pv-named", "pv-named"]);
  });

  test("a raw block volume may be bound where it is staged, published, and to a node for each pod", async () => {
    buildKubelet(root, [
      { kind: "block", driver: DRIVER, handle: "vol-1", pv: "pv-1", pods: ["uid-1", "uid-2"] },
    ]);
    const own = blockDirectory(root, "pv-1");
    const publish = join(volumeDevices(root), "publish/pv-1");
    const staging = join(volumeDevices(root), "staging/pv-1");
    expect(await walk()).toEqual({
      entries: [
        {
          path: join(own, "data/vol_data.json"),
          kind: "block",
          driver: DRIVER,
          handle: "vol-1",
          persistentVolume: "pv-1",
          ephemeral: false,
          mountPoints: [publish, staging],
          mountParents: [publish, join(own, "dev"), staging],
          deviceNodes: [join(own, "dev/uid-1"), join(own, "dev/uid-2")],
        },
      ],
      skipped: [],
    });
  });

  test("a raw block volume of an old kubelet is bound to publish/<spec> itself", async () => {
    const [mount] = buildKubelet(root, [
      {
        kind: "block",
        driver: DRIVER,
        handle: "vol-1",
        pv: "pv-1",
        pods: ["uid-1"],
        device: "loop1",
        binds: ["publish"],
        oldPublish: true,
      },
    ]);
    const { entries, skipped } = await walk();
    expect(entries[0]?.mountPoints).toContain(mount?.mountPoint ?? "no mount");
    expect(skipped).toEqual([]);
  });

  test("a raw block volume may be bound to a file in staging/<spec>", async () => {
    const [mount] = buildKubelet(root, [
      {
        kind: "block",
        driver: DRIVER,
        handle: "vol-1",
        pv: "pv-1",
        device: "loop1",
        binds: ["staging"],
        stagingChild: "vol-1",
      },
    ]);
    const { entries } = await walk();
    expect(entries[0]?.mountParents).toContain(dirname(mount?.mountPoint ?? ""));
  });

  test("symlinks and directories are no device nodes", async () => {
    buildKubelet(root, [{ kind: "block", driver: DRIVER, handle: "vol-1", pv: "pv-1", pods: ["uid-1"] }]);
    const nodes = join(blockDirectory(root, "pv-1"), "dev");
    symlinkSync("/dev/null", join(nodes, "uid-0"));
    mkdirSync(join(nodes, "uid-2"));
    const { entries, skipped } = await walk();
    expect(entries[0]?.deviceNodes).toEqual([join(nodes, "uid-1")]);
    expect(skipped).toEqual([]);
  });

  test("a volume without a node for any pod is found all the same", async () => {
    buildKubelet(root, [{ kind: "block", driver: DRIVER, handle: "vol-1", pv: "pv-1" }]);
    rmSync(join(blockDirectory(root, "pv-1"), "dev"), { recursive: true });
    expect((await walk()).entries).toMatchObject([{ handle: "vol-1", deviceNodes: [] }]);
  });

  test("a slash of a PersistentVolume's name stands as ~ in directories", async () => {
    const json = { specVolID: undefined };
    buildKubelet(root, [
      { driver: DRIVER, handle: "file", pv: "team/pv", pods: ["uid-1"], json },
      { kind: "block", driver: DRIVER, handle: "block", pv: "team/raw", json },
    ]);
    const { entries } = await walk();
    expect(entries.map(({ persistentVolume }) => persistentVolume)).toEqual(["team/pv", "team/raw"]);
    expect(entries[0]?.mountPoints[0]).toEndWith("kubernetes.io~csi/team~pv/mount");
  });

  test("inline volumes are told from others", async () => {
    buildKubelet(root, [
      { driver: DRIVER, handle: "csi-1", pv: "secrets inline", pods: ["uid-1"], ephemeral: true },
      {
        driver: DRIVER,
        handle: "csi-2",
        pv: "older",
        pods: ["uid-1"],
        json: { volumeLifecycleMode: undefined, driverMode: "ephemeral" },
      },
      {
        driver: DRIVER,
        handle: "vol-3",
        pv: "pv",
        pods: ["uid-1"],
        json: { volumeLifecycleMode: undefined },
      },
    ]);
    const { entries } = await walk();
    expect(Object.fromEntries(entries.map(({ handle, ephemeral }) => [handle, ephemeral]))).toEqual({
      "csi-1": true,
      "csi-2": true,
      "vol-3": false,
    });
  });

  test("two drivers may give their volumes one handle", async () => {
    buildKubelet(root, [
      { driver: "a.example.org", handle: "1", pv: "pv-a", pods: ["uid-1"], staged: true },
      { driver: "b.example.org", handle: "1", pv: "pv-b", pods: ["uid-1"], staged: true },
    ]);
    const { entries } = await walk();
    expect(entries.map(({ kind, driver }) => `${kind} ${driver}`)).toEqual([
      "published a.example.org",
      "published b.example.org",
      "staged a.example.org",
      "staged b.example.org",
    ]);
  });

  test("what stands beside volumes is none: publish and staging, volumeDevices and pv", async () => {
    buildHealthy();
    for (const beside of ["publish", "staging"]) {
      const data = join(volumeDevices(root), beside, "data");
      mkdirSync(data, { recursive: true });
      writeFileSync(join(data, "vol_data.json"), JSON.stringify({ driverName: "no", volumeHandle: beside }));
    }
    const stray = JSON.stringify({ driverName: "no", volumeHandle: "stray" });
    writeFileSync(join(blockDirectory(root, "pv-healthy-block"), "vol_data.json"), stray);
    expect(handles(await walk())).toEqual(HEALTHY);
  });

  test("files where directories stand otherwise are passed over", async () => {
    buildHealthy();
    for (const parent of [
      join(root, "pods"),
      dirname(publishedDirectory(root, "uid-healthy", "pv")),
      join(root, "plugins/kubernetes.io/csi"),
      dirname(stagedDirectory(root, DRIVER, "")),
      volumeDevices(root),
    ]) {
      writeFileSync(join(parent, "a file"), "");
    }
    expect(await walk()).toMatchObject({ entries: { length: 3 }, skipped: [] });
  });

  test.each([
    "data/kubelet",
    "mnt/ephemeral/kubelet",
    "var/snap/microk8s/common/var/lib/kubelet",
    "var/data/kubelet",
  ])("the kubelet may live in %s", async (place) => {
    root = join(directory, place);
    buildHealthy();
    expect(handles(await walk())).toEqual(HEALTHY);
  });

  test("the order is that of the names, whatever the order in which they came", async () => {
    const volumes = ["c", "a", "b"].map((name) => ({
      driver: DRIVER,
      handle: name,
      pv: `pv-${name}`,
      pods: ["uid-2", "uid-1"],
    }));
    buildKubelet(root, volumes);
    expect(handles(await walk())).toEqual(["a", "b", "c", "a", "b", "c"]);
  });
});

describe("what need not be there", () => {
  test.each(["plugins", "plugins/kubernetes.io", "plugins/kubernetes.io/csi"])(
    "without %s nothing is staged",
    async (place) => {
      buildHealthy();
      rmSync(join(root, place), { recursive: true });
      const found = await walk();
      expect(handles(found)).toEqual(["healthy"]);
      expect(found.skipped).toEqual([]);
    },
  );

  test("a kubelet without pods has no volumes", async () => {
    mkdirSync(join(root, "pods"), { recursive: true });
    expect(await walk()).toEqual({ entries: [], skipped: [] });
  });

  test("pods without volumes, or without a volume of CSI, are nothing special", async () => {
    buildHealthy();
    buildPods(root, ["uid-1", "uid-2"]);
    rmSync(join(root, "pods/uid-1/volumes"), { recursive: true });
    mkdirSync(join(root, "pods/uid-2/volumes/kubernetes.io~projected/token"), { recursive: true });
    const found = await walk();
    expect(handles(found)).toEqual(HEALTHY);
    expect(found.skipped).toEqual([]);
  });

  test("a volume's directory without a file names no volume", async () => {
    buildHealthy();
    mkdirSync(join(publishedDirectory(root, "uid-1", "pv-1"), "mount"), { recursive: true });
    mkdirSync(join(stagedDirectory(root, DRIVER, "1"), "globalmount"), { recursive: true });
    mkdirSync(join(blockDirectory(root, "pv-1"), "data"), { recursive: true });
    mkdirSync(blockDirectory(root, "pv-2"), { recursive: true });
    const found = await walk();
    expect(handles(found)).toEqual(HEALTHY);
    expect(found.skipped).toEqual([]);
  });
});

describe("a directory that is no kubelet's", () => {
  const reasonOf = (files: Files = new DirectFiles()): Promise<unknown> =>
    walkKubelet(files, root, PATIENT).then(
      () => "walked",
      (error: unknown) => (error instanceof KubeletError ? error.message : error),
    );

  test("is an error where it is missing", async () => {
    expect(await reasonOf()).toBe(`cannot read ${root}: no such file or directory`);
  });

  test("is an error where it is a file", async () => {
    mkdirSync(dirname(root), { recursive: true });
    writeFileSync(root, "");
    expect(await reasonOf()).toBe(`cannot read ${root}: not a directory`);
  });

  test("is an error where it has no pods", async () => {
    mkdirSync(root, { recursive: true });
    expect(await reasonOf()).toBe(`cannot read ${root}/pods: no such file or directory`);
  });

  test("is an error where pods is a symlink", async () => {
    buildHealthy();
    replaceBySymlink(join(root, "pods"));
    expect(await reasonOf()).toBe(`cannot read ${root}/pods: it is a symbolic link`);
  });

  test.each(["", "/pods"])("is an error where <root>%s may not be read", async (place) => {
    buildHealthy();
    const failing = `${root}${place}`;
    expect(await reasonOf(new DirectFiles({ [failing]: "EACCES" }))).toBe(
      `cannot read ${failing}: permission denied`,
    );
  });

  test("is an error where the disk below fails, with the kernel's name for it", async () => {
    buildHealthy();
    expect(await reasonOf(new DirectFiles({ [`${root}/pods`]: "EIO" }))).toBe(
      `cannot read ${root}/pods: EIO`,
    );
  });

  test("is found as soon as it is there", async () => {
    const files = new WatchedFiles();
    try {
      expect(await reasonOf(files)).toContain("no such file");
      buildHealthy();
      files.refresh();
      expect(handles(await walkKubelet(files, root, PATIENT))).toEqual(HEALTHY);
    } finally {
      files.close();
    }
  });
});

describe("a bad file", () => {
  const PLACES = {
    "of a pod": () => publishedDirectory(root, "uid-bad", "pv-bad"),
    "of a staged volume": () => stagedDirectory(root, DRIVER, "bad"),
    "of a volume staged before 1.24": () => oldStagedDirectory(root, "pv-bad"),
    "of a raw block volume": () => join(blockDirectory(root, "pv-bad"), "data"),
  };
  const places = Object.entries(PLACES);

  /** The path of the file, in a tree in which everything else is well. */
  function prepare(place: () => string): string {
    buildHealthy();
    mkdirSync(place(), { recursive: true });
    return join(place(), "vol_data.json");
  }

  async function expectSkipped(path: string, reason: SkipReason, files?: Files): Promise<void> {
    const found = files === undefined ? await walk() : await walkKubelet(files, root, PATIENT);
    expect(found.skipped).toEqual([{ path, reason }]);
    expect(handles(found)).toEqual(HEALTHY);
  }

  const CONTENTS = [
    ["empty", ""],
    ["cut off", '{"driverName":"d","volumeHa'],
    ["no object", "[]"],
    ["without a handle", '{"driverName":"d"}'],
    ["one with a number for a handle", '{"driverName":"d","volumeHandle":5}'],
    ["one with a handle of 1025 bytes", JSON.stringify({ driverName: "d", volumeHandle: "h".repeat(1025) })],
    ["larger than 1 MiB", JSON.stringify({ driverName: "d", volumeHandle: "h", more: "m".repeat(2 << 20) })],
  ] as const;

  test.each(
    places.flatMap(([where, place]) => CONTENTS.map(([what, text]) => [where, what, text, place] as const)),
  )("%s, %s, costs that volume alone: bad_json", async (_where, _what, text, place) => {
    const path = prepare(place);
    writeFileSync(path, text);
    await expectSkipped(path, "bad_json");
  });

  test.each(places)("%s that may not be read costs that volume alone: unreadable", async (_, place) => {
    const path = prepare(place);
    writeFileSync(path, "");
    await expectSkipped(path, "unreadable", new DirectFiles({ [path]: "EACCES" }));
  });

  test.each(places)("%s that is a symlink is not followed: unsafe_path", async (_, place) => {
    const path = prepare(place);
    writeFileSync(path, '{"driverName":"d","volumeHandle":"h"}');
    replaceBySymlink(path);
    await expectSkipped(path, "unsafe_path");
  });

  test.each(places)("%s that is a FIFO does not stop the walk: unsafe_path", async (_, place) => {
    const path = prepare(place);
    writeFileSync(path, "");
    replaceByFifo(path);
    await expectSkipped(path, "unsafe_path");
  });

  test.each(places)("%s that is a directory: unsafe_path", async (_, place) => {
    const path = prepare(place);
    mkdirSync(path);
    await expectSkipped(path, "unsafe_path");
  });

  test("of 1 MiB is read", async () => {
    const path = prepare(PLACES["of a pod"]);
    const text = JSON.stringify({ driverName: "d", volumeHandle: "large" });
    writeFileSync(path, text + " ".repeat((1 << 20) - text.length));
    expect(handles(await walk())).toContain("large");
  });
});

describe("a path that is not what the kubelet makes", () => {
  /** What stands in the place of a directory, and the volumes that are found all the same. */
  const DIRECTORIES: readonly (readonly [string, () => string, readonly string[]])[] = [
    ["a pod", () => join(root, "pods/uid-healthy"), ["healthy-block", "healthy"]],
    ["a pod's volumes", () => join(root, "pods/uid-healthy/volumes"), ["healthy-block", "healthy"]],
    [
      "a pod's volumes of CSI",
      () => join(root, "pods/uid-healthy/volumes/kubernetes.io~csi"),
      ["healthy-block", "healthy"],
    ],
    [
      "a volume of a pod",
      () => publishedDirectory(root, "uid-healthy", "pv-healthy"),
      ["healthy-block", "healthy"],
    ],
    ["plugins", () => join(root, "plugins"), ["healthy"]],
    ["plugins/kubernetes.io", () => join(root, "plugins/kubernetes.io"), ["healthy"]],
    ["plugins/kubernetes.io/csi", () => join(root, "plugins/kubernetes.io/csi"), ["healthy"]],
    ["volumeDevices", () => volumeDevices(root), ["healthy", "healthy"]],
    ["a raw block volume", () => blockDirectory(root, "pv-healthy-block"), ["healthy", "healthy"]],
    [
      "the data of a raw block volume",
      () => join(blockDirectory(root, "pv-healthy-block"), "data"),
      ["healthy", "healthy"],
    ],
    ["a driver", () => join(root, "plugins/kubernetes.io/csi", DRIVER), ["healthy", "healthy-block"]],
    ["a staged volume", () => stagedDirectory(root, DRIVER, "healthy"), ["healthy", "healthy-block"]],
  ];

  test.each(DIRECTORIES)("a symlink for %s is not followed: unsafe_path", async (_, place, found) => {
    buildHealthy();
    replaceBySymlink(place());
    const walked = await walk();
    expect(walked.skipped).toEqual([{ path: place(), reason: "unsafe_path" }]);
    expect(handles(walked)).toEqual([...found]);
  });

  test.each(DIRECTORIES)("a FIFO for %s does not stop the walk: unsafe_path", async (_, place, found) => {
    buildHealthy();
    replaceByFifo(place());
    const walked = await walk();
    expect(walked.skipped).toEqual([{ path: place(), reason: "unsafe_path" }]);
    expect(handles(walked)).toEqual([...found]);
  });

  test.each(DIRECTORIES)(
    "without permission for %s the others are found: unreadable",
    async (_, place, found) => {
      buildHealthy();
      const walked = await walkKubelet(new DirectFiles({ [place()]: "EACCES" }), root, PATIENT);
      expect(walked.skipped).toHaveLength(1);
      expect(walked.skipped[0]?.path).toStartWith(place());
      expect(walked.skipped[0]?.reason).toBe("unreadable");
      expect(handles(walked)).toEqual([...found]);
    },
  );

  test("symlinks that lead to each other are not followed: unsafe_path", async () => {
    buildHealthy();
    const [a, b] = [join(root, "pods/uid-a"), join(root, "pods/uid-b")];
    symlinkSync(a, b);
    symlinkSync(b, a);
    const walked = await walk();
    expect(walked.skipped).toEqual([
      { path: a, reason: "unsafe_path" },
      { path: b, reason: "unsafe_path" },
    ]);
    expect(handles(walked)).toEqual(HEALTHY);
  });

  test.each(["publish", "staging"])("what is renamed in %s, mounts and all, is a change", async (name) => {
    buildHealthy();
    const files = new WatchedFiles();
    try {
      await walkKubelet(files, root, PATIENT);
      const generation = files.refresh();
      const parent = join(volumeDevices(root), name);
      renameSync(join(parent, "pv-healthy-block"), join(parent, "pv-other"));
      expect(files.refresh()).toBeGreaterThan(generation);
    } finally {
      files.close();
    }
  });

  test("a volume whose directory has a name that is no UTF-8 cannot be read, and is counted", async () => {
    buildHealthy();
    const parent = Buffer.from(`${dirname(publishedDirectory(root, "uid-healthy", "pv-healthy"))}/pv-`);
    mkdirSync(Buffer.concat([parent, Buffer.of(0xff)]));
    const found = await walk();
    expect(handles(found)).toEqual(HEALTHY);
    expect(found.skipped).toEqual([{ path: `${parent}\uFFFD`, reason: "unreadable" }]);
  });

  test("names with newlines are names like others", async () => {
    buildKubelet(root, [
      { driver: "dri\nver", handle: "han\ndle", pv: "p\nv", pods: ["u\nid"], staged: true },
      { kind: "block", driver: "dri\nver", handle: "raw\n", pv: "r\naw", pods: ["u\nid"] },
    ]);
    writeFileSync(join(publishedDirectory(root, "u\nid", "p\nv"), "vol_data.json"), "");
    const walked = await walk();
    expect(handles(walked)).toEqual(["raw\n", "han\ndle"]);
    expect(walked.entries[0]?.persistentVolume).toBe("r\naw");
    expect(walked.skipped).toMatchObject([{ reason: "bad_json" }]);
  });

  test("a directory of 50,000 entries is walked", async () => {
    buildHealthy();
    const parent = dirname(publishedDirectory(root, "uid-healthy", "pv"));
    for (let number = 0; number < 50_000; number++) writeFileSync(join(parent, `file-${number}`), "");
    for (let number = 0; number < 100; number++) symlinkSync("nowhere", join(parent, `link-${number}`));
    const walked = await walk();
    expect(handles(walked)).toEqual(HEALTHY);
    expect(walked.skipped).toHaveLength(100);
  }, 60_000);
});

describe("what is the tenants'", () => {
  test("nothing below mount and globalmount is looked at, and no pod's link to a block device", async () => {
    buildHealthy();
    const tenant = JSON.stringify({ driverName: "tenant", volumeHandle: "forged" });
    for (const mount of [
      join(publishedDirectory(root, "uid-healthy", "pv-healthy"), "mount"),
      join(stagedDirectory(root, DRIVER, "healthy"), "globalmount"),
    ]) {
      writeFileSync(join(mount, "vol_data.json"), tenant);
      mkdirSync(join(mount, "data"));
      writeFileSync(join(mount, "data/vol_data.json"), tenant);
    }
    const files = new DirectFiles();
    const walked = await walkKubelet(files, root, PATIENT);
    expect(handles(walked)).toEqual(HEALTHY);
    expect(files.asked.length).toBeGreaterThan(HEALTHY.length);
    expect(files.asked.filter((path) => /\/(?:global)?mount(?:\/|$)/.test(path))).toEqual([]);
    expect(files.asked.filter((path) => /pods\/[^/]+\/volumeDevices/.test(path))).toEqual([]);
  });

  test("nor is anything asked for twice, nor outside of the directory", async () => {
    buildHealthy();
    const files = new DirectFiles();
    await walkKubelet(files, root, PATIENT);
    expect(files.asked).toEqual([...new Set(files.asked)]);
    expect(files.asked.filter((path) => path !== root && !path.startsWith(`${root}/`))).toEqual([]);
  });
});

describe("what is known of a tree", () => {
  test("is taken again, and only what changed since is walked", async () => {
    buildHealthy();
    const tokens = new Map<string, object>();
    const token = (path: string): object => {
      const known = tokens.get(path) ?? {};
      tokens.set(path, known);
      return known;
    };
    const walkNow = async () => {
      const direct = new DirectFiles();
      const files = { list: direct.list.bind(direct), read: direct.read.bind(direct), token };
      return { found: plain(await walkKubelet(files, root, PATIENT)), asked: direct.asked };
    };
    const first = await walkNow();
    const again = await walkNow();
    expect(again.found).toEqual(first.found);
    expect(again.asked.filter((path) => path.endsWith("vol_data.json"))).toEqual([]);

    const pod = publishedDirectory(root, "uid-healthy", "pv-healthy");
    writeFileSync(join(pod, "vol_data.json"), "{");
    tokens.delete(join(root, "pods/uid-healthy"));
    const changed = await walkNow();
    expect(changed.found).toEqual(plain(await walk()));
    expect(changed.found.skipped).toEqual([{ path: join(pod, "vol_data.json"), reason: "bad_json" }]);
    expect(changed.asked.filter((path) => path.endsWith("vol_data.json"))).toEqual([
      join(pod, "vol_data.json"),
    ]);
  });
});

describe("a tree that changes during the walk", () => {
  /** Does something as soon as a path has been asked for. */
  function whenAsked(path: string, change: () => void): Files {
    const files = new DirectFiles();
    let changed = false;
    const after = <Answer>(asked: string, answer: Answer): Answer => {
      if (asked === path && !changed) {
        changed = true;
        change();
      }
      return answer;
    };
    return {
      list: (directory) => after(directory, files.list(directory)),
      read: (file, maxBytes) => after(file, files.read(file, maxBytes)),
    };
  }

  const GONE: readonly (readonly [string, () => string, () => string, readonly string[]])[] = [
    ["a pod", () => join(root, "pods"), () => join(root, "pods/uid-healthy"), ["healthy-block", "healthy"]],
    [
      "a pod's volumes of CSI",
      () => join(root, "pods/uid-healthy/volumes"),
      () => join(root, "pods/uid-healthy/volumes/kubernetes.io~csi"),
      ["healthy-block", "healthy"],
    ],
    [
      "a volume",
      () => dirname(publishedDirectory(root, "uid-healthy", "pv-healthy")),
      () => publishedDirectory(root, "uid-healthy", "pv-healthy"),
      ["healthy-block", "healthy"],
    ],
    [
      "a block volume",
      () => blockDirectory(root, "pv-healthy-block"),
      () => blockDirectory(root, "pv-healthy-block"),
      ["healthy", "healthy"],
    ],
    [
      "a staged volume's file",
      () => dirname(stagedDirectory(root, DRIVER, "healthy")),
      () => join(stagedDirectory(root, DRIVER, "healthy"), "vol_data.json"),
      ["healthy", "healthy-block"],
    ],
    [
      "all that is staged",
      () => join(root, "plugins"),
      () => join(root, "plugins/kubernetes.io"),
      ["healthy"],
    ],
  ];

  test.each(GONE)(
    "what went away since it was listed was never there: %s",
    async (_, listed, gone, found) => {
      buildHealthy();
      const files = whenAsked(listed(), () => rmSync(gone(), { recursive: true }));
      const walked = await walkKubelet(files, root, PATIENT);
      expect(walked.skipped).toEqual([]);
      expect(handles(walked)).toEqual([...found]);
    },
  );

  test("a volume whose directory became a file is no volume any more", async () => {
    buildHealthy();
    const volume = publishedDirectory(root, "uid-healthy", "pv-healthy");
    const files = whenAsked(dirname(volume), () => {
      removeFromPod(root, "uid-healthy", "pv-healthy");
      writeFileSync(volume, "");
    });
    const walked = await walkKubelet(files, root, PATIENT);
    expect(walked.skipped).toEqual([]);
    expect(handles(walked)).toEqual(["healthy-block", "healthy"]);
  });
});

describe("the time that a walk takes", () => {
  /** Each answer takes as long as the walk may keep others waiting. */
  function slow(): Files {
    const files = new DirectFiles();
    const wait = () => {
      const end = performance.now() + 5;
      while (performance.now() < end);
    };
    return {
      list(path) {
        wait();
        return files.list(path);
      },
      read(path, maxBytes) {
        wait();
        return files.read(path, maxBytes);
      },
    };
  }

  test("others have their turn while a long walk goes on", async () => {
    buildHealthy();
    let turns = 0;
    let over = false;
    const count = () => {
      turns++;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    await walkKubelet(slow(), root, PATIENT);
    over = true;
    expect(turns).toBeGreaterThan(3);
  });

  test("a walk that is not over at the deadline is given up", async () => {
    buildHealthy();
    const walked = walkKubelet(slow(), root, { ...PATIENT, deadline: performance.now() + 12 });
    await expect(walked).rejects.toThrow(new KubeletError(`${root} could not be walked before the deadline`));
  });

  test("a walk that would begin after the deadline is not begun", async () => {
    buildHealthy();
    const files = new DirectFiles();
    const walked = walkKubelet(files, root, { ...PATIENT, deadline: performance.now() });
    await expect(walked).rejects.toBeInstanceOf(KubeletError);
    expect(files.asked).toEqual([]);
  });

  test("a walk that nobody waits for any more is given up for the reason that they gave", async () => {
    buildHealthy();
    const leaving = new AbortController();
    const files = slow();
    setImmediate(() => leaving.abort(new Error("they left")));
    const walked = walkKubelet(files, root, { ...PATIENT, signal: leaving.signal });
    await expect(walked).rejects.toThrow("they left");
  });
});
