import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { ConfigError } from "../../src/config/error.ts";
import type { Environment } from "../../src/config/load.ts";
import { type Secret, secretFrom } from "../../src/config/secret.ts";

const scratch = mkdtempSync(join(tmpdir(), "plumbline-secret-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function file(name: string, content: string, mode = 0o600): string {
  const path = join(scratch, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

/** How a value names a variable. */
const ref = (variable: string) => `$\{${variable}}`;

interface Given {
  readonly value?: string;
  readonly file?: string;
  readonly environment?: Environment;
}

function secretOf({ value, file, environment = {} }: Given): {
  secret: Secret | undefined;
  warnings: string[];
} {
  const warnings: string[] = [];
  const source = { name: "pve.targets[0].token", value, file };
  const warn = (message: string) => void warnings.push(message);
  return { secret: secretFrom(source, { environment, directory: scratch, warn }), warnings };
}

const revealed = (given: Given) => secretOf(given).secret?.reveal();

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("accepted");
}

describe("a secret given as value", () => {
  test("is that value", () => expect(revealed({ value: "hunter2" })).toBe("hunter2"));

  test("may name variables", () => {
    const environment = { USER_PART: "root", TOKEN: "s3cret" };
    expect(revealed({ value: `${ref("USER_PART")}:${ref("TOKEN")}`, environment })).toBe("root:s3cret");
  });

  test("keeps $${ and a lone $ as they are", () => {
    expect(revealed({ value: `a$b$${ref("TOKEN")}$` })).toBe(`a$b${ref("TOKEN")}$`);
  });

  test("a variable that is not set is an error that names it", () => {
    expect(messageOf(() => secretOf({ value: ref("TOKEN") }))).toBe(
      "pve.targets[0].token refers to the variable TOKEN, which is not set",
    );
  });
});

describe("a secret in a file", () => {
  test("is the file's content without the newline at its end", () => {
    expect(revealed({ file: file("token", " s3cret\n") })).toBe(" s3cret");
  });

  test("is read again when the file is written", () => {
    const path = file("rotated", "old");
    const { secret } = secretOf({ file: path });
    expect(secret?.reveal()).toBe("old");
    file("rotated", "new");
    expect(secret?.reveal()).toBe("new");
  });

  test("is read again when another file takes its place", () => {
    const path = file("replaced", "old");
    const { secret } = secretOf({ file: path });
    renameSync(file("replacement", "new"), path);
    expect(secret?.reveal()).toBe("new");
  });

  test("that has gone is an error at the next use", () => {
    const path = file("gone", "x");
    const { secret } = secretOf({ file: path });
    rmSync(path);
    expect(messageOf(() => secret?.reveal())).toBe(
      `pve.targets[0].token_file: cannot read the secret in ${path}: no such file; create it or correct the path`,
    );
  });

  test("that is missing is an error at the start", () => {
    expect(messageOf(() => secretOf({ file: "/nowhere/token" }))).toBe(
      "pve.targets[0].token_file: cannot read the secret in /nowhere/token: no such file; create it or correct the path",
    );
  });

  test("that is empty, too large, a directory or a pipe is an error", () => {
    const pipe = join(scratch, "pipe");
    spawnSync("mkfifo", [pipe]);
    expect(messageOf(() => secretOf({ file: file("empty", "\n") }))).toEndWith(": it is empty");
    expect(messageOf(() => secretOf({ file: file("large", "x".repeat(100_000)) }))).toContain(
      "larger than 65536",
    );
    expect(messageOf(() => secretOf({ file: scratch }))).toEndWith(": it is no regular file");
    expect(messageOf(() => secretOf({ file: pipe }))).toEndWith(": it is no regular file");
  });

  test("that others may read is a warning", () => {
    const path = file("open", "x", 0o640);
    expect(secretOf({ file: path }).warnings).toEqual([
      `pve.targets[0].token_file: ${path} may be read by others than its owner (mode 0640); run chmod 600 ${path}`,
    ]);
    expect(secretOf({ file: file("closed", "x", 0o400) }).warnings).toEqual([]);
  });

  test("with a relative path lies beside the configuration file", () => {
    file("beside", "x");
    expect(revealed({ file: "beside" })).toBe("x");
  });

  test("with a relative path is systemd's credential of that name, where there is one", () => {
    const credentials = join(scratch, "credentials");
    mkdirSync(credentials);
    file("credentials/pve-token", "from systemd", 0o400);
    const environment = { CREDENTIALS_DIRECTORY: credentials };
    expect(revealed({ file: "pve-token", environment })).toBe("from systemd");
    expect(revealed({ file: `${ref("CREDENTIALS_DIRECTORY")}/pve-token`, environment })).toBe("from systemd");
    file("not-a-credential", "from the file");
    expect(revealed({ file: "not-a-credential", environment })).toBe("from the file");
  });
});

test("a secret given twice is an error", () => {
  expect(messageOf(() => secretOf({ value: "a", file: "b" }))).toBe(
    "pve.targets[0].token and pve.targets[0].token_file are both set; keep one of them",
  );
});

test("a secret that is not given is none", () => expect(secretOf({}).secret).toBeUndefined());

test("a secret shows itself nowhere", () => {
  const { secret } = secretOf({ value: "hunter2" });
  const shown = [`${secret}`, JSON.stringify({ secret }), inspect({ secret }), Bun.inspect({ secret })];
  expect(shown.join()).not.toContain("hunter2");
  expect(shown.slice(0, 2)).toEqual(["<set>", '{"secret":"<set>"}']);
});
