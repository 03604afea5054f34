import { beforeEach, describe, expect, test } from "bun:test";
import { FaultLog } from "../../src/log/faults.ts";
import type { Log, LogFields } from "../../src/log/log.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

let now: number;
let lines: string[];
let faults: FaultLog;

beforeEach(() => {
  now = 0;
  lines = [];
  const write =
    (level: string) =>
    (message: string, fields: LogFields = {}) => {
      const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${value}`);
      lines.push(`${level} ${message}${rest.join("")}`);
    };
  const log: Log = {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
  faults = new FaultLog(log, () => now);
});

/** Scrapes every 15 seconds for so many minutes. */
function scrapes(minutes: number, each: (index: number) => void): void {
  for (let index = 0; index < minutes * 4; index++) {
    each(index);
    now += 15 * SECOND;
  }
}

describe("a fault that lasts", () => {
  test("is logged when it starts, every ten minutes with its count, and when it ends", () => {
    scrapes(25, () => faults.fail("nvme0", "no answer", { collector: "nvme" }));
    faults.recover("nvme0", "answers again", { collector: "nvme" });
    expect(lines).toEqual([
      "error no answer collector=nvme",
      "error no answer collector=nvme count=41",
      "error no answer collector=nvme count=81",
      "info answers again collector=nvme count=100 lasted_seconds=1500",
    ]);
  });

  test("with a message that changes is still the same fault", () => {
    scrapes(5, (index) => faults.fail("nvme0", `no answer after ${index} ms`));
    expect(lines).toEqual(["error no answer after 0 ms"]);
  });

  test("with a new reason is logged at once", () => {
    faults.fail("nvme0", "no answer", { reason: "timeout" });
    faults.fail("nvme0", "no answer", { reason: "timeout" });
    faults.fail("nvme0", "refused", { reason: "permission" });
    faults.fail("nvme0", "refused", { reason: "permission" });
    expect(lines).toEqual(["error no answer reason=timeout", "error refused reason=permission count=3"]);
  });

  test("whose reason changes with every scrape writes a bounded number of lines", () => {
    scrapes(60, (index) => faults.fail("nvme0", "no", { reason: index % 2 === 0 ? "timeout" : "busy" }));
    expect(lines.length).toBeLessThanOrEqual(6 * 6);
    expect(lines.at(-1)).toMatch(/count=2\d\d$/);
  });
});

describe("a recovery", () => {
  test("is logged once", () => {
    faults.fail("a", "broken");
    for (let index = 0; index < 5; index++) faults.recover("a", "well");
    expect(lines).toEqual(["error broken", "info well count=1 lasted_seconds=0"]);
  });

  test("of what never failed is not logged", () => {
    faults.recover("a", "well");
    expect(lines).toEqual([]);
    expect(faults.size).toBe(0);
  });

  test("ends the count: the next fault starts anew", () => {
    faults.fail("a", "broken");
    faults.fail("a", "broken");
    faults.recover("a", "well");
    now += 20 * MINUTE;
    faults.fail("a", "broken");
    expect(lines).toEqual(["error broken", "info well count=2 lasted_seconds=0", "error broken"]);
  });
});

describe("a fault that comes and goes with every scrape", () => {
  test("writes a bounded number of lines", () => {
    scrapes(60, (index) => (index % 2 === 0 ? faults.fail("a", "broken") : faults.recover("a", "well")));
    expect(lines.length).toBeLessThanOrEqual(6 * 6);
  });

  test("is told as ended once it stays away", () => {
    scrapes(5, (index) => (index % 2 === 0 ? faults.fail("a", "broken") : faults.recover("a", "well")));
    scrapes(20, () => faults.fail("a", "broken"));
    scrapes(20, () => faults.recover("a", "well"));
    expect(lines.at(-1)).toStartWith("info well");
    expect(lines.filter((line) => line.startsWith("error")).length).toBeGreaterThan(1);
  });
});

describe("keys", () => {
  test("are faults of their own", () => {
    faults.fail("a", "broken");
    faults.fail("b", "broken");
    faults.recover("a", "well");
    expect(lines).toEqual(["error broken", "error broken", "info well count=1 lasted_seconds=0"]);
  });

  test("that nobody speaks of any more are forgotten after an hour", () => {
    for (let index = 0; index < 100; index++) faults.fail(`gone${index}`, "broken");
    now += 61 * MINUTE;
    faults.fail("there", "broken");
    expect(faults.size).toBe(1);
  });

  test("are not forgotten while they fail", () => {
    scrapes(120, () => faults.fail("a", "broken"));
    expect(lines.at(-1)).toBe("error broken count=441");
  });

  test("are never more than ten thousand", () => {
    for (let index = 0; index < 10_500; index++) faults.fail(`key${index}`, "broken");
    expect(faults.size).toBe(10_000);
    lines = [];
    faults.recover("key10499", "well");
    expect(lines).toHaveLength(1);
  });
});
