/**
 * A Worker of a simulated host whose controllers hang for as long as a file says so: a command to `<devfs>/nvme0`
 * does not return while `<devfs>/nvme0.hang` exists. Where `<devfs>/nvme0.die` exists, the Worker dies of it.
 */
import { existsSync } from "node:fs";
import { simulatedKernel } from "../../src/demo/nvme-kernel.ts";
import type { Kernel } from "../../src/nvme/kernel.ts";
import { serveCommands } from "../../src/nvme/worker.ts";

const kernel = simulatedKernel();
const paths = new Map<number, string>();
const clock = new Int32Array(new SharedArrayBuffer(4));

const hanging: Kernel = {
  ...kernel,
  open(path) {
    const fd = kernel.open(path);
    paths.set(fd, path);
    return fd;
  },
  adminCommand(fd, command, page) {
    const path = paths.get(fd) ?? "";
    if (existsSync(`${path}.die`)) throw new Error("killed by the test");
    const result = kernel.adminCommand(fd, command, page);
    while (existsSync(`${path}.hang`)) Atomics.wait(clock, 0, 0, 5);
    return result;
  },
};

serveCommands(hanging);
