/** The API client under Deno: each answer, each watch and each failure is the one that it is under Bun. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../../../.ci/build.ts";
import { describeUnless } from "../../support/debian.ts";
import { denoPath } from "../../support/deno.ts";
import {
  type Conduct,
  hangUp,
  json,
  notHttp,
  redirect,
  reset,
  resetInBody,
  silence,
  truncated,
} from "../../support/hostile-server.ts";
import { type Certificates, makeCertificates } from "../../web/certificates.ts";
import { type Asking, ask, type Outcome } from "./asking.ts";
import {
  beginWatch,
  bookmark,
  configMap,
  cutWatch,
  event,
  serving,
  status,
  wholeWatch,
} from "./scripted-api.ts";

const deno = denoPath();
const LACKING = "Deno is missing: bun install, or put deno on the PATH";
const PATIENCE_MS = 60_000;

let made: Certificates;
beforeAll(() => {
  made = makeCertificates();
});
afterAll(() => rmSync(made.directory, { recursive: true }));

/** With the permissions that the operator has there, and the one to run an exec plugin. */
async function askUnderDeno(askings: readonly Asking[]): Promise<Outcome[]> {
  const permissions = ["--allow-net", "--allow-read", "--allow-env", "--allow-sys", "--allow-run"];
  const program = join(ROOT, "test/kubernetes/client/asking-program.ts");
  const words = ["run", "--quiet", "--no-prompt", ...permissions, program, JSON.stringify(askings)];
  const { stdout } = await promisify(execFile)(deno ?? "", words, { cwd: ROOT });
  return JSON.parse(stdout);
}

/** What an error looks like as a whole is another thing in each runtime. */
const comparable = (outcomes: readonly Outcome[]): Outcome[] =>
  outcomes.map(({ inspected: _, ...outcome }) => JSON.parse(JSON.stringify(outcome)));

async function expectTheSame(askings: readonly Asking[]): Promise<Outcome[]> {
  const underBun: Outcome[] = [];
  for (const asking of askings) underBun.push(await ask(asking));
  const underDeno = await askUnderDeno(askings);
  expect(comparable(underDeno)).toEqual(comparable(underBun));
  expect(JSON.stringify(underDeno)).not.toMatch(/planted/);
  return comparable(underBun);
}

let written = 0;
function kubeconfig(
  server: string,
  user: unknown = { token: "planted.token" },
  cluster: unknown = {},
): string {
  const path = join(made.directory, `kubeconfig-${written++}`);
  const trust = { server, "certificate-authority": made.ca.certFile };
  const content = {
    "current-context": "here",
    clusters: [{ name: "c", cluster: Object.assign(trust, cluster) }],
    users: [{ name: "u", user }],
    contexts: [{ name: "here", context: { cluster: "c", user: "u" } }],
  };
  writeFileSync(path, JSON.stringify(content));
  return path;
}

const REQUESTS: Readonly<Record<string, Conduct>> = {
  found: json(configMap("found", "1")),
  forbidden: status(403, { message: 'User "planted" cannot create resource "configmaps" in API group ""' }),
  unauthorized: status(401),
  missing: status(404),
  busy: status(429),
  failing: status(500, { reason: "InternalError", message: "planted" }),
  moved: redirect(307, "https://127.0.0.1:1/planted"),
  truncated,
  resetInBody,
  reset,
  hangUp,
  notHttp,
  silence,
};

const WATCHES: Readonly<Record<string, Conduct>> = {
  whole: wholeWatch(event("ADDED", configMap("a", "2")), bookmark("3")),
  mute: beginWatch(event("ADDED", configMap("a", "2"))),
  cut: cutWatch(event("ADDED", configMap("a", "2")), '{"type'),
  gone: beginWatch(event("ERROR", { kind: "Status", code: 410, message: "planted" })),
  rubbish: beginWatch("planted\n"),
  unanswered: silence,
};

describeUnless(deno === undefined ? LACKING : undefined, "under Deno", () => {
  test(
    "whatever an API server does has the outcome that it has under Bun",
    async () => {
      await using server = await serving(made, (connection, asked) => {
        const { pathname, searchParams } = new URL(asked.path, "https://api.example");
        const conduct =
          WATCHES[searchParams.get("fieldSelector") ?? ""] ?? REQUESTS[pathname.replace(/.*\//, "")];
        conduct?.(connection, asked);
      });
      const path = kubeconfig(server.origin);
      const limit = (name: string) => (["silence", "unanswered"].includes(name) ? { timeoutMs: 300 } : {});
      const outcomes = await expectTheSame([
        ...Object.keys(REQUESTS).flatMap((name) =>
          (["get", "apply", "delete"] as const).map((verb) => ({
            kubeconfig: path,
            verb,
            name,
            ...limit(name),
          })),
        ),
        ...Object.keys(WATCHES).map(
          (name) => ({ kubeconfig: path, verb: "watch", name, ...limit(name) }) as const,
        ),
      ]);
      expect(
        outcomes.slice(-6).map(({ found, reason }) => [Array.isArray(found) ? found.length : found, reason]),
      ).toEqual([
        [2, undefined],
        [1, undefined],
        [1, "connect"],
        [0, "gone"],
        [0, "bad_body"],
        [0, "timeout"],
      ]);
    },
    PATIENCE_MS,
  );

  test(
    "kubeconfigs are understood, and servers trusted, as under Bun",
    async () => {
      await using good = await serving(made, json(configMap("a", "1")));
      const status = { token: "given" };
      const credential = JSON.stringify({ apiVersion: EXEC, kind: "ExecCredential", status });
      const plugin = (script: string) => ({
        exec: { apiVersion: EXEC, command: "/bin/sh", args: ["-c", script] },
      });
      const { certFile, keyFile } = made.client;
      const asked = (path: string) => ({ kubeconfig: path, verb: "get", name: "a" }) as const;
      await expectTheSame(
        [
          kubeconfig(good.origin, { "client-certificate": certFile, "client-key": keyFile }),
          kubeconfig(good.origin, plugin(`echo '${credential}'`)),
          kubeconfig(good.origin, plugin("echo planted; exit 3")),
          kubeconfig(good.origin, plugin("exit 0")),
          kubeconfig(good.origin, { token: "planted" }, { "tls-server-name": "localhost" }),
          kubeconfig(good.origin, { token: "planted" }, { "tls-server-name": "elsewhere.example" }),
          kubeconfig(good.origin, { token: "planted" }, { "certificate-authority": made.stranger.certFile }),
          kubeconfig(
            good.origin,
            { token: "planted" },
            { "certificate-authority": "", "insecure-skip-tls-verify": true },
          ),
          kubeconfig(good.origin, {
            "client-certificate": made.expired.certFile,
            "client-key": made.expired.keyFile,
          }),
          kubeconfig("https://127.0.0.1:1"),
          join(made.directory, "none"),
        ].map(asked),
      );
    },
    PATIENCE_MS,
  );
});

const EXEC = "client.authentication.k8s.io/v1";
