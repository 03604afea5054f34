import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as answers from "../../src/demo/nvme-answers.ts";
import { simulatedKernel } from "../../src/demo/nvme-kernel.ts";
import { type RecordingInput, recordPage } from "../../src/demo/nvme-recording.ts";
import {
  ebsPage,
  identifyController,
  identifyNamespace,
  instanceStoreDetail,
  instanceStorePage,
  smartLog,
} from "../../src/nvme/commands.ts";

const EACCES = 13;
const EBADF = 9;
const EFAULT = 14;
const EINVAL = 22;
const ELOOP = 40;
const ENODEV = 19;
const ENOENT = 2;
const ENOTTY = 25;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-kernel-"));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

let written = 0;

function record(recording: Partial<RecordingInput> = {}): string {
  const path = join(directory, `nvme${written++}`);
  writeFileSync(path, JSON.stringify({ dev: "245:0", answers: [], ...recording }));
  return path;
}

function openOn(recording: Partial<RecordingInput>, now?: () => number) {
  const kernel = simulatedKernel(now);
  return { kernel, fd: kernel.open(record(recording)) };
}

const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte);

describe("opening a node", () => {
  test("gives descriptors that differ, and a closed one again", () => {
    const kernel = simulatedKernel();
    const [first, second] = [kernel.open(record()), kernel.open(record())];
    expect(first).toBeGreaterThan(2);
    expect(second).not.toBe(first);
    kernel.close(first);
    expect(kernel.open(record())).toBe(first);
  });

  test("of which there is none answers ENOENT", () => {
    expect(simulatedKernel().open(join(directory, "nothing"))).toBe(-ENOENT);
  });

  test("that is a symbolic link answers ELOOP", () => {
    const link = join(directory, "link");
    symlinkSync(record(), link);
    expect(simulatedKernel().open(link)).toBe(-ELOOP);
  });

  test("fails with the errno that is recorded", () => {
    expect(simulatedKernel().open(record({ openErrno: EACCES }))).toBe(-EACCES);
  });

  test("tells its device, or that it is none", () => {
    const kernel = simulatedKernel();
    const plain = join(directory, "plain");
    writeFileSync(plain, "no recording");
    expect(kernel.stat(kernel.open(record({ dev: "245:7" })))).toEqual({
      isCharacterDevice: true,
      device: "245:7",
    });
    expect(kernel.stat(kernel.open(plain))).toEqual({ isCharacterDevice: false, device: "0:0" });
    expect(kernel.adminCommand(kernel.open(plain), smartLog().bytes, filled(512, 0))).toBe(-ENOTTY);
  });

  test("sees a recording that was replaced in the meantime", () => {
    const kernel = simulatedKernel();
    const path = record({ dev: "245:1" });
    kernel.close(kernel.open(path));
    writeFileSync(path, JSON.stringify({ dev: "245:22", answers: [] }));
    expect(kernel.stat(kernel.open(path))).toEqual({ isCharacterDevice: true, device: "245:22" });
  });

  test("that is closed or was never open answers EBADF", () => {
    const { kernel, fd } = openOn({});
    kernel.close(fd);
    expect(kernel.stat(fd)).toBe(-EBADF);
    expect(kernel.adminCommand(fd, smartLog().bytes, filled(512, 0))).toBe(-EBADF);
  });
});

