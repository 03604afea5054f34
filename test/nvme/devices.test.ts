import { afterEach, describe, expect, test } from "bun:test";
import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ControllerDescription, NodeDescription } from "../../src/demo/nvme-host.ts";
import type { RecordedAnswer } from "../../src/demo/nvme-recording.ts";
import { ebsPage, identifyController, identifyNamespace, smartLog } from "../../src/nvme/commands.ts";
import type { Answer, Controller } from "../../src/nvme/model.ts";
import {
  drive,
  SimulatedHost,
  scrapeOf,
  smartReply,
  wait,
  waitUntil,
} from "../support/nvme-simulated-host.ts";

const hosts: SimulatedHost[] = [];
afterEach(() => {
  for (const host of hosts.splice(0)) host.close();
});

function simulate(...controllers: ControllerDescription[]): SimulatedHost {
  const host = new SimulatedHost(controllers);
  hosts.push(host);
  return host;
}

function controllerOf(list: readonly Controller[], number = 0): Controller {
  const controller = list[number];
  if (controller === undefined) throw new Error(`there is no controller ${number}`);
  return controller;
}

const kindsOf = (answers: readonly Answer[]): string[] => answers.map(({ kind }) => kind);

/** A clock that stands still until it is told. */
function pacing() {
  let now = 1_000_000;
  return {
    now: () => now,
    pass: (ms: number): void => {
      now += ms;
    },
  };
}

describe("what a device answers", () => {
  async function smartOf(host: SimulatedHost): Promise<Answer> {
    const devices = host.devices();
    return devices.ask(controllerOf(devices.list()), smartLog(), scrapeOf(2000));
  }

  test("is its page and when it was read", async () => {
    const before = performance.now();
    const answer = await smartOf(simulate(drive(0)));
    if (answer.kind !== "page") throw new Error(answer.kind);
    expect(answer.bytes.length).toBe(512);
    expect(answer.bytes[1]).toBe(314 & 0xff);
    expect(answer.readAt).toBeGreaterThan(before);
    expect(answer.readAt).toBeLessThanOrEqual(performance.now());
  });

  test.each([
    ["0x4002", "unsupported_page"],
    ["0x4109", "unsupported_page"],
    ["0x0109", "unsupported_page"],
    ["0x400b", "status"],
    ["0x4202", "status"],
  ])("is, for status %s, %s", async (status, kind) => {
    const host = simulate(drive(0, { answers: [smartReply({ kind: "status", status: Number(status) })] }));
    expect(await smartOf(host)).toMatchObject({ kind, status: Number(status) });
  });

  test.each([
    [13, "permission"],
    [1, "permission"],
    [19, "ioctl"],
    [25, "ioctl"],
    [5, "ioctl"],
  ])("is, for errno %i of the ioctl, %s", async (errno, kind) => {
    const host = simulate(drive(0, { answers: [smartReply({ kind: "errno", errno })] }));
    expect(await smartOf(host)).toMatchObject({ kind, errno });
  });

  const nodes: [string, NodeDescription, Partial<Answer>][] = [
    ["EACCES at open", { kind: "unopenable", errno: 13 }, { kind: "permission", errno: 13 }],
    ["ENXIO at open", { kind: "unopenable", errno: 6 }, { kind: "open", errno: 6 }],
    ["no node", { kind: "missing" }, { kind: "open", errno: 2 }],
    ["another device's number", { kind: "other_device", dev: "259:0" }, { kind: "not_a_device" }],
    ["a node that is no character device", { kind: "ordinary_file" }, { kind: "not_a_device" }],
  ];
  test.each(nodes)("names %s", async (_case, node, answer) => {
    expect(await smartOf(simulate(drive(0, { node })))).toMatchObject(answer);
  });

  test("is `open` where the node is a symbolic link, which is not followed", async () => {
    const host = simulate(drive(0), drive(1));
    rmSync(join(host.devfs, "nvme0"));
    symlinkSync("nvme1", join(host.devfs, "nvme0"));
    expect(await smartOf(host)).toMatchObject({ kind: "open", errno: 40 });
  });

  test("is `not_live`, without a question, where the state is another", async () => {
    const host = simulate(drive(0, { state: "connecting" }));
    expect(await smartOf(host)).toEqual({ kind: "not_live" });
    expect(host.pool.size.threads).toBe(0);
  });

  test("is `not_a_device` where sysfs does not tell the device number", async () => {
    expect(await smartOf(simulate(drive(0, { files: { dev: undefined } })))).toEqual({
      kind: "not_a_device",
    });
  });
});

