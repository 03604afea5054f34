/** The compiled binary and where its settings come from: the variables of the exporter that it replaces, the file, none. */
import { beforeAll, describe, expect, test } from "bun:test";
import { plumblineBinary } from "../../support/binary.ts";
import { HostileServer, silence } from "../../support/hostile-server.ts";
import { healthy } from "../../support/mayastor-scraping.ts";
import { Directory, flagsOf, run, serve } from "./service.ts";

const PATIENCE_MS = 60_000;

let binary: string;
beforeAll(async () => {
  binary = await plumblineBinary();
}, PATIENCE_MS);

describe("the variables of the environment", () => {
  test(
    "MAYASTOR_REST_ENDPOINT alone switches the collector on, for the whole cluster whatever the node's name",
    async () => {
      await using server = await HostileServer.start(healthy);
      await using service = await serve([binary], [], {
        ...{ MAYASTOR_REST_ENDPOINT: `${server.origin}/`, NODE_NAME: "node-b", MY_NODE_NAME: "node-b" },
      });
      const { series } = await service.scrape("?collect[]=mayastor");
      expect(series.get('mayastor_node_online{node_id="node-a"}')).toBe(1);
      expect(new Set(server.paths)).toEqual(new Set(["/v0/nodes"]));
    },
    PATIENCE_MS,
  );

  test.each(["400ms", "0s 400 msec", "400000us"])(
    "MAYASTOR_SCRAPE_TIMEOUT=%s limits each fetch",
    async (timeout) => {
      await using server = await HostileServer.start(silence);
      await using service = await serve([binary], flagsOf(), {
        ...{ MAYASTOR_REST_ENDPOINT: server.origin, MAYASTOR_SCRAPE_TIMEOUT: timeout },
      });
      const { series, ms } = await service.scrape();
      expect(ms).toBeWithin(350, 1500);
      expect(series.get('mayastor_node_status_fetch_errors_total{reason="timeout"}')).toBe(2);
    },
    PATIENCE_MS,
  );

  test.each(["ten seconds", "-1s", "10s10", "10 parsecs", "0s", "s"])(
    "MAYASTOR_SCRAPE_TIMEOUT='%s' stops the start and is named",
    async (timeout) => {
      for (const command of ["serve", "check"]) {
        const ended = await run([binary, command, ...flagsOf(), "--web.listen-address=127.0.0.1:0"], {
          ...{ MAYASTOR_REST_ENDPOINT: "http://127.0.0.1:1", MAYASTOR_SCRAPE_TIMEOUT: timeout },
        });
        expect(ended.status).toBe(1);
        expect(`${ended.stdout}${ended.stderr}`).toContain("MAYASTOR_SCRAPE_TIMEOUT");
      }
    },
    PATIENCE_MS,
  );

  test(
    "give way to the configuration file",
    async () => {
      await using server = await HostileServer.start(healthy);
      await using other = await HostileServer.start(healthy);
      using directory = new Directory();
      const file = directory.configuration({ endpoint: server.origin, timeout: "5s" });
      await using service = await serve([binary], flagsOf(file), {
        ...{ MAYASTOR_REST_ENDPOINT: other.origin, MAYASTOR_SCRAPE_TIMEOUT: "1s" },
      });
      await service.scrape();
      expect([server.asked.length, other.connections]).toEqual([2, 0]);
    },
    PATIENCE_MS,
  );

  test.each(["ftp://127.0.0.1/", "127.0.0.1:8081", "http://user:secret-word@127.0.0.1", "http://", "x"])(
    "MAYASTOR_REST_ENDPOINT=%s stops the start, is named, and a password in it is not told",
    async (endpoint) => {
      const ended = await run([binary, "serve", ...flagsOf(), "--web.listen-address=127.0.0.1:0"], {
        MAYASTOR_REST_ENDPOINT: endpoint,
      });
      expect(ended.status).toBe(1);
      expect(ended.stderr).toContain("MAYASTOR_REST_ENDPOINT");
      expect(ended.stderr).not.toContain("secret-word");
    },
    PATIENCE_MS,
  );
});

test(
  "without an address there is no collector, and nothing is said of Mayastor",
  async () => {
    await using service = await serve([binary], ["--node-name=node-a"]);
    const { text } = await service.scrape();
    expect(text).not.toContain("mayastor");
    expect(await service.page("/metrics?collect[]=mayastor")).not.toContain("mayastor_");
  },
  PATIENCE_MS,
);

test(
  "a token over plain HTTP stops the start unless it was allowed",
  async () => {
    using directory = new Directory();
    const token_file = directory.write("token", "a-token");
    const file = directory.configuration({ endpoint: "http://127.0.0.1:1", token_file });
    const ended = await run([binary, "serve", ...flagsOf(file), "--web.listen-address=127.0.0.1:0"]);
    expect(ended.status).toBe(1);
    expect(ended.stderr).toContain("allow_plaintext_token");
  },
  PATIENCE_MS,
);

test(
  "the own node alone is asked for where its name was given, and one that is not known is not found",
  async () => {
    const own = (id: string) => ({ id, state: { id, status: "Online", grpcEndpoint: "10.1.0.5:10124" } });
    await using server = await HostileServer.start((connection, asked) => {
      const found = asked.path === "/v0/nodes/node%20a%2F1";
      const body = JSON.stringify(found ? own("node a/1") : { kind: "NotFound", details: "", message: "" });
      const status = found ? "200 OK" : "404 Not Found";
      const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
      connection.write(`${head}\r\n\r\n${body}`);
    });
    for (const [node_name, online, notFound] of [
      ["node a/1", 1, 0],
      ["other", undefined, 2],
    ] as const) {
      using directory = new Directory();
      const file = directory.configuration({ endpoint: server.origin, node_name });
      await using service = await serve([binary], flagsOf(file));
      const { series } = await service.scrape();
      expect(series.get('mayastor_node_online{node_id="node a/1"}')).toBe(online);
      expect(series.get('mayastor_node_status_fetch_errors_total{reason="not_found"}')).toBe(notFound);
    }
    expect(new Set(server.paths)).toEqual(new Set(["/v0/nodes/node%20a%2F1", "/v0/nodes/other"]));
  },
  PATIENCE_MS,
);
