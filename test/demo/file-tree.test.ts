import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { FileTree, writeTree } from "../../src/demo/file-tree.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plumbline-tree-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

/** Everything below the directory, as one line each. */
function walk(directory: string, prefix = ""): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      const name = `${prefix}${entry.name}`;
      if (entry.isSymbolicLink()) return [`${name} -> ${readlinkSync(path)}`];
      if (entry.isDirectory()) return [`${name}/`, ...walk(path, `${name}/`)];
      return [`${name}: ${readFileSync(path, "utf8")}`];
    })
    .sort();
}

function treeOf(files: Readonly<Record<string, string>>): FileTree {
  const tree = new FileTree();
  for (const [path, content] of Object.entries(files)) tree.file(path, content);
  return tree;
}

describe("a tree of files", () => {
  test("is written with the directories of its files and with relative links", () => {
    const tree = treeOf({ "devices/sda/size": "8\n" });
    tree.link("class/block/sda", "devices/sda");
    writeTree(root, tree);
    expect(walk(root)).toEqual([
      "class/",
      "class/block/",
      "class/block/sda -> ../../devices/sda",
      "devices/",
      "devices/sda/",
      "devices/sda/size: 8\n",
    ]);
    expect(tree.linked("class/block/sda")).toBe("devices/sda");
  });

  test("leaves out a file whose content is undefined", () => {
    const tree = new FileTree();
    tree.files("a", { kept: "1", missing: undefined });
    expect([...tree.entries.keys()]).toEqual(["a", "a/kept"]);
  });

  test("changes a file in one step: who had it open still reads the old content", () => {
    const before = treeOf({ state: "running\n" });
    writeTree(root, before);
    const { ino } = statSync(join(root, "state"));
    writeTree(root, treeOf({ state: "offline\n" }), before);
    expect(walk(root)).toEqual(["state: offline\n"]);
    expect(statSync(join(root, "state")).ino).not.toBe(ino);
  });

  test("does not touch what stays the same", () => {
    const before = treeOf({ state: "running\n", "gone/file": "" });
    writeTree(root, before);
    const { ino } = statSync(join(root, "state"));
    writeTree(root, treeOf({ state: "running\n" }), before);
    expect(statSync(join(root, "state")).ino).toBe(ino);
    expect(walk(root)).toEqual(["state: running\n"]);
  });

  test("is, changed from any other, as if written anew", () => {
    // A name is always a directory or always a file, as in sysfs.
    const path = fc
      .array(fc.constantFrom("a", "b"), { maxLength: 2 })
      .map((names) => [...names, "f"].join("/"));
    const files = fc.dictionary(path, fc.constantFrom("1", "2"));
    fc.assert(
      fc.property(fc.array(files, { minLength: 1, maxLength: 4 }), (moments) => {
        const changed = mkdtempSync(join(root, "changed-"));
        const anew = mkdtempSync(join(root, "anew-"));
        let before = new FileTree();
        for (const moment of moments) {
          const tree = treeOf(moment);
          writeTree(changed, tree, before);
          before = tree;
        }
        writeTree(anew, before);
        expect(walk(changed)).toEqual(walk(anew));
      }),
      { numRuns: 50 },
    );
  });
});
