/** The client under Deno: each answer, and each failure, has the outcome and the words that it has under Bun. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";
import {
  answer,
  type Conduct,
  echoToken,
  endlessBody,
  gzipBomb,
  HostileServer,
  hangUp,
  json,
  notHttp,
  reset,
  resetInBody,
  silence,
  slowBody,
  truncated,
  truncatedChunks,
} from "../support/hostile-server.ts";
import { type Certificates, makeCertificates } from "../web/certificates.ts";
import { type Asking, ask, type Outcome } from "./asking.ts";

const deno = denoPath();
const LACKING = "Deno is missing: bun install, or put deno on the PATH";
const PATIENCE_MS = 60_000;

let made: Certificates;
beforeAll(() => {
  made = makeCertificates();
});
afterAll(() => rmSync(made.directory, { recursive: true }));

/** As each of the requests ended under Deno, with the permissions that plumbline has there. */
function askUnderDeno(askings: readonly Asking[]): Promise<Outcome[]> {
  const permissions = ["--allow-net", "--allow-read", "--allow-env", "--allow-sys"];
  const program = join(ROOT, "test/rest/asking-program.ts");
  const words = ["run", "--quiet", "--no-prompt", ...permissions, program, JSON.stringify(askings)];
  const child = spawn(deno ?? "", words, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  child.stdout.on("data", (text) => {
    printed += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => resolve(JSON.parse(printed)));
  });
}

/** What an error looks like as a whole is another thing in each runtime. */
const comparable = (outcomes: readonly Outcome[]): Outcome[] =>
  outcomes.map(({ inspected: _, ...outcome }) => JSON.parse(JSON.stringify(outcome)));

async function expectTheSame(askings: readonly Asking[]): Promise<void> {
  const underBun = [];
  for (const asking of askings) underBun.push(await ask(asking));
  const underDeno = await askUnderDeno(askings);
  expect(comparable(underDeno)).toEqual(comparable(underBun));
  expect(JSON.stringify(underDeno)).not.toMatch(/planted/);
}

const CONDUCTS: Readonly<Record<string, Conduct>> = {
  answered: json([{ id: "node-1" }]),
  packed: answer(200, Bun.gzipSync("[1]"), { "content-encoding": "gzip" }),
  silence,
  slowBody,
  endlessBody,
  bomb: gzipBomb(64 << 20),
  truncated,
  truncatedChunks,
  resetInBody,
  reset,
  hangUp,
  notHttp,
  echoToken,
  moved: answer(302, "", { location: "http://127.0.0.1:1/" }),
  html: answer(502, "<html>planted</html>"),
  odd: (connection) => void connection.end("HTTP/1.1 999 Planted\r\n\r\n"),
};

describeUnless(deno === undefined ? LACKING : undefined, "under Deno", () => {
  test(
    "whatever a server does has the outcome that it has under Bun",
    async () => {
      await using server = await HostileServer.start((connection, asked) =>
        CONDUCTS[asked.path.slice("/v0/".length).replace(/\?.*/, "")]?.(connection, asked),
      );
      const tokenFile = join(made.directory, "token");
      writeFileSync(tokenFile, "planted.token\n");
      const askings = Object.keys(CONDUCTS).map((name) => ({
        base: `${server.origin}/v0`,
        path: `/${name}?planted=query`,
        tokenFile,
        limitMs: [silence, slowBody].includes(CONDUCTS[name] ?? reset) ? 500 : 10_000,
      }));
      await expectTheSame([...askings, { base: "http://127.0.0.1:1" }, { base: "http://plumbline.invalid" }]);
    },
    PATIENCE_MS,
  );

  test(
    "certificates are trusted and refused as under Bun",
    async () => {
      const serving = (tls: Certificates["ca"]) => HostileServer.start(json([]), { tls });
      await using good = await serving(made.server);
      await using expired = await serving(made.expired);
      await using wrong = await serving(made.client);
      const caFile = made.ca.certFile;
      const { certFile } = made.client;
      await expectTheSame([
        { base: good.origin, caFile },
        { base: `https://localhost:${good.port}`, caFile },
        { base: good.origin },
        { base: good.origin, caFile: made.stranger.certFile },
        { base: expired.origin, caFile },
        { base: wrong.origin, caFile },
        { base: wrong.origin, insecureSkipVerify: true },
        { base: good.origin, caFile, certFile, keyFile: made.client.keyFile },
        { base: good.origin, caFile, certFile, keyFile: made.server.keyFile },
        { base: good.origin, caFile: made.ca.keyFile },
        { base: good.origin, caFile, certFile, keyFile: certFile },
        { base: good.origin, tokenFile: join(made.directory, "none") },
      ]);
    },
    PATIENCE_MS,
  );

  test(
    "connections that the server closes as they are used again are replaced",
    async () => {
      const used = new WeakSet<object>();
      await using server = await HostileServer.start((connection, asked) => {
        if (used.has(connection)) connection.destroy();
        else json([])(connection, asked);
        used.add(connection);
      });
      const twice = { base: server.origin, times: 2 };
      expect(comparable(await askUnderDeno([twice]))).toEqual([{ json: [] }]);
      expect(server.asked).toHaveLength(3);
    },
    PATIENCE_MS,
  );
});
