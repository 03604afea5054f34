import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Mount, MountsBelow } from "../../src/host/mountinfo.ts";
import { type FileContent, type Listing, WatchedFiles } from "../../src/host/watched-files.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";

/** A file system that is watched; that of tmpdir() may be one that is not, as overlayfs in a container. */
const LOCAL_DIRECTORY = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

let root: string;
let files: WatchedFiles;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(LOCAL_DIRECTORY, "plumbline-watched-")));
  files = new WatchedFiles();
  files.refresh();
});
afterEach(() => {
  files.close();
  rmSync(root, { recursive: true });
});

const at = (...names: string[]): string => join(root, ...names);
const names = (...path: string[]): readonly string[] | string => {
  const listing = files.list(at(...path));
  return listing.kind === "listed" ? listing.entries.map(({ name }) => name) : listing.code;
};
const text = (...path: string[]): string => {
  const content = files.read(at(...path), 1000);
  return content.kind === "read" ? new TextDecoder().decode(content.bytes) : content.kind;
};
const run = (...command: string[]): void => expect(Bun.spawnSync(command).exitCode).toBe(0);

describe("what another machine or process has mounted below", () => {
  const below = (...mounts: readonly [path: string, fstype: string][]): MountsBelow => {
    const all = mounts.map(([path, fstype]): [string, Mount] => {
      const mountPoint = at(path);
      return [mountPoint, { device: "0:99", root: "/", mountPoint, fstype, source: "elsewhere" }];
    });
    return { holder: all.find(([point]) => point === at(""))?.[1], below: new Map(all) };
  };

  test.each(["nfs4", "fuse.sshfs", "ceph"])("is not looked at, for it may never answer: %s", (fstype) => {
    mkdirSync(at("directory"));
    writeFileSync(at("file"), "text");
    files.refresh(below(["directory", fstype], ["file", fstype]));
    expect([names("directory"), text("file")]).toEqual(["EREMOTE", "failed"]);
    const generation = files.refresh();
    expect([names("directory"), text("file")]).toEqual(["EREMOTE", "failed"]);
    expect(files.refresh()).toBe(generation);
    expect(files.refresh(below())).toBeGreaterThan(generation);
    expect([names("directory"), text("file")]).toEqual([[], "text"]);
  });

  test("is read where it is a disk's, or holds all that is read", () => {
    mkdirSync(at("disk"));
    files.refresh(below(["disk", "ext4"], ["", "fuse.portal"]));
    expect([names("disk"), names()]).toEqual([[], ["disk"]]);
  });
});

describe("a directory", () => {
  test("is listed by name, each entry with its type", () => {
    for (const name of ["b", "a", "Z", "é"]) writeFileSync(at(name), "");
    mkdirSync(at("directory"));
    symlinkSync("directory", at("link"));
    run("mkfifo", at("pipe"));
    expect(files.list(root)).toEqual({
      kind: "listed",
      entries: [
        { name: "Z", type: "file" },
        { name: "a", type: "file" },
        { name: "b", type: "file" },
        { name: "directory", type: "directory" },
        { name: "link", type: "symlink" },
        { name: "pipe", type: "other" },
        { name: "é", type: "file" },
      ],
    });
  });

  test("that is missing, a symlink or a file says so", () => {
    mkdirSync(at("real"));
    symlinkSync("real", at("link"));
    symlinkSync("loop", at("loop"));
    writeFileSync(at("file"), "");
    expect([names("missing"), names("link"), names("loop"), names("file"), names("file", "below")]).toEqual([
      "ENOENT",
      "ELOOP",
      "ELOOP",
      "ENOTDIR",
      "ENOTDIR",
    ]);
  });

  test("of 50,000 entries is listed, and a new one seen", () => {
    for (let index = 0; index < 50_000; index++) mkdirSync(at(`${index}`));
    expect(names()).toHaveLength(50_000);
    files.refresh();
    mkdirSync(at("50000"));
    files.refresh();
    expect(names()).toHaveLength(50_001);
  });

  test("has names with newlines as they are, and they are opened", () => {
    mkdirSync(at("a\nb"));
    writeFileSync(at("a\nb", "c\\012d"), "found");
    expect(names()).toEqual(["a\nb"]);
    expect(text("a\nb", "c\\012d")).toBe("found");
  });

  test("has U+FFFD for bytes that are not UTF-8, and what bears such a name is missing", () => {
    const path = Buffer.concat([Buffer.from(`${root}/a`), Buffer.from([0xff, 0xfe])]);
    mkdirSync(path);
    expect(names()).toEqual(["a\uFFFD\uFFFD"]);
    expect(names("a\uFFFD\uFFFD")).toBe("ENOENT");
    files.refresh();
    rmdirSync(path);
    files.refresh();
    expect(names()).toEqual([]);
  });
});