describe("pacing", () => {
  test("gives two scrapes within a second the same reading", async () => {
    const host = simulate(drive(0));
    const clock = pacing();
    const devices = host.devices({ now: clock.now });
    const first = await devices.ask(controllerOf(devices.list()), smartLog(), scrapeOf(2000));
    clock.pass(999);
    expect(await devices.ask(controllerOf(devices.list()), smartLog(), scrapeOf(2000))).toBe(first);
    expect(host.commands().length).toBe(1);
    clock.pass(1);
    const second = await devices.ask(controllerOf(devices.list()), smartLog(), scrapeOf(2000));
    expect(second).not.toBe(first);
    expect(host.commands().length).toBe(2);
  });

  test("asks once for two who ask at the same time, and gives both the same reading", async () => {
    const host = simulate(drive(0));
    const devices = host.devices();
    const controller = controllerOf(devices.list());
    const ask = () => devices.ask(controller, smartLog(), scrapeOf(2000));
    const [first, second] = await Promise.all([ask(), ask()]);
    expect(first.kind).toBe("page");
    expect(second).toBe(first);
    expect(host.commands().length).toBe(1);
  });

  test("tells the pages, the namespaces and the controllers apart", async () => {
    const host = simulate(drive(0), drive(1));
    const devices = host.devices();
    const [first, second] = [controllerOf(devices.list(), 0), controllerOf(devices.list(), 1)];
    await Promise.all([
      devices.ask(first, smartLog(), scrapeOf(2000)),
      devices.ask(second, smartLog(), scrapeOf(2000)),
      devices.ask(first, identifyNamespace(1), scrapeOf(2000)),
      devices.ask(first, identifyNamespace(2), scrapeOf(2000)),
      devices.ask(first, identifyController(), scrapeOf(2000)),
    ]);
    expect(host.commands().length).toBe(5);
  });

  test("does not share a reading with another device that took the name", async () => {
    const host = simulate(drive(0));
    const devices = host.devices();
    await devices.ask(controllerOf(devices.list()), smartLog(), scrapeOf(2000));
    const other = { ...controllerOf(devices.list()), serial: "ANOTHER" };
    await devices.ask(other, smartLog(), scrapeOf(2000));
    expect(host.commands().length).toBe(2);
  });
});

describe("a page that a device does not have", () => {
  const lacking: RecordedAnswer[] = [smartReply({ kind: "status", status: 0x4109 })];

  test("is asked for once, until the serial number or the firmware changes", async () => {
    const host = simulate(drive(0, { answers: lacking }));
    const clock = pacing();
    const devices = host.devices({ now: clock.now });
    const ask = async () => {
      clock.pass(1000);
      await wait(1);
      return (await devices.ask(controllerOf(devices.list()), smartLog(), scrapeOf(2000))).kind;
    };
    expect([await ask(), await ask(), await ask()]).toEqual([
      "unsupported_page",
      "known_unsupported",
      "known_unsupported",
    ]);
    expect(host.commands().length).toBe(1);
    host.write("nvme0/firmware_rev", "2.0\n");
    expect([await ask(), await ask()]).toEqual(["unsupported_page", "known_unsupported"]);
    host.write("nvme0/serial", "OTHER\n");
    expect([await ask(), await ask()]).toEqual(["unsupported_page", "known_unsupported"]);
  });

  test("is asked for again after the controller was gone", async () => {
    const host = simulate(drive(0, { answers: lacking }));
    const devices = host.devices({ now: () => 0 });
    const controller = controllerOf(devices.list());
    expect((await devices.ask(controller, smartLog(), scrapeOf(2000))).kind).toBe("unsupported_page");
    expect(devices.unsupported()).toEqual([
      { controller: "nvme0", serial: "PL0", firmware: "1.0", pages: ["smart"] },
    ]);
    rmSync(join(host.sysfs, "class/nvme/nvme0"));
    await wait(1);
    expect(devices.list()).toEqual([]);
    expect(devices.unsupported()).toEqual([]);
    expect((await devices.ask(controller, smartLog(), scrapeOf(2000))).kind).toBe("unsupported_page");
  });

  test("is known from the run before", async () => {
    const host = simulate(drive(0));
    const unsupported = [{ controller: "nvme0", serial: "PL0", firmware: "1.0", pages: ["ebs" as const] }];
    const devices = host.devices({ unsupported });
    const controller = controllerOf(devices.list());
    expect((await devices.ask(controller, ebsPage(), scrapeOf(2000))).kind).toBe("known_unsupported");
    expect((await devices.ask(controller, smartLog(), scrapeOf(2000))).kind).toBe("page");
  });
});

