import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { loadWebConfig, WebConfigError } from "../../src/web/web-config.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";

const FIXTURES = join(import.meta.dir, "../../fixtures/web");
const named = (ending: string) =>
  readdirSync(FIXTURES).flatMap((file) => (file.endsWith(ending) ? [file.slice(0, -ending.length)] : []));

let made: Certificates;
beforeAll(() => {
  made = makeCertificates();
  chmodSync(made.server.keyFile, 0o600);
});
afterAll(() => rmSync(made.directory, { recursive: true }));

function beside(fixture: string): string {
  const file = join(made.directory, fixture);
  copyFileSync(join(FIXTURES, fixture), file);
  return file;
}

function written(text: string): string {
  const file = join(made.directory, "web.yml");
  writeFileSync(file, text);
  return file;
}

/** As the user reads it. */
function complaint(file: string): string {
  try {
    loadWebConfig(file);
  } catch (error) {
    if (error instanceof WebConfigError) return error.message;
    throw error;
  }
  return "";
}

describe("a good web configuration", () => {
  test.each(named(".good.yml"))("%s loads", (name) => {
    expect(complaint(beside(`${name}.good.yml`))).toBe("");
  });

  test("without TLS, users and headers changes nothing", () => {
    expect(loadWebConfig(beside("empty.good.yml"))).toMatchObject({
      tls: undefined,
      headers: new Map(),
      users: new Map(),
      rateLimit: undefined,
      warnings: [],
    });
  });

  test("has TLS 1.2 and 1.3, no client certificates and the server's order of ciphers by default", () => {
    expect(loadWebConfig(beside("tls.good.yml")).tls).toMatchObject({
      clientAuth: "NoClientCert",
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.3",
      preferServerCiphers: true,
      ciphers: undefined,
      curves: undefined,
    });
  });

  test("names ciphers and curves as Go does", () => {
    expect(loadWebConfig(beside("ciphers-and-curves.good.yml")).tls).toMatchObject({
      ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305",
      curves: "X25519:P-256:P-384:P-521",
    });
  });

  test("leaves a blank header out", () => {
    expect(loadWebConfig(beside("blank-headers.good.yml")).headers.size).toBe(0);
    expect(loadWebConfig(beside("headers.good.yml")).headers.size).toBe(5);
  });

  test("warns of a private key that everybody may read, and of an expired certificate", () => {
    chmodSync(made.expired.keyFile, 0o644);
    const file = written("tls_server_config: {cert_file: expired.pem, key_file: expired.key}\n");
    const { warnings } = loadWebConfig(file);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toMatch(/^the server certificate expired on .* GMT$/);
    expect(warnings[1]).toBe(`everybody may read the private key ${made.expired.keyFile}; chmod o-r it`);
  });
});

describe("a bad web configuration", () => {
  test.each(named(".bad.yml"))("%s is refused with the message that stands beside it", (name) => {
    const file = beside(`${name}.bad.yml`);
    const expected = readFileSync(join(FIXTURES, `${name}.bad.error`), "utf8").trimEnd();
    expect(complaint(file).replaceAll(file, "FILE").replaceAll(dirname(file), "DIRECTORY")).toBe(expected);
  });

  test.each(named(".bad.yml"))("%s gives no secret away in its message", (name) => {
    expect(complaint(beside(`${name}.bad.yml`))).not.toContain("secret");
  });

  test("that is missing, or a directory, says so", () => {
    const gone = join(made.directory, "gone.yml");
    expect(complaint(gone)).toBe(`cannot read the web configuration file ${gone}: no such file`);
    expect(complaint(made.directory)).toBe(
      `cannot read the web configuration file ${made.directory}: is a directory`,
    );
  });

  test("that is a pipe, or names one, is not waited for", () => {
    const pipe = join(made.directory, "pipe");
    execFileSync("mkfifo", [pipe]);
    expect(complaint(pipe)).toBe(`cannot read the web configuration file ${pipe}: is no regular file`);
    const file = written(`tls_server_config: {cert_file: pipe, key_file: pipe}`);
    expect(complaint(file)).toBe(`${file}:1:32: cannot read ${pipe}: is no regular file`);
  });

  test("of 10 MB is not read", () => {
    expect(complaint(written("#".repeat(10_000_000)))).toEndWith(
      "has 10000000 bytes; a web configuration file has at most 1 MiB",
    );
  });

  test("of any text gives a result or one clear error", () => {
    const words = fc.constantFrom(
      ..."tls_server_config: |http_server_config:|basic_auth_users:| &a| *a|: |- |{|}|[|]|\n|  |\t|'|\"|!!binary|<<|~|0x|alice".split(
        "|",
      ),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
          fc.array(words).map((all) => all.join("")),
        ),
        (text) => {
          const message = complaint(written(text));
          expect(message.split("\n")).toHaveLength(1);
        },
      ),
      { numRuns: 300 },
    );
  });
});
