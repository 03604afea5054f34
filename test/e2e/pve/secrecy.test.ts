/** The compiled binary before a Proxmox VE that gives back what it was logged in with: nobody else may see it. */
import { beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PveApi } from "../../../src/demo/pve-api.ts";
import { PVE_TEST_ROOT } from "../../../src/demo/pve-certificate.ts";
import { PveCluster } from "../../../src/demo/pve-cluster.ts";
import { ticketFor } from "../../../src/demo/pve-login.ts";
import type { Reaction } from "../../../src/demo/pve-wire.ts";
import { plumblineBinary } from "../../support/binary.ts";
import { ONLY_PVE, PveDirectory, READER, run, serve, TOKEN } from "./service.ts";

const PATIENCE_MS = 120_000;
const PASSWORD = "p1anted-passw0rd";
const USER = { ...READER, password: PASSWORD };

/** It stands still, so that each ticket is the same. */
const cluster = new PveCluster({ nodes: 2, guests: 3, release: "9.2", since: Date.now() });
const door = { users: [USER], unix: cluster.at().unix, ticketSeconds: 7200 };
const TICKET =
  ticketFor(new URLSearchParams({ username: USER.name, password: PASSWORD }), door)?.ticket ?? "";
/** A part of a secret is one too: of the ticket what signs it, for the rest tells who and when. */
const SECRETS = [TOKEN, "plan-ted0-7e57", PASSWORD, "p1anted", TICKET.split("::")[1] ?? "none"].flatMap(
  (text) => [text, encodeURIComponent(text), Buffer.from(text).toString("base64").replace(/=+$/, "")],
);

const json = (text: string, status = 200): Reaction => {
  const headers = { "content-type": "application/json" };
  return { status, phrase: "OK", headers, body: text };
};
const refused = (status: number, phrase: string, body = ""): Reaction => ({ status, phrase, body });

const GIVEN_BACK: Readonly<Record<string, (secret: string) => Reaction>> = {
  "the phrase of a 401": (secret) => refused(401, `invalid token value ${secret}!`),
  "the body of a 401": (secret) =>
    refused(401, "Authentication failed!", JSON.stringify({ message: secret })),
  "the path of a 403": (secret) => refused(403, `Permission check failed (/${secret}, Sys.Audit)`),
  "the privilege of a 403": (secret) => refused(403, `Permission check failed (/nodes, ${secret})`),
  "the phrase of a 500": (secret) => refused(500, secret),
  "the message of a 500": (secret) => json(JSON.stringify({ data: null, message: secret }), 500),
  "the name of a wrong parameter": (secret) =>
    json(JSON.stringify({ data: null, errors: { [secret]: "x" } }), 400),
  "the phrase of a 595": (secret) => refused(595, secret),
  "a redirect": (secret) => ({
    ...{ status: 302, phrase: secret, body: "" },
    headers: { location: `https://127.0.0.1:1/${secret}`, "set-cookie": secret },
  }),
  "no JSON": (secret) => json(`<html>${secret}`),
  "a text for data": (secret) => json(JSON.stringify({ data: secret })),
  "the key of a row": (secret) => json(JSON.stringify({ data: [{ [secret]: secret, type: secret, id: 7 }] })),
  "an encoding": (secret) => ({
    status: 200,
    phrase: "OK",
    headers: { "content-encoding": secret },
    body: "{}",
  }),
};

const isLogin = (path: string): boolean => path.startsWith("/access/ticket");

/** `echoes`: which answers give it back. */
const BY_PASSWORD = {
  more: { token_name: undefined, token_file: undefined, password: PASSWORD },
  module: { password: PASSWORD },
};
const LOGINS = {
  token: {
    ...{ secret: TOKEN, more: {}, module: { token_name: "metrics", token_value: TOKEN } },
    echoes: () => true,
  },
  password: { ...BY_PASSWORD, secret: PASSWORD, echoes: isLogin },
  ticket: { ...BY_PASSWORD, secret: TICKET, echoes: (path: string) => !isLogin(path) },
};

let binary: string;
beforeAll(async () => {
  binary = await plumblineBinary();
}, PATIENCE_MS);

describe.each(Object.entries(LOGINS))(
  "the %s is seen by Proxmox VE alone",
  (_kind, { secret, more, module, echoes }) => {
    const cases = [["nothing", undefined] as const, ...Object.entries(GIVEN_BACK)];
    test.each(cases)(
      "where it gives it back as %s",
      async (_, given) => {
        await using api = new PveApi(cluster, {
          users: [USER],
          fault: (path) => (echoes(path) ? given?.(secret) : undefined),
          knobs: { unauthorizedDelayMs: 0 },
        });
        using directory = new PveDirectory();
        const url = await api.start();
        const modules = directory.secret(
          "pve.yml",
          JSON.stringify({
            default: { user: USER.name, ...module, verify_ssl: directory.write("ca.pem", PVE_TEST_ROOT) },
          }),
        );
        const target = directory.target("lab", [url], more);
        const file = directory.secret(
          "plumbline.yml",
          JSON.stringify({ pve: { targets: [target], modules_file: modules } }),
        );
        const flags = [...ONLY_PVE, `--config.file=${file}`, "--log.level=debug", "--collector.pve-backups"];
        await using service = await serve([binary], flags);
        const { host } = new URL(url);
        const pages = [
          ...["/metrics", "/metrics?collect[]=status", "/", "/metrics?collect[]=other"],
          ...[`/pve?target=${host}`, `/pve?target=${host}&debug=true`, "/pve?module=other"],
        ];
        const seen: string[] = [];
        for (const path of pages) seen.push(await service.page(path));
        const state = join(directory.path, "state");
        const runs = await Promise.all([
          run([binary, "check", ...flags]),
          run([binary, "check", ...flags, "--output=json"]),
          run([
            ...[binary, "textfile", ...flags, `--textfile.directory=${directory.path}`],
            `--state.directory=${state}`,
          ]),
        ]);
        for (const { stdout, stderr } of runs) seen.push(stdout, stderr);
        seen.push(readFileSync(join(directory.path, "plumbline.prom"), "utf8"));
        for (const name of readdirSync(state)) seen.push(readFileSync(join(state, name), "utf8"));
        seen.push(service.process.log());
        expect(api.requests.seen.length).toBeGreaterThan(4);
        expect(seen.join("\n")).toContain("plumbline_pve_target_up");
        const places = seen.flatMap((text) =>
          SECRETS.filter((one) => text.includes(one)).map((one) =>
            text.slice(text.indexOf(one) - 200, text.indexOf(one) + 60),
          ),
        );
        expect(places).toEqual([]);
      },
      PATIENCE_MS,
    );
  },
);