describe("a file", () => {
  test("is read where it is a regular one, and nothing else is opened", () => {
    writeFileSync(at("file"), "content");
    symlinkSync("file", at("link"));
    run("mkfifo", at("pipe"));
    expect([text("file"), text("link"), text("pipe"), text(), text("missing")]).toEqual([
      "content",
      "unsafe",
      "unsafe",
      "unsafe",
      "failed",
    ]);
    expect(files.read("/dev/null", 10)).toEqual({ kind: "unsafe" });
    expect(files.read(at("missing"), 10)).toEqual({ kind: "failed", code: "ENOENT" });
  });

  test("is read up to a limit", () => {
    writeFileSync(at("file"), "0123456789");
    expect(files.read(at("file"), 10).kind).toBe("read");
    expect(files.read(at("file"), 9)).toEqual({ kind: "too_large" });
    writeFileSync(at("empty"), "");
    expect(files.read(at("empty"), 0)).toEqual({ kind: "read", bytes: Buffer.alloc(0) });
  });

  test("that has more bytes than its size says is read to its end, or to the limit", () => {
    const status = files.read("/proc/self/status", 100_000);
    expect(status.kind === "read" ? new TextDecoder().decode(status.bytes) : status).toContain("VmRSS");
    expect(files.read("/proc/self/status", 100)).toEqual({ kind: "too_large" });
  });

  test("that grows while it is read is not read beyond the limit", async () => {
    writeFileSync(at("file"), "");
    const writer = Bun.spawn(["sh", "-c", `while :; do printf 0123456789 >> "$1"; done`, "sh", at("file")]);
    try {
      for (;;) {
        files.refresh();
        const content = files.read(at("file"), 5000);
        if (content.kind === "too_large") break;
        expect(content.kind === "read" && content.bytes.length <= 5000).toBe(true);
        await Bun.sleep(1);
      }
    } finally {
      writer.kill();
      await writer.exited;
    }
  });
});