describe("a device that hangs", () => {
  test("does not hold up the others, is not asked again while it hangs, and then is", async () => {
    const host = simulate(drive(0), drive(1), drive(2));
    const devices = host.devices();
    host.hang("nvme1");

    const scrape = () => {
      const context = scrapeOf(1000);
      return Promise.all(
        devices.list().map(async (controller) => {
          const answers = [
            await devices.ask(controller, smartLog(), context),
            await devices.ask(controller, identifyController(), context),
          ];
          return kindsOf(answers);
        }),
      );
    };

    const startedAt = performance.now();
    expect(await scrape()).toEqual([
      ["page", "unsupported_page"],
      ["timeout", "busy"],
      ["page", "unsupported_page"],
    ]);
    expect(performance.now() - startedAt).toBeLessThan(1000);
    expect(devices.hung()).toMatchObject([{ controller: "nvme1", serial: "PL1" }]);

    await wait(300);
    const before = host.commands().length;
    const again = await scrape();
    expect(again[1]).toEqual(["busy", "busy"]);
    expect(
      host
        .commands()
        .slice(before)
        .filter(({ dev }) => dev.endsWith(":1")),
    ).toEqual([]);

    host.release("nvme1");
    await waitUntil(() => devices.hung().length === 0);
    await wait(1000);
    expect((await scrape())[1]).toEqual(["page", "unsupported_page"]);
    expect(host.pool.size.leftBehind).toBe(0);
  });

  test("does not pass on the page that it gives too late", async () => {
    const host = simulate(drive(0));
    const clock = pacing();
    const devices = host.devices({ now: clock.now });
    const controller = controllerOf(devices.list());
    host.hang("nvme0");
    expect(await devices.ask(controller, smartLog(), scrapeOf(500))).toEqual({ kind: "timeout" });
    host.release("nvme0");
    await waitUntil(() => devices.hung().length === 0);
    // Less than a second has passed since it was asked.
    expect(await devices.ask(controller, smartLog(), scrapeOf(2000))).toEqual({ kind: "busy" });
    clock.pass(1000);
    expect((await devices.ask(controller, smartLog(), scrapeOf(2000))).kind).toBe("page");
    expect(host.commands().length).toBe(2);
  });

  test("is still waited for by the scrape that has more time", async () => {
    const host = simulate(drive(0));
    const devices = host.devices();
    const controller = controllerOf(devices.list());
    host.hang("nvme0");
    const patient = devices.ask(controller, smartLog(), scrapeOf(5000));
    expect(await devices.ask(controller, smartLog(), scrapeOf(450))).toEqual({ kind: "timeout" });
    host.release("nvme0");
    expect((await patient).kind).toBe("page");
    expect(host.commands().length).toBe(1);
  });

  test("is busy for a question that waited behind another one until its time was over", async () => {
    const host = simulate(drive(0));
    const devices = host.devices();
    const controller = controllerOf(devices.list());
    host.hang("nvme0");
    const first = devices.ask(controller, smartLog(), scrapeOf(2000));
    expect(await devices.ask(controller, identifyController(), scrapeOf(450))).toEqual({ kind: "busy" });
    expect(host.commands().length).toBe(1);
    host.release("nvme0");
    expect((await first).kind).toBe("page");
  });

  test("is not asked while a command of an earlier run hangs on it", async () => {
    const host = simulate(drive(0), drive(1));
    const devices = host.devices({ hangsElsewhere: ({ name }) => name === "nvme0" });
    const [first, second] = [controllerOf(devices.list(), 0), controllerOf(devices.list(), 1)];
    expect((await devices.ask(first, smartLog(), scrapeOf(2000))).kind).toBe("busy");
    expect((await devices.ask(second, smartLog(), scrapeOf(2000))).kind).toBe("page");
  });

  test("is not asked by a scrape that nobody waits for", async () => {
    const host = simulate(drive(0));
    const devices = host.devices();
    const answer = devices.ask(controllerOf(devices.list()), smartLog(), scrapeOf(2000, AbortSignal.abort()));
    expect((await answer).kind).toBe("timeout");
    expect(host.commands()).toEqual([]);
  });
});

test("one controller gets one command at a time", async () => {
  const slow = { ...smartReply({ kind: "status", status: 0x400b }), delayMs: 60 };
  const host = simulate(drive(0, { answers: [slow] }));
  const devices = host.devices();
  const controller = controllerOf(devices.list());
  await Promise.all([
    devices.ask(controller, smartLog(), scrapeOf(2000)),
    devices.ask(controller, identifyController(), scrapeOf(2000)),
  ]);
  const [first, second] = host.commands();
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(55);
});

test("nothing but Get Log Page and Identify reaches a device", async () => {
  const host = simulate(drive(0), drive(1));
  const devices = host.devices();
  for (const controller of devices.list()) {
    for (const command of [smartLog(), identifyController(), identifyNamespace(1)])
      await devices.ask(controller, command, scrapeOf(2000));
  }
  expect(new Set(host.commands().map(({ opcode }) => opcode))).toEqual(new Set([2, 6]));
});

test("a Worker that dies of a device costs that one command", async () => {
  const host = simulate(drive(0), drive(1));
  writeFileSync(join(host.devfs, "nvme0.die"), "");
  const devices = host.devices();
  const [first, second] = [controllerOf(devices.list(), 0), controllerOf(devices.list(), 1)];
  expect(await devices.ask(first, smartLog(), scrapeOf(2000))).toEqual({ kind: "ioctl", errno: 5 });
  expect((await devices.ask(second, smartLog(), scrapeOf(2000))).kind).toBe("page");
  expect(host.log.lines).toMatchObject([{ level: "error", message: "a Worker for NVMe devices died" }]);
});
