import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { servePlain } from "../../src/runtime/index.ts";
import { serveNode } from "../../src/runtime/node-http.ts";
import type { Listening } from "../../src/runtime/serve.ts";
import { listen, type WebServer } from "../../src/web/server.ts";
import { collector, exchange, portOf, type TestApp, testApp } from "./support.ts";

const GET = "GET /metrics HTTP/1.1\r\nHost: node-a\r\nConnection: close\r\n\r\n";
const LONG = "a".repeat(100_000);

const running: { stop(graceMs: number): Promise<void> }[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop(0);
});

async function start(app: TestApp, listenAddresses = ["127.0.0.1:0"]): Promise<WebServer> {
  const server = await listen(app, { ...app.settings.web, listenAddresses }, app.log);
  running.push(server);
  return server;
}

/** What Bun's server is for plain HTTP, node:http is for TLS and under Deno. */
const SERVERS = {
  "Bun.serve": async (app: TestApp) => portOf((await start(app)).addresses[0]),
  "node:http": async (app: TestApp) => {
    const server: Listening = await serveNode({ kind: "tcp", host: "127.0.0.1", port: 0 }, app.handle);
    running.push(server);
    return server.address.kind === "tcp" ? server.address.port : 0;
  },
} as const;

describe.each(Object.entries(SERVERS))("over %s", (_name, serve) => {
  test("an exposition is served, and the connection stays open for the next scrape", async () => {
    const port = await serve(testApp());
    const twice = GET.replace("Connection: close\r\n", "") + GET;
    const { answer, closed } = await exchange(port, twice);
    expect(answer.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
    expect(answer.match(/test_alpha_value\{/g)).toHaveLength(2);
    expect(closed).toBe(true);
  });

  test("HEAD gets the length of what GET would get, and no body", async () => {
    const port = await serve(testApp([]));
    const { answer } = await exchange(port, GET.replace("GET /metrics", "HEAD /-/healthy"));
    expect(answer).toStartWith("HTTP/1.1 200 OK\r\n");
    expect(answer).toEndWith("\r\n\r\n");
    expect(answer.toLowerCase()).toContain("content-length: 8\r\n");
  });

  test("a request line of 100 kB is answered 431, and the server goes on", async () => {
    const port = await serve(testApp());
    const { answer, closed } = await exchange(port, GET.replace("/metrics", `/${LONG}`));
    expect(answer).toStartWith("HTTP/1.1 431 ");
    expect(closed).toBe(true);
    expect((await exchange(port, GET)).answer).toContain("200 OK");
  });

  test("a header of 100 kB is answered 431", async () => {
    const port = await serve(testApp());
    const { answer } = await exchange(port, GET.replace("Host: node-a", `Host: node-a\r\nX-Long: ${LONG}`));
    expect(answer).toStartWith("HTTP/1.1 431 ");
  });

  test("what is no HTTP is answered 400 and closed", async () => {
    const port = await serve(testApp());
    for (const bytes of ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "bogus\r\n\r\n", "\0\0\0\r\n\r\n"]) {
      const { answer, closed } = await exchange(port, Buffer.from(bytes, "latin1"));
      expect([answer.startsWith("HTTP/1.1 400 ") || answer === "", closed]).toEqual([true, true]);
    }
    expect((await exchange(port, GET)).answer).toContain("200 OK");
  });

  test("odd request targets and methods get a status, and the server goes on", async () => {
    const port = await serve(testApp());
    for (const start of [
      "OPTIONS * HTTP/1.1",
      "TRACE /metrics HTTP/1.1",
      "GET http://x/metrics HTTP/1.1",
      "GET /%ff%00 HTTP/1.1",
    ]) {
      const { answer } = await exchange(port, GET.replace("GET /metrics HTTP/1.1", start));
      expect(answer).toMatch(/^HTTP\/1\.1 (200|400|404|405) /);
    }
    expect((await exchange(port, GET)).answer).toContain("200 OK");
  });

  test("the body of a request is ignored, and one beyond all measure is answered 413", async () => {
    const port = await serve(testApp());
    const post = (bytes: number) =>
      GET.replace("GET /metrics", "POST /-/quit").replace("\r\n\r\n", `\r\nContent-Length: ${bytes}\r\n\r\n`);
    expect((await exchange(port, `${post(5)}hello`)).answer).toStartWith("HTTP/1.1 403 ");
    expect((await exchange(port, post(100_000_000_000))).answer).toStartWith("HTTP/1.1 413 ");
    expect((await exchange(port, GET)).answer).toContain("200 OK");
  });

  test("a body in chunks without end is not waited for", async () => {
    const port = await serve(testApp());
    const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
    const head = "POST /-/quit HTTP/1.1\r\nHost: node-a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const { answer } = await exchange(port, head + chunk.repeat(40), 1000);
    expect(answer).toMatch(/^(HTTP\/1\.1 4(03|13) |$)/);
    expect((await exchange(port, GET)).answer).toContain("200 OK");
  });

  test("a client that disconnects in mid-scrape breaks neither the scrape of another nor the server", async () => {
    const gate = Promise.withResolvers<void>();
    const alpha = collector("alpha", () => gate.promise);
    const app = testApp([alpha]);
    const port = await serve(app);
    const leaving = connect(port, "127.0.0.1", () => leaving.write(GET));
    await until(() => alpha.runs === 1);
    const stayed = exchange(port, GET);
    await Bun.sleep(20);
    leaving.resetAndDestroy();
    await Bun.sleep(20);
    gate.resolve();
    expect((await stayed).answer).toContain("test_alpha_value{");
    expect(alpha.runs).toBe(1);
    expect(app.log.text).toBe("");
  });

  test("a scrape nobody waits for any more is aborted", async () => {
    const aborted = Promise.withResolvers<void>();
    const alpha = collector("alpha", ({ signal }) => {
      const { promise, reject } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => {
        aborted.resolve();
        reject(signal.reason);
      });
      return promise;
    });
    const port = await serve(testApp([alpha]));
    const leaving = connect(port, "127.0.0.1", () => leaving.write(GET));
    await until(() => alpha.runs === 1);
    leaving.destroy();
    await aborted.promise;
  });

  test("2,000 idle connections do not keep a scrape from being answered", async () => {
    const port = await serve(testApp());
    const idle = await connections(port, 2000);
    expect((await exchange(port, GET)).answer).toContain("200 OK");
    for (const socket of idle) socket.destroy();
  }, 30_000);

  test("stopping lets a running scrape end and accepts no new one", async () => {
    const gate = Promise.withResolvers<void>();
    const alpha = collector("alpha", () => gate.promise);
    const port = await serve(testApp([alpha]));
    const [idle] = await connections(port, 1);
    const scrape = exchange(port, GET.replace("Connection: close\r\n", ""));
    await until(() => alpha.runs === 1);
    const stopped = running.splice(0)[0]?.stop(5000);
    await Bun.sleep(20);
    expect((await exchange(port, GET)).answer).toBe("");
    gate.resolve();
    const { answer, closed } = await scrape;
    expect(answer).toContain("test_alpha_value{");
    expect(closed).toBe(true);
    await stopped;
    idle?.destroy();
  });

  test("stopping waits no longer than it may for a scrape that hangs", async () => {
    const alpha = collector("alpha", () => new Promise<void>(() => {}));
    const port = await serve(testApp([alpha]));
    const scrape = exchange(port, GET);
    await until(() => alpha.runs === 1);
    await running.splice(0)[0]?.stop(50);
    expect((await scrape).answer).toBe("");
  });
});

