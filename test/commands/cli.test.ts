import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { catalogue } from "../../src/config/catalogue.ts";
import { COLLECTORS } from "../../src/scrape/sources.ts";

const NAMES = COLLECTORS.map(({ name }) => name).join(", ");

const MAIN = join(import.meta.dir, "../../src/main.ts");
const scratch = mkdtempSync(join(tmpdir(), "plumbline-cli-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Runs plumbline without the variables of whoever runs the tests. */
function plumbline(...words: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...words], {
    env: { PATH: process.env["PATH"] },
    timeout: 20_000,
  });
  return { code: status, out: stdout.toString(), err: stderr.toString() };
}

describe("plumbline --version", () => {
  test("prints version, commit and runtime", () => {
    const { code, out } = plumbline("--version");
    expect(out).toMatch(/^plumbline \d+\.\d+\.\d+ \(revision \w+, bun \d+\.\d+\.\d+, linux \w+\)\n$/);
    expect(code).toBe(0);
  });

  test("is answered behind a command too", () => {
    expect(plumbline("serve", "--version").out).toStartWith("plumbline ");
  });
});

describe("plumbline --help", () => {
  const { code, out, err } = plumbline("--help");

  test("exits 0 and prints to standard output", () => {
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });

  test("names the commands first, then the flags of serve by section", () => {
    const headings = [...out.matchAll(/^(\S[^\n]*):$/gm)].map(([, heading]) => heading);
    expect(headings).toEqual([
      "Commands",
      "Options",
      "General",
      "HTTP service",
      "Scrapes",
      "Collectors",
      "Paths",
      "Amazon EBS",
      "CSI volumes",
      "Mayastor",
      "Proxmox VE",
      "Log",
    ]);
  });

  test("shows each command", () => {
    for (const command of ["serve", "textfile", "check", "inspect", "demo", "operator", "metrics"])
      expect(out).toMatch(new RegExp(`^  ${command}  +\\S`, "m"));
  });

  test("shows defaults, and both directions of a switch", () => {
    expect(out).toContain("--[no-]collector.nvme");
    expect(out.replace(/\s+/g, " ")).toContain("(default: :9847)");
  });

  test("fits 80 columns", () => {
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

describe("COMMAND --help", () => {
  test.each([
    ["serve", "--web.listen-address", "--textfile.directory"],
    ["textfile", "--[no-]textfile.strict", "--web.listen-address"],
    ["check", "--output <format>", "--once"],
    ["demo", "--once", "--textfile.directory"],
    ["operator", "--kubeconfig <file>", "--cluster-id"],
    ["metrics", "--output <format>", "--config.file"],
    ["inspect nvme", "--raw", "--web.listen-address"],
  ])("%s has %s and not %s", (command, has, hasNot) => {
    const { code, out } = plumbline(...command.split(" "), "--help");
    expect(code).toBe(0);
    expect(out).toStartWith(`Usage: plumbline ${command} `);
    expect(out).toContain(has);
    expect(out).not.toContain(hasNot);
  });

  test("check knows every flag there is, but for those of the operator", () => {
    const { out } = plumbline("check", "--help");
    const operators = plumbline("operator", "--help").out;
    for (const { section, flag, kind } of catalogue(COLLECTORS.map(({ name }) => name)).settings)
      expect(section === "Operator" ? operators : out).toContain(
        kind === "switch" ? `--[no-]${flag} ` : `--${flag} <`,
      );
  });
});

describe("wrong usage exits 2 and says on standard error what would be right", () => {
  test.each([
    [
      ["--web.listen-adress=:1"],
      "unknown flag --web.listen-adress; did you mean --web.listen-address?\nSee plumbline serve --help.",
    ],
    [["serve", "-x"], "unknown flag -x\nSee plumbline serve --help."],
    [
      ["textfile", "--web.max-requests=3"],
      "--web.max-requests is no flag of this command\nSee plumbline textfile --help.",
    ],
    [
      ["--no-web.telemetry-path"],
      "--no-web.telemetry-path is no flag of this command\nSee plumbline serve --help.",
    ],
    [
      ["--web.enable-lifecycle=yes"],
      "--web.enable-lifecycle takes no value but true and false\nSee plumbline serve --help.",
    ],
    [
      ["--collector.nvm"],
      `there is no collector nvm for --collector.nvm; did you mean --collector.nvme? (the collectors are ${NAMES})`,
    ],
    [
      ["check", "--no-collector.filesystem"],
      `there is no collector filesystem for --no-collector.filesystem; the collectors are ${NAMES}`,
    ],
    [["serv"], "unknown command serv; did you mean serve?\nSee plumbline --help."],
    [
      ["frobnicate"],
      "unknown command frobnicate; the commands are serve, textfile, check, inspect nvme, demo, operator, metrics\nSee plumbline --help.",
    ],
    [["inspect", "nvme"], "missing required argument 'device'\nSee plumbline inspect nvme --help."],
    [
      ["--log.level=info", "serve"],
      'unexpected word "serve"; the command comes first, then its flags\nSee plumbline serve --help.',
    ],
    [
      ["serve", "--web.max-requests"],
      "option '--web.max-requests <number>' argument missing\nSee plumbline serve --help.",
    ],
    [["serve", "--web.max-requests=-1"], "--web.max-requests must be a whole number, 0 or more; it is -1"],
    [["check", "--log.level=loud"], '--log.level must be debug, info, warn or error; it is "loud"'],
    [
      ["metrics", "--output=xml"],
      "option '--output <format>' argument 'xml' is invalid. Allowed choices are markdown, json.\nSee plumbline metrics --help.",
    ],
  ])("%j", (words, message) => {
    expect(plumbline(...words)).toEqual({ code: 2, out: "", err: `plumbline: ${message}\n` });
  });

  test("the value of an unknown flag is not shown: it could be a secret", () => {
    expect(plumbline("--pve.password=hunter2").err).not.toContain("hunter2");
  });

  test("plumbline inspect shows its help", () => {
    const { code, err } = plumbline("inspect");
    expect(code).toBe(2);
    expect(err).toContain("nvme");
  });
});

describe("a wrong configuration exits 1", () => {
  test("with each of its problems on a line of its own", () => {
    const path = join(scratch, "wrong.yaml");
    writeFileSync(path, "log:\n  levl: info\n  format: xml\n");
    expect(plumbline("serve", `--config.file=${path}`)).toEqual({
      code: 1,
      out: "",
      err: [
        `plumbline: ${path}:2:3: unknown key \`levl\` in log; did you mean \`level\`?`,
        `plumbline: ${path}:3:3: log.format must be logfmt or json; it is "xml"`,
        "",
      ].join("\n"),
    });
  });

  test("for each command that reads it", () => {
    for (const command of [["textfile"], ["check"], ["inspect", "nvme", "/dev/nvme0"]]) {
      const { code, err } = plumbline(...command, "--config.file=/nowhere.yaml");
      expect(err).toBe(
        "plumbline: cannot read configuration file /nowhere.yaml: no such file; check --config.file\n",
      );
      expect(code).toBe(1);
    }
  });
});

describe("flags", () => {
  /** The settings as `check` sees them. */
  const settings = (...words: string[]): Record<string, string> => {
    const { out } = plumbline(
      "check",
      "--output=json",
      `--path.sysfs=${scratch}`,
      `--path.devfs=${scratch}`,
      ...words,
    );
    const { settings } = JSON.parse(out);
    return Object.fromEntries(
      settings.map(({ name, value, from }: Record<string, string>) => [name, `${value} by ${from}`]),
    );
  };

  test("take their value behind = or as the next word; the last of several counts, and a repeatable one adds", () => {
    expect(
      settings(
        "--web.listen-address=127.0.0.1:0",
        "--web.listen-address",
        "[::1]:0",
        "--log.level=warn",
        "--log.level",
        "error",
        "--no-collector.nvme",
        "--collector.ebs=false",
        "--web.enable-lifecycle=true",
        "--collector.instance_store",
      ),
    ).toMatchObject({
      "web.listen_addresses": "127.0.0.1:0, [::1]:0 by flag",
      "log.level": "error by flag",
      "collectors.nvme": "false by flag",
      "collectors.ebs": "false by flag",
      "collectors.instance_store": "true by flag",
      "collectors.disable_defaults": "false by default",
      "web.enable_lifecycle": "true by flag",
    });
  });

  test("the command may be missing: serve runs", () => {
    const { code, err } = plumbline("--web.listen-address=192.0.2.1:1", `--path.sysfs=${scratch}`);
    expect(err).toContain("192.0.2.1:1");
    expect(code).toBe(1);
  });
});

test("what is printed arrives whole in a pipe that is read slowly", () => {
  const command = `"$BUN" "$MAIN" metrics --output=json | (sleep 0.3; wc -c)`;
  const whole = plumbline("metrics", "--output=json").out;
  const { stdout } = spawnSync("sh", ["-c", command], {
    env: { ...process.env, BUN: process.execPath, MAIN },
  });
  expect(Number(stdout.toString())).toBe(Buffer.byteLength(whole));
  expect(() => JSON.parse(whole)).not.toThrow();
});

test("each file of src/commands that is a command is on the command line", () => {
  const helpers = [
    "build-info.ts",
    "check-service.ts",
    "check-table.ts",
    "cli.ts",
    "command-line.ts",
    "print.ts",
  ];
  const files = readdirSync(join(import.meta.dir, "../../src/commands")).filter(
    (name) => !helpers.includes(name),
  );
  const { out } = plumbline("--help");
  for (const file of files) expect(out).toContain(`\n  ${file.slice(0, -".ts".length)} `);
});