describe("what was read", () => {
  beforeEach(() => {
    mkdirSync(at("a/b"), { recursive: true });
    writeFileSync(at("a/b/file"), "one");
    files.refresh();
  });

  const readAll = (): readonly (Listing | FileContent)[] => [
    files.list(root),
    files.list(at("a")),
    files.list(at("a/b")),
    files.read(at("a/b/file"), 10),
  ];

  test("is the same object, in the same generation, for as long as nothing changes", () => {
    const first = readAll();
    const generation = files.refresh();
    for (let scrape = 0; scrape < 3; scrape++) {
      expect(readAll().every((answer, index) => answer === first[index])).toBe(true);
      expect(files.refresh()).toBe(generation);
    }
  });

  test("is read again where it changed, and only there", () => {
    const [above, , , content] = readAll();
    const generation = files.refresh();
    writeFileSync(at("a/new"), "");
    expect(files.refresh()).toBeGreaterThan(generation);
    expect(names("a")).toEqual(["b", "new"]);
    expect<unknown>(files.list(root)).toBe(above);
    expect<unknown>(files.read(at("a/b/file"), 10)).toBe(content);
  });

  test("is in the same generation when only files change that nobody read", () => {
    writeFileSync(at("a/b/other"), "one");
    readAll();
    const generation = files.refresh();
    appendFileSync(at("a/b/other"), "more");
    expect(files.refresh()).toBe(generation);
  });

  const changes: Readonly<Record<string, () => void>> = {
    "is written": () => writeFileSync(at("a/b/file"), "two"),
    "is appended to": () => appendFileSync(at("a/b/file"), "two"),
    "is cut": () => truncateSync(at("a/b/file"), 1),
    "is replaced by a rename": () => {
      writeFileSync(at("temporary"), "two");
      renameSync(at("temporary"), at("a/b/file"));
    },
    "is deleted": () => unlinkSync(at("a/b/file")),
    "becomes a symlink": () => {
      unlinkSync(at("a/b/file"));
      symlinkSync("/etc/hostname", at("a/b/file"));
    },
    "loses a directory above": () => rmSync(at("a"), { recursive: true }),
    "has a directory above renamed": () => renameSync(at("a"), at("c")),
    "has a directory above replaced": () => {
      mkdirSync(at("new/b"), { recursive: true });
      writeFileSync(at("new/b/file"), "two");
      renameSync(at("a"), at("old"));
      renameSync(at("new"), at("a"));
    },
    "has a directory above replaced by a symlink": () => {
      renameSync(at("a"), at("old"));
      symlinkSync("old", at("a"));
    },
    "has the topmost directory replaced": () => {
      renameSync(root, `${root}-old`);
      mkdirSync(at("a/b"), { recursive: true });
      writeFileSync(at("a/b/file"), "two");
      rmSync(`${root}-old`, { recursive: true });
    },
  };
  for (const [change, make] of Object.entries(changes)) {
    test(`is not believed any more once it ${change}`, () => {
      readAll();
      const generation = files.refresh();
      make();
      expect(files.refresh()).toBeGreaterThan(generation);
      const fresh = new WatchedFiles();
      const expected = [root, at("a"), at("a/b")].map((path) => fresh.list(path));
      expect<unknown>([...expected, fresh.read(at("a/b/file"), 10)]).toEqual(readAll());
      fresh.close();
    });
  }

  test("is seen to appear where it was missing, at whatever depth", () => {
    expect([names("x", "y"), text("x", "y", "file"), text("a", "b", "late")]).toEqual([
      "ENOENT",
      "failed",
      "failed",
    ]);
    const generation = files.refresh();
    expect(files.refresh()).toBe(generation);
    mkdirSync(at("x/y"), { recursive: true });
    writeFileSync(at("x/y/file"), "here");
    expect(files.refresh()).toBeGreaterThan(generation);
    expect([names("x", "y"), text("x", "y", "file")]).toEqual([["file"], "here"]);
  });

  test("is as it was at some moment of the walk where the tree changes meanwhile, and right at the next", () => {
    expect(names("a")).toEqual(["b"]);
    renameSync(at("a"), at("moved"));
    mkdirSync(at("a/b/inner"), { recursive: true });
    expect(names("a", "b")).toEqual(["inner"]);
    rmSync(at("a"), { recursive: true });
    expect(text("a", "b", "file")).toBe("failed");
    renameSync(at("moved"), at("a"));
    files.refresh();
    expect([names("a"), names("a", "b"), text("a", "b", "file")]).toEqual([["b"], ["file"], "one"]);
  });

  test("is read each time where the file has another name, through which it may be written", () => {
    mkdirSync(at("elsewhere"));
    linkSync(at("a/b/file"), at("elsewhere/file"));
    readAll();
    files.refresh();
    expect(text("a", "b", "file")).toBe("one");
    writeFileSync(at("elsewhere/file"), "two");
    files.refresh();
    expect(text("a", "b", "file")).toBe("two");
  });

  test("is forgotten where more changed than the kernel can tell", () => {
    readAll();
    const generation = files.refresh();
    // Twice as many as fs.inotify.max_queued_events by default.
    for (let index = 0; index < 35_000; index++) mkdirSync(at("a", `${index}`));
    writeFileSync(at("a/b/file"), "two");
    expect(files.refresh()).toBeGreaterThan(generation);
    expect(text("a", "b", "file")).toBe("two");
    expect(names("a")).toHaveLength(35_001);
    readAll();
    const quiet = files.refresh();
    expect(files.refresh()).toBe(quiet);
    writeFileSync(at("a/b/file"), "three");
    expect(files.refresh()).toBeGreaterThan(quiet);
    expect(text("a", "b", "file")).toBe("three");
  });

  test("is forgotten on demand: a path and all below it, or everything", () => {
    const [above, , below] = readAll();
    files.forget(at("a"));
    expect<unknown>(files.list(root)).toBe(above);
    expect<unknown>(files.list(at("a/b"))).not.toBe(below);
    files.forgetAll();
    expect<unknown>(files.list(root)).not.toBe(above);
    expect<unknown>(files.list(root)).toEqual(above);
  });

  test("is read each time after close, and each refresh says so", () => {
    files.close();
    const generation = files.refresh();
    readAll();
    expect(files.refresh()).toBeGreaterThan(generation);
    writeFileSync(at("a/b/file"), "two");
    expect(text("a", "b", "file")).toBe("two");
  });
});

