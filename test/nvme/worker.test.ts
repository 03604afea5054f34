import { expect, test } from "bun:test";
import { smartLog } from "../../src/nvme/commands.ts";
import type { Kernel } from "../../src/nvme/kernel.ts";
import { type CommandRequest, runCommand } from "../../src/nvme/worker.ts";

const { bytes, length } = smartLog();
const REQUEST: CommandRequest = { path: "/dev/nvme0", dev: "245:0", command: bytes, length };

/** Notes its calls; all goes well, unless told otherwise. */
function kernel(changes: Partial<Kernel> = {}): Kernel & { readonly calls: string[] } {
  const calls: string[] = [];
  const noted = <Arguments extends readonly unknown[], Result>(
    name: string,
    call: (...args: Arguments) => Result,
  ) => {
    return (...args: Arguments): Result => {
      calls.push(`${name} ${typeof args[0] === "object" ? "" : args[0]}`);
      return call(...args);
    };
  };
  return {
    calls,
    open: noted("open", changes.open ?? (() => 7)),
    stat: noted("stat", changes.stat ?? (() => ({ isCharacterDevice: true, device: "245:0" }))),
    adminCommand: noted("command", changes.adminCommand ?? (() => 0)),
    close: noted("close", changes.close ?? (() => {})),
  };
}

test("a command opens the node, looks what it is, asks and closes it", () => {
  const page = kernel({
    adminCommand: (_fd, _command, buffer) => {
      buffer.fill(5);
      return 0;
    },
  });
  const result = runCommand(page, REQUEST);
  expect(result).toEqual({ kind: "page", bytes: new Uint8Array(512).fill(5) });
  expect(page.calls).toEqual(["open /dev/nvme0", "stat 7", "command 7", "close 7"]);
});

test("a node that cannot be opened is not asked, and EACCES and EPERM are a lack of permission", () => {
  for (const [errno, kind] of [
    [13, "permission"],
    [1, "permission"],
    [2, "open"],
    [40, "open"],
  ] as const) {
    const refusing = kernel({ open: () => -errno });
    expect(runCommand(refusing, REQUEST)).toEqual({ kind, errno });
    expect(refusing.calls).toEqual(["open /dev/nvme0"]);
  }
});

test("a node that is something else is closed again without a command", () => {
  for (const stat of [
    { isCharacterDevice: false, device: "245:0" },
    { isCharacterDevice: true, device: "245:1" },
    { isCharacterDevice: true, device: "5:240" },
  ]) {
    const other = kernel({ stat: () => stat });
    expect(runCommand(other, REQUEST)).toEqual({ kind: "not_a_device" });
    expect(other.calls).toEqual(["open /dev/nvme0", "stat 7", "close 7"]);
  }
});

test("a positive answer is the status of a refusal, a negative one an errno", () => {
  expect(runCommand(kernel({ adminCommand: () => 0x4109 }), REQUEST)).toEqual({
    kind: "status",
    status: 0x4109,
  });
  expect(runCommand(kernel({ adminCommand: () => -19 }), REQUEST)).toEqual({ kind: "ioctl", errno: 19 });
  expect(runCommand(kernel({ adminCommand: () => -1 }), REQUEST)).toEqual({ kind: "permission", errno: 1 });
});

test("the node is closed also when the kernel seam throws", () => {
  const broken = kernel({
    adminCommand: () => {
      throw new Error("broken");
    },
  });
  expect(() => runCommand(broken, REQUEST)).toThrow("broken");
  expect(broken.calls.at(-1)).toBe("close 7");
});
