/**
 * The whole host of `plumbline demo` in a directory: `sys`, `dev`, `proc` and `var/lib/kubelet`, of a machine that is
 * more than any machine is. It lives: files are rewritten as the kernel and the kubelet would, while others read them.
 */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Settings } from "../config/settings.ts";
import { reasonOf } from "../host/system-error.ts";
import type { Log } from "../log/log.ts";
import { FileTree, writeTree } from "./file-tree.ts";
import { mountInfoText } from "./kubelet-tree.ts";
import { addNodeDevices, addNodeVolumes, type Moment, momentAt } from "./living-node.ts";
import { addNvme, builtHost } from "./nvme-host.ts";
import { livingHost } from "./nvme-living-host.ts";

const TICK_MS = 1000;

const KUBELET = "var/lib/kubelet";

export class LivingHost {
  readonly directory: string;
  readonly paths: Settings["path"];
  readonly #since: number;
  #moment: Moment;
  #tree: FileTree;

  /** Builds the host as it is at `since`, in ms since 1970, in a new directory; `remove` takes that away. */
  constructor(since: number) {
    // The mount table has paths without symlinks.
    this.directory = mkdtempSync(join(realpathSync(tmpdir()), "plumbline-demo-"));
    this.#since = since;
    this.#moment = momentAt(0);
    this.#tree = treeAt(this.directory, since, this.#moment);
    writeTree(this.directory, this.#tree);
    this.paths = pathsBelow(this.directory);
  }

  /** Changes the host into what it is at `now`. Throws where its directory cannot be written. */
  show(now: number): void {
    const moment = momentAt((now - this.#since) / 1000);
    if (isDeepStrictEqual(moment, this.#moment)) return;
    const tree = treeAt(this.directory, this.#since, moment);
    writeTree(this.directory, tree, this.#tree);
    this.#moment = moment;
    this.#tree = tree;
  }

  /** Lets it live as long as the process does, which it does not keep alive. */
  live(log: Log): void {
    const timer = setInterval(() => {
      try {
        this.show(Date.now());
      } catch (error) {
        clearInterval(timer);
        log.error("the simulated host no longer moves", { path: this.directory, err: reasonOf(error) });
      }
    }, TICK_MS);
    timer.unref();
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Where the parts of a host are that is recorded in a directory. */
export function pathsBelow(directory: string): Settings["path"] {
  const { sysfs, devfs } = builtHost(directory);
  return {
    rootfs: directory,
    procfs: join(directory, "proc"),
    sysfs,
    devfs,
    kubelet: join(directory, KUBELET),
  };
}

function treeAt(directory: string, since: number, moment: Moment): FileTree {
  const tree = new FileTree();
  const nvme = livingHost(since, moment.lostController ? "connecting" : "live");
  const sysfs = addNvme(tree, nvme, builtHost(directory));
  addNodeDevices(sysfs, moment);
  tree.graft("sys", sysfs);

  const kubelet = new FileTree();
  const mounts = addNodeVolumes(kubelet, join(directory, KUBELET), sysfs, moment);
  tree.graft(KUBELET, kubelet);
  tree.file("proc/self/mountinfo", mountInfoText(mounts));
  // Of the machine itself: what is told of this process counts from its boot.
  for (const file of ["uptime", "sys/kernel/random/boot_id"]) {
    tree.symlink(`proc/${file}`, join("/proc", file));
  }
  return tree;
}