describe("a file system that others write too", () => {
  test("is read each time, and each refresh says so", () => {
    // procfs is none of those that inotify is trusted with.
    expect(files.list("/proc/self/task").kind).toBe("listed");
    const generation = files.refresh();
    expect(files.list("/proc/self/task").kind).toBe("listed");
    expect(files.refresh()).toBeGreaterThan(generation);
  });
});

/** What a script of this folder says; `command` is all that comes before its name. */
function say(script: string, command: readonly string[], directory = LOCAL_DIRECTORY): string {
  const { stdout, stderr } = Bun.spawnSync([...command, join(import.meta.dir, script)], {
    cwd: directory,
    timeout: 60_000,
  });
  expect(stderr.toString()).toBe("");
  return stdout.toString().trim();
}

const BUN = process.execPath;

/** Root reads everything, unless it has no capabilities. */
const WITHOUT_CAPABILITIES =
  process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : [];

describe("a tree that changes all the time", () => {
  const PROPERTY = "watched-files-property.ts";
  const TRUE = "as a fresh walk";

  test("is always as a fresh walk finds it, also where rights come and go", () => {
    expect(say(PROPERTY, [...WITHOUT_CAPABILITIES, BUN])).toBe(TRUE);
  }, 60_000);

  const deno = denoPath();
  describeUnless(deno === undefined ? "no Deno" : undefined, "under Deno", () => {
    const config = `--config=${join(import.meta.dir, "../../deno.json")}`;
    const underDeno = [...WITHOUT_CAPABILITIES, deno ?? "deno", "run", "--quiet", "--no-check", config];

    test("is always as a fresh walk finds it, with FFI", () => {
      expect(say(PROPERTY, [...underDeno, "--allow-all"])).toBe(TRUE);
    }, 60_000);

    test("is always as a fresh walk finds it, without FFI", () => {
      // Deno guards /dev as a whole: not in /dev/shm.
      const rights = ["--allow-read", "--allow-write", "--allow-env", "--deny-ffi"];
      expect(say(PROPERTY, [...underDeno, ...rights], tmpdir())).toBe(TRUE);
    }, 60_000);
  });
});

const succeeds = (...command: string[]): boolean => Bun.spawnSync(command).exitCode === 0;

