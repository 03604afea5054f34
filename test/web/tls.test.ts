import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect } from "node:tls";
import { listen } from "../../src/web/server.ts";
import { type Certificates, type Identity, makeCertificates } from "./certificates.ts";
import { exchange, portOf, testApp } from "./support.ts";

let made: Certificates;
beforeAll(() => {
  made = makeCertificates();
});
afterAll(() => rmSync(made.directory, { recursive: true }));

const running: { stop(graceMs: number): Promise<void> }[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop(0);
});

/** The lines under `tls_server_config`, beside the server's certificate and key. */
async function start(lines: readonly string[] = [], rest = "") {
  const file = join(mkdtempSync(join(tmpdir(), "plumbline-web-")), "web.yml");
  const write = (cert: string, key: string, more: readonly string[] = lines) =>
    writeFileSync(
      file,
      [
        "tls_server_config:",
        `  cert_file: ${cert}`,
        `  key_file: ${key}`,
        ...more.map((line) => `  ${line}`),
        rest,
      ].join("\n"),
    );
  write(made.server.certFile, made.server.keyFile);
  const app = testApp();
  const server = await listen(app, { ...app.settings.web, configFile: file }, app.log);
  running.push(server);
  return { port: portOf(server.addresses[0]), app, file, write, addresses: server.addresses };
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly serverName: string;
  readonly protocol: string | null;
}

/** Rejects where TLS or the server ends the connection. */
function get(
  port: number,
  options: ConnectionOptions & { path?: string; headers?: Record<string, string> } = {},
) {
  return new Promise<Answer>((resolve, reject) => {
    const asked = request(
      { host: "127.0.0.1", port, path: "/metrics", ca: made.ca.cert, agent: false, ...options },
      (answer) => {
        let body = "";
        const socket = answer.socket;
        const name =
          "getPeerCertificate" in socket && typeof socket.getPeerCertificate === "function"
            ? socket.getPeerCertificate()
            : {};
        const protocol =
          "getProtocol" in socket && typeof socket.getProtocol === "function" ? socket.getProtocol() : null;
        answer.on("data", (chunk) => {
          body += chunk;
        });
        answer.on("end", () =>
          resolve({ status: answer.statusCode ?? 0, body, serverName: name?.subject?.CN, protocol }),
        );
        answer.on("error", reject);
      },
    );
    asked.on("error", reject);
    asked.setTimeout(5000, () => asked.destroy(new Error("no answer in 5 s")));
    asked.end();
  });
}

const as = ({ cert, key }: Identity) => ({ cert, key });

