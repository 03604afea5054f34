import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createLog } from "../../src/log/create.ts";
import type { LogFields, LogLevel } from "../../src/log/log.ts";

function lines(format: "logfmt" | "json", level: LogLevel = "debug") {
  const written: string[] = [];
  return { log: createLog({ level, format }, (line) => void written.push(line)), written };
}

/** The line of one event, without its time. */
function logfmt(message: string, fields?: LogFields): string {
  const { log, written } = lines("logfmt");
  log.info(message, fields);
  return written.join("").replace(/^ts=\S+ level=info /, "");
}

describe("a line of logfmt", () => {
  test("begins with time, level and message", () => {
    const { log, written } = lines("logfmt");
    const before = Date.now();
    log.warn("slow disk", { collector: "nvme" });
    const [, time = ""] =
      /^ts=(\S+) level=warn msg="slow disk" collector=nvme\n$/.exec(written.join("")) ?? [];
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Date.parse(time)).toBeWithin(before, Date.now() + 1);
  });

  test.each([
    ["plain", "plain"],
    ["", ""],
    ["null", '"null"'],
    ["a b", '"a b"'],
    ["a=b", '"a=b"'],
    ['say "no"', '"say \\"no\\""'],
    ["C:\\dir", "C:\\dir"],
    ["C:\\my dir", '"C:\\\\my dir"'],
    ["two\nlines\r\n", '"two\\nlines\\r\\n"'],
    ["tab\t", '"tab\\t"'],
    ["\u001b[31mred", '"\\u001b[31mred"'],
    ["\u0000\u007f\u0085", '"\\u0000\\u007f\\u0085"'],
    ["\u2028", '"\\u2028"'],
    ["größe→", "größe→"],
    ["lone \ud800", '"lone \ufffd"'],
  ])("writes %j as go-logfmt would: %s", (value, written) => {
    expect(logfmt("m", { err: value })).toBe(`msg=m err=${written}\n`);
  });

  test("leaves out what is undefined and takes numbers, bigints and booleans", () => {
    const fields = { a: undefined, b: 1.5, c: 2n ** 64n, d: false, e: Number.NaN };
    expect(logfmt("m", fields)).toBe("msg=m b=1.5 c=18446744073709551616 d=false e=NaN\n");
  });

  test("takes a message with braces as it is", () => {
    expect(logfmt("{err} {{", { err: "x" })).toBe('msg="{err} {{" err=x\n');
  });

  test("is one line whatever the texts are", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (message, err) => {
        const line = logfmt(message, { err });
        expect(line.indexOf("\n")).toBe(line.length - 1);
        expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
      }),
    );
  });
});

describe("a line of JSON", () => {
  test("holds what the event holds", () => {
    const { log, written } = lines("json");
    log.error("no", {
      collector: "ebs",
      count: 3,
      ok: true,
      big: 2n ** 64n,
      none: undefined,
      nan: Number.NaN,
    });
    const line = JSON.parse(written.join(""));
    expect(line).toEqual({
      ts: expect.stringMatching(/Z$/),
      level: "error",
      msg: "no",
      collector: "ebs",
      count: 3,
      ok: true,
      big: "18446744073709551616",
      nan: "NaN",
    });
    expect(Object.keys(line).slice(0, 3)).toEqual(["ts", "level", "msg"]);
  });

  test("is one line of JSON whatever the texts are", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const { log, written } = lines("json");
        log.info(text, { err: text });
        const line = written.join("");
        expect(line.indexOf("\n")).toBe(line.length - 1);
        expect(JSON.parse(line)).toMatchObject({ msg: text.toWellFormed(), err: text.toWellFormed() });
      }),
    );
  });
});

describe("the level", () => {
  const LEVELS = ["debug", "info", "warn", "error"] as const;

  test.each(LEVELS.map((level, index) => [level, LEVELS.slice(index)] as const))(
    "%s lets only %j through",
    (level, through) => {
      const { log, written } = lines("logfmt", level);
      for (const each of LEVELS) log[each]("m");
      expect(written.map((line) => /level=(\w+)/.exec(line)?.[1] ?? "")).toEqual([...through]);
    },
  );

  test("can be changed while the program runs, as a reload does", () => {
    const { log, written } = lines("logfmt", "error");
    log.info("a");
    log.setLevel("info");
    log.info("b");
    expect(written).toHaveLength(1);
  });
});

test("two logs do not mix", () => {
  const a = lines("logfmt");
  const b = lines("json");
  a.log.info("to a");
  b.log.info("to b");
  expect(a.written.join()).toContain("to a");
  expect(a.written).toHaveLength(1);
  expect(b.written).toHaveLength(1);
});