const OWN_USERS = ["unshare", "--user", "--map-root-user"];
describeUnless(
  succeeds(...OWN_USERS, "true") ? undefined : "user namespaces are not allowed",
  "where the kernel allows no more",
  () => {
    const limited = (limit: string): string[] => [
      ...OWN_USERS,
      ...["sh", "-c", `echo ${limit} && exec "$@"`, "sh", BUN],
    ];

    test("watches, the directories beyond are read each time, and a warning says so once", () => {
      const said = say("watched-files-limits.ts", limited("3 > /proc/sys/user/max_inotify_watches"));
      expect(JSON.parse(said)).toEqual({
        seen: ["", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        warnings: [
          {
            message: expect.stringMatching(/^cannot watch \/.*: it is read again at each scrape$/),
            reason: "ENOSPC",
            remedy: "raise fs.inotify.max_user_watches with sysctl",
          },
        ],
        outlived: 0,
      });
    });

    test("inotify instances, everything is read each time, and a warning says so once", () => {
      const said = say("watched-files-limits.ts", limited("0 > /proc/sys/user/max_inotify_instances"));
      expect(JSON.parse(said)).toEqual({
        seen: ["", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        warnings: [
          {
            message: "cannot watch directories: they are read again at each scrape",
            reason: "EMFILE",
            remedy: "raise fs.inotify.max_user_instances with sysctl",
          },
        ],
        outlived: 0,
      });
    });
  },
);

describeUnless(
  succeeds("unshare", "--mount", "true") ? undefined : "mounts want root",
  "a mount over what was read, told by the mount table",
  () => {
    test("is seen, and so is its end", () => {
      expect(JSON.parse(say("watched-files-mounts.ts", ["unshare", "--mount", BUN]))).toEqual([
        { step: "start", directory: ["below"], file: "own" },
        { step: "quiet", directory: ["below"], file: "own" },
        { step: "mount over the directory", directory: [], file: "own" },
        { step: "a file in the mount", directory: ["new"], file: "own" },
        { step: "mount over the file", directory: ["new"], file: "other" },
        { step: "the mounted file is written where it comes from", directory: ["new"], file: "written" },
        { step: "umount both", directory: ["below"], file: "own" },
      ]);
    });
  },
);

describe("a token", () => {
  beforeEach(() => {
    for (const name of ["a", "b"]) {
      mkdirSync(at(name, "inside"), { recursive: true });
      writeFileSync(at(name, "inside", "file"), name);
    }
    readAll();
  });
  const readAll = (): void => {
    names();
    for (const name of ["a", "b"]) {
      names(name);
      names(name, "inside");
      text(name, "inside", "file");
    }
  };
  const tokens = (): readonly (object | undefined)[] => [files.token(at("a")), files.token(at("b"))];

  test("stays the same object for as long as nothing below its path changes", () => {
    const before = tokens();
    expect(before).not.toContain(undefined);
    writeFileSync(at("c"), "");
    files.refresh();
    readAll();
    expect(tokens()).toEqual(before);
    expect(tokens()[0]).toBe(before[0]);
  });

  test.each([
    ["a file is written", () => appendFileSync(at("a", "inside", "file"), "more")],
    ["a file comes", () => writeFileSync(at("a", "inside", "other"), "")],
    ["a file goes", () => unlinkSync(at("a", "inside", "file"))],
    ["its directory goes", () => rmSync(at("a", "inside"), { recursive: true })],
    [
      "it is replaced by what looks the same",
      () =>
        run(
          "sh",
          "-c",
          `cp -r ${at("a")} ${at("x")} && mv ${at("a")} ${at("y")} && mv ${at("x")} ${at("a")}`,
        ),
    ],
  ])("is another once %s, and that of its neighbour is not", (_, change) => {
    const [before, neighbour] = tokens();
    change();
    files.refresh();
    readAll();
    expect(files.token(at("a"))).not.toBe(before);
    expect(files.token(at("b"))).toBe(neighbour);
  });

  test("is none for what was never read, or is not remembered in full", () => {
    expect(files.token(at("missing"))).toBeUndefined();
    linkSync(at("b", "inside", "file"), at("a", "inside", "linked"));
    files.refresh();
    readAll();
    text("a", "inside", "linked");
    expect(files.token(at("a"))).toBeUndefined();
  });
});
