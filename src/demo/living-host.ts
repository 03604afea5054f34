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
import { diskStatistics } from "./disk-statistics.ts";
import { FileTree, writeTree } from "./file-tree.ts";
import { mountInfoText } from "./kubelet-tree.ts";
import { addNodeDevices, addNodeVolumes, disksAt, type Moment, momentAt } from "./living-node.ts";
import { addNvme, builtHost } from "./nvme-host.ts";
import { livingHost } from "./nvme-living-host.ts";

const TICK_MS = 1000;

const KUBELET = "var/lib/kubelet";

export class LivingHost {
  readonly directory: string;
  readonly paths: Settings["path"];
  readonly #since: number;
  #moment: Moment;
  #files: Files;
  /** Apart, since it changes all the time. */
  #statistics = new FileTree();

  /** Builds the host as it is at `since`, in ms since 1970, in a new directory; `remove` takes that away. */
  constructor(since: number) {
    // The mount table has paths without symlinks.
    this.directory = mkdtempSync(join(realpathSync(tmpdir()), "plumbline-demo-"));
    this.#since = since;
    this.#moment = momentAt(0);
    this.#files = filesAt(this.directory, since, this.#moment);
    writeTree(this.directory, this.#files.tree);
    this.#count(0);
    this.paths = pathsBelow(this.directory);
  }

  /** Changes the host into what it is at `now`. Throws where its directory cannot be written. */
  show(now: number): void {
    const seconds = (now - this.#since) / 1000;
    this.#change(momentAt(seconds));
    this.#count(seconds);
  }

  #change(moment: Moment): void {
    if (isDeepStrictEqual(moment, this.#moment)) return;
    const files = filesAt(this.directory, this.#since, moment);
    writeTree(this.directory, files.tree, this.#files.tree);
    this.#moment = moment;
    this.#files = files;
  }

  #count(seconds: number): void {
    const statistics = new FileTree();
    statistics.file("proc/diskstats", diskStatistics(disksAt(this.#files.sysfs, seconds)));
    writeTree(this.directory, statistics, this.#statistics);
    this.#statistics = statistics;
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

interface Files {
  readonly tree: FileTree;
  /** The part of it that is /sys. */
  readonly sysfs: FileTree;
}

function filesAt(directory: string, since: number, moment: Moment): Files {
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
  return { tree, sysfs };
}
