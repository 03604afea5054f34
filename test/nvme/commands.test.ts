import { describe, expect, test } from "bun:test";
import * as commands from "../../src/nvme/commands.ts";
import {
  ebsPage,
  identifyController,
  identifyNamespace,
  instanceStoreDetail,
  instanceStorePage,
  smartLog,
} from "../../src/nvme/commands.ts";
import type { AdminCommand, Page } from "../../src/nvme/model.ts";

const EVERY_NAMESPACE = 0xffffffff;

/** Section 1 of the specification: what each command is, to the bit. */
const COMMANDS: readonly {
  readonly name: string;
  readonly command: AdminCommand;
  readonly opcode: number;
  readonly nsid: number;
  readonly cdw10: number;
  readonly cdw12: number;
  readonly length: number;
}[] = [
  {
    name: "SMART",
    command: smartLog(),
    opcode: 2,
    nsid: EVERY_NAMESPACE,
    cdw10: 0x007f0002,
    cdw12: 0,
    length: 512,
  },
  {
    name: "EBS statistics",
    command: ebsPage(),
    opcode: 2,
    nsid: 1,
    cdw10: 0x03ff00d0,
    cdw12: 0,
    length: 4096,
  },
  {
    name: "instance-store statistics",
    command: instanceStorePage(),
    opcode: 2,
    nsid: EVERY_NAMESPACE,
    cdw10: 0x03ff80d0,
    cdw12: 0,
    length: 4096,
  },
  {
    name: "second half of the instance-store statistics",
    command: instanceStoreDetail(),
    opcode: 2,
    nsid: EVERY_NAMESPACE,
    cdw10: 0x03ff00d0,
    cdw12: 4096,
    length: 4096,
  },
  {
    name: "Identify Controller",
    command: identifyController(),
    opcode: 6,
    nsid: 0,
    cdw10: 1,
    cdw12: 0,
    length: 4096,
  },
  {
    name: "Identify Namespace",
    command: identifyNamespace(7),
    opcode: 6,
    nsid: 7,
    cdw10: 0,
    cdw12: 0,
    length: 4096,
  },
];

describe("admin commands", () => {
  test("there are these six and no others", () => {
    expect(Object.keys(commands).sort()).toEqual(
      COMMANDS.map(({ command }) => builderOf(command.page)).sort(),
    );
  });

  test.each(COMMANDS)("$name has exactly the specified bytes", ({ command, ...expected }) => {
    const bytes = new Uint8Array(72);
    const view = new DataView(bytes.buffer);
    view.setUint8(0, expected.opcode);
    view.setUint32(4, expected.nsid, true);
    view.setUint32(40, expected.cdw10, true);
    view.setUint32(48, expected.cdw12, true);
    expect(command.bytes).toEqual(bytes);
    expect(command.nsid).toBe(expected.nsid);
    expect(command.length).toBe(expected.length);
  });

  test.each(COMMANDS)(
    "$name sets neither flags nor a timeout, which could make the kernel reset the device",
    ({ command }) => {
      const view = new DataView(command.bytes.buffer);
      expect(view.getUint8(1)).toBe(0);
      expect(view.getUint32(64, true)).toBe(0);
    },
  );

  test("a log page's length in dwords is 0-based and within the length of the transfer", () => {
    for (const { command } of COMMANDS.filter(({ opcode }) => opcode === 2)) {
      const dwords = new DataView(command.bytes.buffer).getUint16(42, true) + 1;
      expect(dwords * 4).toBe(command.length);
    }
  });
});

const builderOf = (page: Page): string =>
  ({
    identify_controller: "identifyController",
    identify_namespace: "identifyNamespace",
    smart: "smartLog",
    ebs: "ebsPage",
    instance_store: "instanceStorePage",
    instance_store_detail: "instanceStoreDetail",
  })[page];
