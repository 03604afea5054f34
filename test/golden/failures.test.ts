/** Each case of bad, missing and hostile input: the exposition with its errors counter, and the log. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectGolden } from "../support/golden.ts";
import { type Collecting, collectOn, type SimulatedHost, withHost } from "../support/nvme-host.ts";
import { FAILURES, ONE_EBS_VOLUME } from "../support/nvme-hosts.ts";

/** Long enough for every answer but those that never come. */
const TIMEOUT_MS = 700;

async function expectGoldenFailure(name: string, collecting: Collecting): Promise<void> {
  const file = `failures/${name.replaceAll(/[^a-z0-9]+/g, "-")}`;
  const exposition = await collecting.scrape("text", TIMEOUT_MS);
  expectGolden(`${file}.prom`, exposition);
  expectGolden(
    `${file}.log`,
    collecting
      .logLines()
      .map((line) => `${line}\n`)
      .join(""),
  );
}

describe("each case of bad input gives its golden exposition and log", () => {
  test.each(Object.entries(FAILURES))("%s", async (name, description) => {
    await withHost(description, async (host) => {
      const collecting = collectOn(host);
      try {
        await expectGoldenFailure(name, collecting);
      } finally {
        collecting.close();
      }
    });
  });
});

describe("the state of the textfile", () => {
  const state = (host: SimulatedHost) => join(host.stateDirectory, "ebs-state.json");

  test("that is corrupt is a first reading, counted, and is written anew", async () => {
    await withHost(ONE_EBS_VOLUME, async (host) => {
      writeFileSync(state(host), '{"boot_id": ', { mode: 0o600 });
      const collecting = collectOn(host, { state: "keep" });
      try {
        await expectGoldenFailure("state file corrupt", collecting);
        collecting.saveState();
        expect(() => JSON.parse(readFileSync(state(host), "utf8"))).not.toThrow();
      } finally {
        collecting.close();
      }
    });
  });

  test("of another shape is a first reading, counted", async () => {
    await withHost(ONE_EBS_VOLUME, async (host) => {
      writeFileSync(state(host), "{}", { mode: 0o600 });
      const collecting = collectOn(host, { state: "keep" });
      try {
        await expectGoldenFailure("state file of another shape", collecting);
      } finally {
        collecting.close();
      }
    });
  });

  test("that is a link is a first reading, counted, and is left alone", async () => {
    await withHost(ONE_EBS_VOLUME, async (host) => {
      const target = join(host.directory, "foreign.json");
      writeFileSync(target, "not ours");
      symlinkSync(target, state(host));
      const collecting = collectOn(host, { state: "keep" });
      try {
        await expectGoldenFailure("state file is a link", collecting);
        collecting.saveState();
        expect(readlinkSync(state(host))).toBe(target);
        expect(readFileSync(target, "utf8")).toBe("not ours");
      } finally {
        collecting.close();
      }
    });
  });
});

test("a case that lasts is counted by each scrape and logged once", async () => {
  const description = FAILURES["ebs wrong magic"];
  if (description === undefined) throw new Error("the case is gone");
  await withHost(description, async (host) => {
    const collecting = collectOn(host);
    try {
      for (let scrape = 0; scrape < 3; scrape++) await collecting.scrape();
      const exposition = await collecting.scrape();
      expect(exposition).toContain(
        'plumbline_nvme_device_errors_total{collector="ebs",device="nvme0",reason="bad_magic"} 4\n',
      );
      expect(collecting.logLines().filter((line) => line.includes("magic"))).toHaveLength(1);
    } finally {
      collecting.close();
    }
  });
});

test("a page that a device does not have is counted and told once, and never over", async () => {
  const description = FAILURES["instance store detail unsupported"];
  if (description === undefined) throw new Error("the case is gone");
  await withHost(description, async (host) => {
    const collecting = collectOn(host);
    try {
      for (let scrape = 0; scrape < 3; scrape++) await collecting.scrape();
      expect(await collecting.scrape()).toContain(
        'plumbline_nvme_device_errors_total{collector="instance_store",device="nvme0",reason="unsupported_page"} 1\n',
      );
      expect(collecting.logLines().filter((line) => line.includes("device=nvme0"))).toHaveLength(1);
    } finally {
      collecting.close();
    }
  });
});

test("a device that hangs gets no second command, and its scrapes are in time", async () => {
  const description = FAILURES["device hangs"];
  if (description === undefined) throw new Error("the case is gone");
  await withHost({ ...description, logCommands: true }, async (host) => {
    const collecting = collectOn(host);
    try {
      await collecting.scrape("text", TIMEOUT_MS);
      const exposition = await collecting.scrape("text", TIMEOUT_MS);
      expect(exposition).toContain(
        'plumbline_nvme_device_errors_total{collector="nvme",device="nvme0",reason="busy"} 1\n',
      );
      expect(exposition).toContain('nvme_info{device="nvme0",');
      expect(exposition).toContain('nvme_device_accessible{device="nvme0"} 0\n');
      expect(exposition).toContain('nvme_device_accessible{device="nvme1"} 1\n');
      expect(collecting.logLines().filter((line) => line.includes("reason=busy"))).toHaveLength(1);
      const smartLogs = readFileSync(host.commandLog, "utf8")
        .split("\n")
        .filter((line) => line.includes('"dev":"245:0"') && line.includes(`"cdw10":${0x007f0002}`));
      expect(smartLogs).toHaveLength(1);
    } finally {
      collecting.close();
    }
  });
});

test("no golden file stands for a case that is gone", () => {
  const folder = join(import.meta.dir, "../../fixtures/golden/failures");
  const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(".prom")) : [];
  const cases = [
    ...Object.keys(FAILURES),
    "state file corrupt",
    "state file of another shape",
    "state file is a link",
  ];
  expect(files.sort()).toEqual(cases.map((name) => `${name.replaceAll(/[^a-z0-9]+/g, "-")}.prom`).sort());
});
