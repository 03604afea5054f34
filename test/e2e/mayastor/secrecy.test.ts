/** The compiled binary before a service that gives back the token in every way it can: nobody else may see it. */
import { beforeAll, describe, expect, test } from "bun:test";
import { plumblineBinary } from "../../support/binary.ts";
import {
  answer,
  type Conduct,
  echoToken,
  HostileServer,
  json,
  redirect,
} from "../../support/hostile-server.ts";
import { healthy, resources } from "../../support/mayastor-scraping.ts";
import { Directory, flagsOf, run, serve } from "./service.ts";

const PATIENCE_MS = 120_000;

/** Made up: each part has words of its own, so that a part alone would be found too. */
const JWT = [
  "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9",
  "eyJzdWIiOiJwbHVtYmxpbmUtcGxhbnRlZC10b2tlbiIsImlhdCI6MX0",
  "c2lnbmF0dXJlLXRoYXQtaXMtbm9uZS1hdC1hbGw",
].join(".");
const TOKEN = new RegExp(JWT.split(".").join("|"));
/** What an error answer says beside the token is not for others either. */
const DETAILS = "Unauthorized token\\(|the-service-says";

const HTML = { "content-type": "text/html" };
const node = (about: object) => ({ id: "node-a", state: { status: "Online" }, ...about });
const raw =
  (text: string): Conduct =>
  (connection) =>
    void connection.end(text);

const ANSWERS: Readonly<Record<string, Conduct>> = {
  "the API's own 401": echoToken,
  "an error in HTML": answer(500, `<h1>the-service-says ${JWT}</h1>`, HTML),
  "an error whose kind it is": json({ details: "the-service-says", message: JWT, kind: JWT }, 400),
  "the words after the status": raw(`HTTP/1.1 401 the-service-says ${JWT}\r\ncontent-length: 0\r\n\r\n`),
  "a header": answer(403, "", { "www-authenticate": `Bearer error="${JWT}"`, "set-cookie": JWT }),
  "a redirect to it": redirect(302, `/login?the-service-says=${JWT}`),
  "a redirect to an address that none is": redirect(301, `http://${JWT}:x/the-service-says`),
  "a text that is not JSON": answer(200, `the-service-says ${JWT}`),
  "JSON that is cut off after it": answer(
    200,
    `[{"id":"node-a","spec":{"labels":{"${JWT}":"the-service-says`,
  ),
  "a text in JSON": json(JWT),
  "no HTTP": raw(`${JWT} the-service-says\r\n\r\n`),
  "a status that is no number": raw(`HTTP/1.1 ${JWT} the-service-says\r\n\r\n`),
  "a length that is no number": raw(`HTTP/1.1 200 OK\r\ncontent-length: ${JWT}\r\n\r\n[]`),
  "an encoding that is none": answer(200, "[]", { "content-encoding": JWT }),
  "a chunk's length": raw(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${JWT}\r\n[]\r\n`),
  "a node's id": json([node({ id: JWT })]),
  "a part of a node's id": json([node({ id: `node-${JWT}-a` })]),
  "a node's id, each letter escaped": answer(200, `[{"id":"${escaped(JWT)}","state":null}]`),
  "a node's status and version": json([node({ state: { status: JWT, version: JWT, grpcEndpoint: JWT } })]),
  "a node's cordon": json([node({ spec: { cordondrainstate: { [JWT]: { cordonlabels: [JWT] } } } })]),
  "a pool's disk": resources({
    pools: json([{ id: "pool-a", state: { node: "node-a", disks: [`/dev/${JWT}`], status: "Online" } }]),
  }),
  "a volume's next page": resources({ volumes: json({ entries: [], next_token: JWT }) }),
};

function escaped(text: string): string {
  return [...text].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
}

let binary: string;
beforeAll(async () => {
  binary = await plumblineBinary();
}, PATIENCE_MS);

const configuration = (directory: Directory, endpoint: string): string =>
  directory.configuration({
    ...{ endpoint, token_file: directory.write("token", `${JWT}\n`), allow_plaintext_token: true },
    resources: ["nodes", "pools", "volumes", "replicas"],
  });

describe("the token is seen by the service alone, given back", () => {
  test.each(Object.entries(ANSWERS))(
    "as %s",
    async (_, conduct) => {
      await using server = await HostileServer.start(conduct);
      using directory = new Directory();
      const flags = [...flagsOf(configuration(directory, server.origin)), "--log.level=debug"];
      await using service = await serve([binary], flags);
      const pages = ["/metrics", "/", "/-/ready", "/metrics?collect[]=mayastor", "/metrics?collect[]=other"];
      const bodies = [];
      for (const path of pages) bodies.push(await service.page(path));
      const checks = [];
      for (const more of [[], ["--output=json"]]) {
        checks.push(await run([binary, "check", ...flags, ...more]));
      }
      const seen = [
        ...bodies,
        service.process.log(),
        ...checks.flatMap(({ stdout, stderr }) => [stdout, stderr]),
      ].join("\n");
      expect(server.asked[0]?.headers.get("authorization")).toBe(`Bearer ${JWT}`);
      expect(seen).not.toMatch(TOKEN);
      expect(seen).not.toMatch(DETAILS);
      expect(seen).toContain("mayastor_node_status_fetch_success");
    },
    PATIENCE_MS,
  );
});

test(
  "no proxy of the environment is given the token, or asked at all",
  async () => {
    await using server = await HostileServer.start(healthy);
    await using proxy = await HostileServer.start(healthy);
    using directory = new Directory();
    const names = ["http_proxy", "https_proxy", "all_proxy"];
    const environment = Object.fromEntries(
      names.flatMap((name) => [name, name.toUpperCase()]).map((name) => [name, proxy.origin]),
    );
    const flags = flagsOf(configuration(directory, server.origin));
    await using service = await serve([binary], flags, { ...environment, NO_PROXY: "", no_proxy: "" });
    const { series } = await service.scrape();
    expect(series.get("mayastor_node_status_fetch_success{}")).toBe(1);
    expect(proxy.connections).toBe(0);
  },
  PATIENCE_MS,
);
