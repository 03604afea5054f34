/** A Worker whose ioctls cost nothing: each command is simulated once, and then its page is copied. */
import { simulatedKernel } from "../../src/demo/nvme-kernel.ts";
import type { Kernel, NodeStat } from "../../src/nvme/kernel.ts";
import { serveCommands } from "../../src/nvme/worker.ts";

interface Node {
  readonly path: string;
  readonly stat: NodeStat | number;
  readonly answers: Map<string, { readonly status: number; readonly page: Uint8Array }>;
}

const slow = simulatedKernel();
const nodes: Node[] = [];

const free: Kernel = {
  open(path) {
    let fd = nodes.findIndex((node) => node.path === path);
    if (fd < 0) {
      const opened = slow.open(path);
      if (opened < 0) return opened;
      fd = nodes.push({ path, stat: slow.stat(opened), answers: new Map() }) - 1;
      slow.close(opened);
    }
    return fd;
  },
  stat: (fd) => nodes[fd]?.stat ?? -9,
  adminCommand(fd, command, page) {
    const node = nodes[fd];
    if (node === undefined) return -9;
    const fields = new DataView(command.buffer, command.byteOffset);
    const key = `${command[0]} ${fields.getUint32(4, true)} ${fields.getUint32(40, true)} ${fields.getUint32(48, true)}`;
    let answer = node.answers.get(key);
    if (answer === undefined) {
      const opened = slow.open(node.path);
      answer = { status: slow.adminCommand(opened, command, page), page: page.slice() };
      slow.close(opened);
      node.answers.set(key, answer);
    }
    page.set(answer.page);
    return answer.status;
  },
  close() {},
};

serveCommands(free);