describe("TLS", () => {
  test("serves the metrics to who trusts the CA", async () => {
    const { port, addresses } = await start();
    expect(addresses).toEqual([`https://127.0.0.1:${port}`]);
    const { status, body, serverName, protocol } = await get(port);
    expect([status, serverName, protocol]).toEqual([200, "server", "TLSv1.3"]);
    expect(body).toContain("test_alpha_value");
  });

  test("takes certificate and key inline", async () => {
    const indented = (pem: string) => pem.replace(/^/gm, "    ");
    const file = join(made.directory, "inline.yml");
    writeFileSync(
      file,
      `tls_server_config:\n  cert: |\n${indented(made.server.cert)}\n  key: |\n${indented(made.server.key)}\n`,
    );
    const app = testApp();
    const server = await listen(app, { ...app.settings.web, configFile: file }, app.log);
    running.push(server);
    expect((await get(portOf(server.addresses[0]))).status).toBe(200);
  });

  test("is not mistaken for HTTP, nor breaks at it", async () => {
    const { port } = await start();
    expect((await exchange(port, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")).answer).not.toContain(
      "test_alpha",
    );
    expect((await get(port)).status).toBe(200);
  });

  test("min_version refuses what is older, max_version what is newer", async () => {
    const newest = await start(["min_version: TLS13"]);
    await expect(get(newest.port, { maxVersion: "TLSv1.2" })).rejects.toThrow();
    expect((await get(newest.port)).protocol).toBe("TLSv1.3");
    const older = await start(["max_version: TLS12"]);
    expect((await get(older.port)).protocol).toBe("TLSv1.2");
  });

  test("cipher_suites are the only ones of TLS 1.2", async () => {
    const { port } = await start([
      "max_version: TLS12",
      "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]",
    ]);
    const cipher = await new Promise<string>((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", ca: made.ca.cert, servername: "localhost" }, () => {
        resolve(socket.getCipher().name);
        socket.destroy();
      });
      socket.on("error", reject);
    });
    expect(cipher).toBe("ECDHE-ECDSA-AES256-GCM-SHA384");
    await expect(
      get(port, { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256", maxVersion: "TLSv1.2" }),
    ).rejects.toThrow();
  });

  test("curve_preferences refuse a client that has none of them", async () => {
    const { port } = await start(["curve_preferences: [CurveP384]"]);
    expect((await get(port)).status).toBe(200);
    await expect(get(port, { ecdhCurve: "X25519" })).rejects.toThrow();
  });

  test("2,000 connections without a handshake do not keep a scrape from being answered", async () => {
    const { port } = await start();
    const idle = await Promise.all(
      Array.from({ length: 2000 }, async () => {
        const socket = connectTcp(port, "127.0.0.1");
        await new Promise((resolve) => socket.once("connect", resolve));
        return socket;
      }),
    );
    expect((await get(port)).status).toBe(200);
    for (const socket of idle) socket.destroy();
  }, 30_000);
});

describe("a client's certificate", () => {
  const ca = () => `client_ca_file: ${made.ca.certFile}`;
  const outcome = async (port: number, who?: Identity) => {
    try {
      return (await get(port, who === undefined ? {} : as(who))).status;
    } catch {
      return "refused";
    }
  };
  const outcomes = async (port: number) => [
    await outcome(port),
    await outcome(port, made.client),
    await outcome(port, made.stranger),
    await outcome(port, made.expired),
  ];

  // none, client, stranger, expired
  test("is not asked for with NoClientCert", async () => {
    const { port } = await start(["client_auth_type: NoClientCert"]);
    expect(await outcomes(port)).toEqual([200, 200, 200, 200]);
  });

  test("is asked for and not looked at with RequestClientCert", async () => {
    const { port } = await start(["client_auth_type: RequestClientCert"]);
    expect(await outcomes(port)).toEqual([200, 200, 200, 200]);
  });

  test("is needed and not verified with RequireAnyClientCert", async () => {
    const { port } = await start(["client_auth_type: RequireAnyClientCert"]);
    expect(await outcomes(port)).toEqual(["refused", 200, 200, 200]);
  });

  test("is verified if it comes with VerifyClientCertIfGiven", async () => {
    const { port } = await start(["client_auth_type: VerifyClientCertIfGiven", ca()]);
    expect(await outcomes(port)).toEqual([200, 200, "refused", "refused"]);
  });

  test("is needed and verified with RequireAndVerifyClientCert, and the log tells why one was refused", async () => {
    const { port, app } = await start(["client_auth_type: RequireAndVerifyClientCert", ca()]);
    expect(await outcomes(port)).toEqual(["refused", 200, "refused", "refused"]);
    expect(app.log.text).toContain("the client showed no certificate");
    expect(app.log.text).toContain("CERT_HAS_EXPIRED");
  });

  test("has one of client_allowed_sans: DNS name, mail address, URI, or IP address in any spelling", async () => {
    for (const san of [
      "prometheus.example",
      "ops@example.com",
      "'spiffe://example/a,b'",
      "192.0.2.7",
      "'2001:DB8:0::1'",
    ]) {
      const { port } = await start([
        "client_auth_type: RequireAndVerifyClientCert",
        ca(),
        `client_allowed_sans: [${san}]`,
      ]);
      expect([san, await outcome(port, made.client)]).toEqual([san, 200]);
      expect([san, await outcome(port, made.stranger)]).toEqual([san, "refused"]);
    }
  });

  test("with none of client_allowed_sans is refused, also where only a part of a name would fit", async () => {
    for (const san of [
      "elsewhere.example",
      "'spiffe://example/a'",
      "b",
      "prometheus",
      "'DNS:prometheus.example'",
    ]) {
      const { port } = await start([
        "client_auth_type: RequireAndVerifyClientCert",
        ca(),
        `client_allowed_sans: [${san}]`,
      ]);
      expect([san, await outcome(port, made.client)]).toEqual([san, "refused"]);
    }
  });
});

describe("a change of the web configuration", () => {
  /** The files are looked at once a second at most. */
  const nextLook = () => Bun.sleep(1050);

  test("gives the next connection the renewed certificate, and drops none that is open", async () => {
    const { port, write, app } = await start();
    const open = connect({ port, host: "127.0.0.1", ca: made.ca.cert, servername: "localhost" });
    await new Promise((resolve) => open.once("secureConnect", resolve));
    let answers = "";
    open.on("data", (chunk) => {
      answers += chunk;
    });
    const ask = () => open.write("GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ask();
    write(made.renewed.certFile, made.renewed.keyFile);
    await nextLook();
    expect((await get(port)).serverName).toBe("renewed");
    ask();
    while ((answers.match(/200 OK/g) ?? []).length < 2) await Bun.sleep(2);
    open.destroy();
    expect(app.log.text).toContain("the web configuration has changed and is in force");
  });

  test("is also seen where only the certificate's file is replaced", async () => {
    const directory = mkdtempSync(join(tmpdir(), "plumbline-renew-"));
    const install = ({ cert, key }: Identity) => {
      for (const [name, text] of [
        ["tls.key", key],
        ["tls.crt", cert],
      ] as const) {
        writeFileSync(join(directory, `${name}.new`), text);
        renameSync(join(directory, `${name}.new`), join(directory, name));
      }
    };
    install(made.server);
    // Relative paths start at the file's directory.
    writeFileSync(join(directory, "web.yml"), "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n");
    const app = testApp();
    const server = await listen(
      app,
      { ...app.settings.web, configFile: join(directory, "web.yml") },
      app.log,
    );
    running.push(server);
    const port = portOf(server.addresses[0]);
    expect((await get(port)).serverName).toBe("server");
    install(made.renewed);
    await nextLook();
    expect((await get(port)).serverName).toBe("renewed");
  });

  test("takes the client's CA away from those who had it", async () => {
    const { port, write } = await start([
      "client_auth_type: RequireAndVerifyClientCert",
      `client_ca_file: ${made.ca.certFile}`,
    ]);
    expect((await get(port, as(made.client))).status).toBe(200);
    write(made.server.certFile, made.server.keyFile, [
      "client_auth_type: RequireAndVerifyClientCert",
      `client_ca_file: ${made.stranger.certFile}`,
    ]);
    await nextLook();
    await expect(get(port, as(made.client))).rejects.toThrow();
  });

  test("that is broken leaves the old one in force, is logged once, and can be put right", async () => {
    const { port, write, file, app } = await start();
    for (const broken of [
      "tls_server_config: [",
      "tls_server_config: {cert_file: gone.pem, key_file: gone.key}",
    ]) {
      writeFileSync(file, broken);
      for (let looks = 0; looks < 2; looks++) {
        await nextLook();
        expect((await get(port)).serverName).toBe("server");
      }
    }
    expect(app.log.lines.filter(({ level }) => level === "error").map(({ message }) => message)).toEqual([
      "the changed web configuration cannot be used; the old one stays in force",
      "the changed web configuration cannot be used; the old one stays in force",
    ]);
    write(made.renewed.certFile, made.renewed.keyFile);
    await nextLook();
    expect((await get(port)).serverName).toBe("renewed");
  }, 15_000);

  test("cannot switch TLS off", async () => {
    const { port, file, app } = await start();
    writeFileSync(file, "basic_auth_users: {}\n");
    await nextLook();
    expect((await get(port)).status).toBe(200);
    expect(app.log.text).toContain("TLS cannot be switched on or off");
  });
});
