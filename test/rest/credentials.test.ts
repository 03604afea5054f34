/** Files of tokens and certificates, as they should be and as they are found. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { readToken, TlsCredentials } from "../../src/rest/credentials.ts";
import { RestFailure } from "../../src/rest/failure.ts";
import { type Certificates, makeCertificates } from "../web/certificates.ts";

let directory: string;
let made: Certificates;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-credentials-"));
  made = makeCertificates();
});
afterAll(() => {
  for (const path of [directory, made.directory]) rmSync(path, { recursive: true });
});

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

function failureOf(read: () => unknown): RestFailure {
  try {
    read();
  } catch (error) {
    if (error instanceof RestFailure) return error;
    throw error;
  }
  throw new Error("nothing failed");
}

describe("a token", () => {
  test.each([
    ["a line's end", "abc.DEF-123_~+/==\n"],
    ["blanks around it", " \tabc.DEF-123_~+/==\r\n\n"],
    ["nothing around it", "abc.DEF-123_~+/=="],
  ])("is read with %s", (_, content) => {
    expect(readToken(file("token", content))).toBe("abc.DEF-123_~+/==");
  });

  test("of 64 KiB is read", () => {
    expect(readToken(file("token", "t".repeat(65_536)))).toHaveLength(65_536);
  });

  test.each([
    ["empty", "", "it is empty"],
    ["blank", " \n", "it is empty"],
    ["of two lines", "planted\nplanted", "no token may hold"],
    ["with a blank in it", "planted planted", "no token may hold"],
    ["with a NUL", "planted\0", "no token may hold"],
    ["with a quote", '"planted"', "no token may hold"],
    ["in another alphabet", "plantedö", "no token may hold"],
    ["no text", Uint8Array.of(0x70, 0xff, 0xfe), "no token may hold"],
    ["too large", "t".repeat(65_537), "larger than 65536 bytes"],
  ])("that is %s is refused, and not quoted", (_, content, why) => {
    const path = file("token", content);
    const failure = failureOf(() => readToken(path));
    expect(failure.reason).toBe("credentials");
    expect(failure.message).toStartWith(`cannot use the token file ${path}: `);
    expect(failure.message).toContain(why);
    expect(inspect(failure, { depth: 9, showHidden: true })).not.toContain("planted");
  });

  test("that is a directory, a FIFO or missing is refused at once", () => {
    const fifo = join(directory, "fifo");
    execFileSync("mkfifo", [fifo]);
    expect(failureOf(() => readToken(fifo)).message).toEndWith("it is no regular file");
    expect(failureOf(() => readToken(directory)).message).toEndWith("it is no regular file");
    expect(failureOf(() => readToken(join(directory, "none"))).message).toEndWith("no such file");
  });
});

describe("certificates", () => {
  const none = { ca: undefined, cert: undefined, key: undefined };

  test("are read as they stand in their files, several in one too", () => {
    const both = file("both.pem", `# two\n${made.ca.cert}\n${made.stranger.cert}`);
    const { certFile, keyFile, cert, key } = made.client;
    expect(new TlsCredentials({ ca: both, cert: certFile, key: keyFile }).read()).toEqual({
      ca: `# two\n${made.ca.cert}\n${made.stranger.cert}`,
      cert,
      key,
    });
  });

  test("may be named nowhere", () => {
    expect(new TlsCredentials(none).read()).toEqual({ ca: undefined, cert: undefined, key: undefined });
  });

  test("are the same object for as long as the files hold the same", () => {
    const caFile = file("changing.pem", made.ca.cert);
    const credentials = new TlsCredentials({ ...none, ca: caFile });
    const first = credentials.read();
    writeFileSync(caFile, made.ca.cert);
    expect(credentials.read()).toBe(first);
    writeFileSync(caFile, made.stranger.cert);
    expect(credentials.read()).toMatchObject({ ca: made.stranger.cert });
  });

  const DAMAGED = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  test.each([
    ["an empty CA file", () => ({ ...none, ca: file("ca", "") }), "it holds no certificate in PEM"],
    ["a CA file that is a key", () => ({ ...none, ca: made.ca.keyFile }), "it holds no certificate in PEM"],
    ["a damaged CA", () => ({ ...none, ca: file("ca", made.ca.cert + DAMAGED) }), "cannot be decoded"],
    ["a missing CA file", () => ({ ...none, ca: join(directory, "no-ca") }), "no such file"],
    ["a huge CA file", () => ({ ...none, ca: file("ca", "x".repeat(2 ** 20 + 1)) }), "larger than"],
    ["a missing certificate", () => ({ ...none, cert: "/none", key: made.client.keyFile }), "no such file"],
    ["a missing key", () => ({ ...none, cert: made.client.certFile, key: "/none" }), "no such file"],
    [
      "a key that is none",
      () => ({ ...none, cert: made.client.certFile, key: made.ca.certFile }),
      "no private key",
    ],
    [
      "a key of another certificate",
      () => ({ ...none, cert: made.client.certFile, key: made.server.keyFile }),
      "it is not the one of the certificate",
    ],
  ])("%s is refused", (_, files, why) => {
    const failure = failureOf(() => new TlsCredentials(files()).read());
    expect(failure.reason).toBe("credentials");
    expect(failure.message).toContain(why);
    expect(failure.message).not.toContain("-----");
  });
});
