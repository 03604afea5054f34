/** What is sent to the devices of the mixed host, seen from behind the ioctl seam. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { type Collecting, collectOn, type SimulatedHost, withHost } from "../support/nvme-host.ts";
import { FAILURES, MIXED } from "../support/nvme-hosts.ts";

const Sent = v.object({
  dev: v.string(),
  opcode: v.number(),
  nsid: v.number(),
  cdw10: v.number(),
  cdw12: v.number(),
});

function commandsTo({ commandLog }: SimulatedHost): v.InferOutput<typeof Sent>[] {
  const lines = readFileSync(commandLog, "utf8").trimEnd().split("\n");
  return lines.map((line) => v.parse(Sent, JSON.parse(line)));
}

async function onMixedHost(
  use: (host: SimulatedHost, collecting: Collecting) => Promise<void>,
): Promise<void> {
  await withHost({ ...MIXED, logCommands: true }, async (host) => {
    const collecting = collectOn(host);
    try {
      await use(host, collecting);
    } finally {
      collecting.close();
    }
  });
}

const IDENTIFY = 0x06;
const GET_LOG_PAGE = 0x02;
const EVERY_NAMESPACE = 0xffffffff;
const SMART = { opcode: GET_LOG_PAGE, nsid: EVERY_NAMESPACE, cdw10: 0x007f0002, cdw12: 0 };
const EBS = { opcode: GET_LOG_PAGE, nsid: 1, cdw10: 0x03ff00d0, cdw12: 0 };
const INSTANCE_STORE = { opcode: GET_LOG_PAGE, nsid: EVERY_NAMESPACE, cdw10: 0x03ff80d0, cdw12: 0 };
const INSTANCE_STORE_DETAIL = { opcode: GET_LOG_PAGE, nsid: EVERY_NAMESPACE, cdw10: 0x03ff00d0, cdw12: 4096 };

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `245:${from + i}`);

describe("the devices of the mixed host are sent", () => {
  test("Identify of the controller and of namespaces, and four log pages, and nothing else", async () => {
    await onMixedHost(async (host, collecting) => {
      await collecting.scrape();
      for (const { dev: _, ...command } of commandsTo(host)) {
        const isIdentify = command.opcode === IDENTIFY && command.cdw12 === 0 && command.cdw10 <= 1;
        if (isIdentify) continue;
        expect([SMART, EBS, INSTANCE_STORE, INSTANCE_STORE_DETAIL]).toContainEqual(command);
      }
    });
  });

  test("page D0h only where the device is Amazon's, and its second half only where there is one", async () => {
    await onMixedHost(async (host, collecting) => {
      await collecting.scrape();
      const sent = commandsTo(host);
      const devicesSent = ({ nsid, cdw10, cdw12 }: typeof EBS) =>
        sent
          .filter((command) => command.nsid === nsid && command.cdw10 === cdw10 && command.cdw12 === cdw12)
          .map(({ dev }) => dev)
          .sort();
      expect(devicesSent(EBS)).toEqual(numbered(0, 7).sort());
      expect(devicesSent(INSTANCE_STORE)).toEqual(numbered(8, 11).sort());
      expect(devicesSent(INSTANCE_STORE_DETAIL)).toEqual(numbered(8, 10).sort());
    });
  });

  test("each command once, however many scrapes come within a second", async () => {
    await onMixedHost(async (host, collecting) => {
      const startedAt = performance.now();
      for (let scrape = 0; scrape < 3; scrape++) await collecting.scrape();
      // On a machine that is too slow for it the second has passed, and this says nothing.
      if (performance.now() - startedAt > 900) return;
      const sent = commandsTo(host).map((command) => JSON.stringify(command));
      expect(sent.length).toBe(new Set(sent).size);
    });
  });

  test("nothing while the controller is not live", async () => {
    await onMixedHost(async (host, collecting) => {
      await collecting.scrape();
      expect(commandsTo(host).filter(({ dev }) => dev === "245:21")).toEqual([]);
    });
  });
});

test("a page that a device does not have is asked for once, also when its second has passed", async () => {
  const description = FAILURES["status: invalid log page"];
  if (description === undefined) throw new Error("the case is gone");
  await withHost({ ...description, logCommands: true }, async (host) => {
    const collecting = collectOn(host);
    try {
      await collecting.scrape();
      await Bun.sleep(1100);
      const exposition = await collecting.scrape();
      expect(exposition).toContain(
        'plumbline_nvme_device_errors_total{collector="nvme",device="nvme0",reason="unsupported_page"} 1\n',
      );
      const smartLogs = commandsTo(host).filter(({ cdw10 }) => cdw10 === SMART.cdw10);
      expect(smartLogs.map(({ dev }) => dev).sort()).toEqual(["245:0", "245:1", "245:1"]);
    } finally {
      collecting.close();
    }
  });
});

test("one of three controllers that hangs costs its own series alone", async () => {
  const hangs = FAILURES["device hangs"]?.controllers[0];
  if (hangs === undefined) throw new Error("the case is gone");
  const others = MIXED.controllers.filter(({ name }) => ["nvme1", "nvme12"].includes(name));
  await withHost({ controllers: [hangs, ...others] }, async (host) => {
    const collecting = collectOn(host);
    try {
      const startedAt = performance.now();
      const exposition = await collecting.scrape("text", 800);
      // Far from the 3 s that the device takes; how far from 0.8 s depends on the machine.
      expect(performance.now() - startedAt).toBeLessThan(2000);
      expect(exposition).toContain('nvme_device_accessible{device="nvme0"} 0\n');
      expect(exposition).toContain('nvme_device_accessible{device="nvme1"} 1\n');
      expect(exposition).toContain('nvme_device_accessible{device="nvme12"} 1\n');
      expect(exposition).toMatch(/^ebs_total_read_ops_total\{.*device="nvme1n1".*\} 1000003$/m);
      expect(exposition).toContain('plumbline_collector_success{collector="nvme"} 1\n');
    } finally {
      collecting.close();
    }
  });
});