describe("an admin command", () => {
  test("is answered by opcode, page, namespace and offset", () => {
    const { kernel, fd } = openOn({
      answers: [
        answers.shows(answers.CONTROLLER, filled(4096, 1)),
        answers.shows(answers.namespace(2), filled(4096, 2)),
        answers.shows(answers.SMART, filled(512, 3)),
        answers.shows(answers.EBS, filled(4096, 4)),
        answers.shows(answers.INSTANCE_STORE, filled(4096, 5)),
        answers.shows(answers.INSTANCE_STORE_DETAIL, filled(4096, 6)),
      ],
    });
    const commands = [
      identifyController(),
      identifyNamespace(2),
      smartLog(),
      ebsPage(),
      instanceStorePage(),
      instanceStoreDetail(),
    ];
    const answered = commands.map(({ bytes, length }) => {
      const page = new Uint8Array(length);
      return [kernel.adminCommand(fd, bytes, page), page[0], page[length - 1]];
    });
    expect(answered).toEqual([1, 2, 3, 4, 5, 6].map((byte) => [0, byte, byte]));
  });

  test("for a page that is not recorded is refused as a device without it does", () => {
    const { kernel, fd } = openOn({});
    expect(kernel.adminCommand(fd, smartLog().bytes, filled(512, 0))).toBe(0x4109);
    expect(kernel.adminCommand(fd, identifyNamespace(3).bytes, filled(4096, 0))).toBe(0x4002);
  });

  test("answers the status or the errno that is recorded and leaves the page alone", () => {
    const { kernel, fd } = openOn({
      answers: [answers.refuses(answers.SMART, 0x400b), answers.fails(answers.CONTROLLER, ENODEV)],
    });
    const page = filled(512, 0xaa);
    expect(kernel.adminCommand(fd, smartLog().bytes, page)).toBe(0x400b);
    expect(page).toEqual(filled(512, 0xaa));
    expect(kernel.adminCommand(fd, identifyController().bytes, filled(4096, 0))).toBe(-ENODEV);
  });

  test("blocks for the delay that is recorded", () => {
    const delayed = { ...answers.shows(answers.SMART, filled(512, 1)), delayMs: 30 };
    const { kernel, fd } = openOn({ answers: [delayed] });
    const startedAt = performance.now();
    expect(kernel.adminCommand(fd, smartLog().bytes, new Uint8Array(512))).toBe(0);
    // Timers may fire a little early.
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(28);
  });

  test("shows counters as they are at its time", () => {
    let now = 1_000_000;
    const page = recordPage(new Uint8Array(512), [{ kind: "grows", at: 64, bytes: 16, perSecond: 10 }]);
    const { kernel, fd } = openOn(
      { since: 1_000_000, answers: [{ ...answers.SMART, reply: { kind: "page", page } }] },
      () => now,
    );
    const read = () => {
      const answer = new Uint8Array(512);
      kernel.adminCommand(fd, smartLog().bytes, answer);
      return new DataView(answer.buffer).getBigUint64(64, true);
    };
    const before = read();
    now += 2500;
    expect([before, read()]).toEqual([0n, 25n]);
  });

  test.each([
    ["flags", 1, 1],
    ["a timeout of its own", 64, 100],
  ])("with %s is refused with EINVAL", (_what, offset, value) => {
    const { kernel, fd } = openOn({ answers: [answers.shows(answers.SMART, filled(512, 1))] });
    const command = smartLog().bytes;
    command[offset] = value;
    expect(kernel.adminCommand(fd, command, new Uint8Array(512))).toBe(-EINVAL);
  });

  test("that would write past its buffer, or not fill it, is refused with EFAULT", () => {
    const { kernel, fd } = openOn({ answers: [answers.shows(answers.SMART, filled(512, 1))] });
    expect(kernel.adminCommand(fd, smartLog().bytes, new Uint8Array(508))).toBe(-EFAULT);
    expect(kernel.adminCommand(fd, smartLog().bytes, new Uint8Array(4096))).toBe(-EFAULT);
    expect(kernel.adminCommand(fd, new Uint8Array(64), new Uint8Array(512))).toBe(-EFAULT);
  });

  test("that is neither Identify nor Get Log Page is refused", () => {
    const { kernel, fd } = openOn({});
    const format = smartLog().bytes;
    format[0] = 0x80;
    expect(kernel.adminCommand(fd, format, new Uint8Array(512))).toBe(0x4001);
  });

  test("is written to the command log where the recording names one", () => {
    const commandLog = join(directory, "commands.jsonl");
    const { kernel, fd } = openOn({ commandLog });
    kernel.adminCommand(fd, instanceStoreDetail().bytes, new Uint8Array(4096));
    expect(JSON.parse(readFileSync(commandLog, "utf8"))).toMatchObject({
      dev: "245:0",
      opcode: 2,
      nsid: 0xffffffff,
      cdw10: 0x03ff00d0,
      cdw12: 4096,
    });
  });
});