describe("slow clients", () => {
  test.skipIf(openFilesLimit() < 12_000)(
    "10,000 idle connections do not keep a scrape from being answered",
    async () => {
      const port = await SERVERS["Bun.serve"](testApp());
      const script = `
        const { connect } = require("node:net");
        let left = 10_000;
        for (let i = 0; i < 10_000; i++) connect(${port}, "127.0.0.1", () => --left || console.log("open")).on("error", () => process.exit(1));
        process.stdin.resume();`;
      const clients = Bun.spawn([process.execPath, "-e", script], { stdin: "pipe", stdout: "pipe" });
      const { value } = await clients.stdout.getReader().read();
      expect(new TextDecoder().decode(value)).toBe("open\n");
      expect((await exchange(port, GET)).answer).toContain("200 OK");
      clients.kill();
      await clients.exited;
      expect((await exchange(port, GET)).answer).toContain("200 OK");
    },
    30_000,
  );

  test("Bun.serve closes a connection whose head is dribbled (slow-loris) or never comes", async () => {
    const port = await SERVERS["Bun.serve"](testApp());
    await Promise.all([
      dribble(port),
      exchange(port, "", 25_000).then(({ closed }) => expect(closed).toBe(true)),
    ]);
    expect((await exchange(port, GET)).answer).toContain("200 OK");
  }, 30_000);

  test("node:http closes a connection whose head is dribbled (slow-loris) or never comes, and one that idles", async () => {
    const clocks = { headMs: 300, idleMs: 300 };
    const server = await serveNode(
      { kind: "tcp", host: "127.0.0.1", port: 0 },
      testApp().handle,
      undefined,
      clocks,
    );
    running.push(server);
    const port = server.address.kind === "tcp" ? server.address.port : 0;
    const kept = exchange(port, GET.replace("Connection: close\r\n", ""), 5000);
    await Promise.all([dribble(port), exchange(port, "").then(({ closed }) => expect(closed).toBe(true))]);
    expect((await kept).closed).toBe(true);
    expect((await exchange(port, GET)).answer).toContain("200 OK");
  });
});

