/** The Kernel of real hosts: the calls of libc. Blocks its thread until the device answers. */
import { constants } from "node:fs";
import { type Libc, libc } from "../host/libc.ts";
import type { Kernel } from "./kernel.ts";

/** `_IOWR('N', 0x41, struct nvme_admin_cmd)` of <linux/nvme_ioctl.h>. */
const NVME_IOCTL_ADMIN_CMD = 0xc0484e41n;

/** <fcntl.h>; node:fs does not have it. */
const O_CLOEXEC = 0o2000000;
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | O_CLOEXEC;

/** Throws LibcError where no libc can be loaded. */
export function libcKernel(calls: Libc = libc()): Kernel {
  return {
    open: (path) => calls.open(path, OPEN_FLAGS),
    stat: (fd) => calls.stat(fd),
    adminCommand(fd, command, page) {
      const addressed = command.slice();
      const fields = new DataView(addressed.buffer);
      fields.setBigUint64(24, calls.addressOf(page), true);
      fields.setUint32(36, page.length, true);
      // `page` is the caller's and outlives the call: the device writes there.
      return calls.ioctl(fd, NVME_IOCTL_ADMIN_CMD, addressed);
    },
    close: (fd) => void calls.close(fd),
  };
}
