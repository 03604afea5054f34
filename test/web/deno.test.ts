import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashSync } from "bcryptjs";
import { type Certificates, makeCertificates } from "./certificates.ts";
import { exchange, portOf } from "./support.ts";

const ROOT = join(import.meta.dir, "../..");
const GET = "GET /metrics HTTP/1.1\r\nHost: node-a\r\nConnection: close\r\n\r\n";

let made: Certificates;
beforeAll(() => {
  made = makeCertificates();
});
afterAll(() => rmSync(made.directory, { recursive: true }));

/** The app under Deno, until `use` is done with it. */
async function underDeno(
  args: readonly string[],
  use: (addresses: string[]) => Promise<void>,
): Promise<void> {
  const deno = Bun.which("deno") === null ? ["bunx", "deno@2.9.6"] : ["deno"];
  const rights = ["net", "read", "write", "env", "sys"].map((right) => `--allow-${right}`);
  const command = [...deno, "run", "--quiet", "--no-prompt", ...rights, "test/web/serve-app.ts", ...args];
  const running = Bun.spawn(command, { cwd: ROOT, stdin: "pipe", stderr: "inherit" });
  let printed = "";
  for await (const chunk of running.stdout) {
    printed += new TextDecoder().decode(chunk);
    if (printed.includes("\n")) break;
  }
  try {
    await use(JSON.parse(printed));
  } finally {
    running.stdin.end();
    expect(await running.exited).toBe(0);
  }
}

describe("under Deno", () => {
  test("the same answers come over TCP and a unix socket, a request line of 100 kB gets 431", async () => {
    const socket = join(mkdtempSync(join(tmpdir(), "plumbline-deno-")), "plumbline.sock");
    await underDeno([`127.0.0.1:0,:0,unix://${socket}`], async (addresses) => {
      for (const where of [portOf(addresses[0]), portOf(addresses[1]), socket])
        expect((await exchange(where, GET)).answer).toMatch(
          /^HTTP\/1\.1 200 OK\r\n[\s\S]*test_alpha_value\{/,
        );
      const port = portOf(addresses[0]);
      const long = await exchange(port, GET.replace("/metrics", `/${"a".repeat(100_000)}`));
      expect(long.answer).toStartWith("HTTP/1.1 431 ");
      expect((await exchange(port, GET.replace("GET", "POST"))).answer).toStartWith("HTTP/1.1 405 ");
    });
  }, 60_000);

  test("TLS, client certificates, basic auth and a renewed certificate work", async () => {
    const file = join(made.directory, "deno.yml");
    const write = (name: "server" | "renewed") =>
      writeFileSync(
        file,
        `tls_server_config:
  cert_file: ${name}.pem
  key_file: ${name}.key
  client_ca_file: ca.pem
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans: [prometheus.example]
basic_auth_users:
  alice: ${hashSync("correct horse", 4)}
`,
      );
    write("server");
    await underDeno(["127.0.0.1:0", file], async ([address]) => {
      const get = (who: "client" | "stranger", password: string) =>
        fetch(`${address}/metrics`, {
          tls: { ca: made.ca.cert, cert: made[who].cert, key: made[who].key },
          headers: { authorization: `Basic ${btoa(`alice:${password}`)}`, connection: "close" },
          keepalive: false,
        });
      expect((await get("client", "correct horse")).status).toBe(200);
      expect((await get("client", "wrong")).status).toBe(401);
      await expect(get("stranger", "correct horse")).rejects.toThrow();
      write("renewed");
      await Bun.sleep(1100);
      const { stdout } = Bun.spawnSync(
        [
          "openssl",
          "s_client",
          "-connect",
          new URL(address ?? "").host,
          "-cert",
          made.client.certFile,
          "-key",
          made.client.keyFile,
        ],
        { stdin: null },
      );
      expect(stdout.toString()).toMatch(/subject=.*CN ?= ?renewed/);
    });
  }, 60_000);
});