describe("listen addresses", () => {
  test("several are served side by side, :0 on all addresses of the host", async () => {
    const { addresses } = await start(testApp(), ["127.0.0.1:0", ":0"]);
    expect(addresses[0]).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
    expect(addresses[1]).toMatch(/^http:\/\/(\[::\]|0\.0\.0\.0):[1-9]\d*$/);
    for (const address of addresses)
      expect((await exchange(portOf(address), GET)).answer).toContain("200 OK");
  });

  test("a listen address in use is named in the error, and the others are given up again", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await until(() => other.listening);
    const taken = other.address();
    const busy = `127.0.0.1:${typeof taken === "object" ? taken?.port : 0}`;
    const free = createServer().listen(0, "127.0.0.1");
    await until(() => free.listening);
    const port = Number(Object(free.address()).port);
    await new Promise((resolve) => free.close(resolve));
    await expect(start(testApp(), [`127.0.0.1:${port}`, busy])).rejects.toThrow(
      `cannot listen on ${busy}: address already in use; stop the other process or choose another --web.listen-address`,
    );
    expect((await exchange(port, GET)).answer).toBe("");
    other.close();
  });

  test("a privileged port without the right to it is named in the error", async () => {
    const script = `
      import { listen } from ${JSON.stringify(join(import.meta.dir, "../../src/web/server.ts"))};
      import { settings, MemoryLog } from ${JSON.stringify(join(import.meta.dir, "support.ts"))};
      // Loaded while it may: the sources need not be readable by all.
      await import(${JSON.stringify(join(import.meta.dir, "../../src/runtime/bun.ts"))});
      process.setgid?.(65534); process.setuid?.(65534);
      await listen({ handle: async () => new Response() }, settings({ listenAddresses: ["127.0.0.1:81"] }).web, new MemoryLog())
        .then(() => console.log("listens"), (error) => console.log(error.message));
      process.exit();`;
    const { stdout } = Bun.spawnSync([process.execPath, "-e", script]);
    expect(stdout.toString()).toStartWith("cannot listen on 127.0.0.1:81: permission denied; ");
  });

  test("an address that this host does not have is named in the error", async () => {
    await expect(start(testApp(), ["192.0.2.1:9847"])).rejects.toThrow(
      "cannot listen on 192.0.2.1:9847: no interface of this host has this address",
    );
  });

  test.each(["Bun.serve", "node:http"])(
    "over %s a host name that nobody knows is named in the error",
    async (by) => {
      const address = { kind: "tcp", host: "nobody.invalid", port: 9847 } as const;
      const { handle } = testApp();
      const listening = by === "Bun.serve" ? servePlain(address, handle) : serveNode(address, handle);
      await expect(listening).rejects.toMatchObject({ code: "ENOTFOUND" });
    },
  );

  test("a unix socket is served to its owner and group, and is gone after the stop", async () => {
    const path = join(mkdtempSync(join(tmpdir(), "plumbline-")), "plumbline.sock");
    const server = await start(testApp(), [`unix://${path}`]);
    expect(server.addresses).toEqual([`unix://${path}`]);
    expect((statSync(path).mode & 0o777).toString(8)).toBe("660");
    expect((await exchange(path, GET)).answer).toContain("200 OK");
    await server.stop(0);
    expect(existsSync(path)).toBe(false);
  });

  test("the socket file of a dead server is replaced", async () => {
    const path = join(mkdtempSync(join(tmpdir(), "plumbline-")), "plumbline.sock");
    const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    Bun.spawnSync([process.execPath, "-e", script]);
    expect(existsSync(path)).toBe(true);
    await start(testApp(), [`unix://${path}`]);
    expect((await exchange(path, GET)).answer).toContain("200 OK");
  });

  test("the socket file of a living server is an address in use", async () => {
    const path = join(mkdtempSync(join(tmpdir(), "plumbline-")), "plumbline.sock");
    await start(testApp(), [`unix://${path}`]);
    await expect(start(testApp(), [`unix://${path}`])).rejects.toThrow("address already in use");
    expect((await exchange(path, GET)).answer).toContain("200 OK");
  });

  test("a file that is no socket is not removed for one", async () => {
    const path = join(mkdtempSync(join(tmpdir(), "plumbline-")), "precious");
    writeFileSync(path, "precious");
    await expect(start(testApp(), [`unix://${path}`])).rejects.toThrow(
      "a file that is no socket is in the way",
    );
    expect(await Bun.file(path).text()).toBe("precious");
  });

  test("a unix socket in a directory that is missing is named in the error", async () => {
    const address = `unix://${mkdtempSync(join(tmpdir(), "plumbline-"))}/missing/plumbline.sock`;
    await expect(start(testApp(), [address])).rejects.toThrow(
      `cannot listen on ${address}: the directory of the socket file does not exist`,
    );
  });
});

/** proc_pid_limits(5): of each process, also of the one that the connections come from. */
function openFilesLimit(): number {
  return Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(2);
}

/** Sends a head that never ends, a header every 100 ms; resolves when the server has had enough. */
function dribble(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () =>
      socket.write("GET /metrics HTTP/1.1\r\nHost: node-a\r\n"),
    );
    const drops = setInterval(() => socket.write("a: b\r\n"), 100);
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(drops);
      resolve();
    });
    socket.resume();
  });
}

function connections(port: number, count: number): Promise<Socket[]> {
  return Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<Socket>((resolve, reject) => {
          const socket = connect(port, "127.0.0.1", () => resolve(socket));
          socket.on("error", reject);
        }),
    ),
  );
}
