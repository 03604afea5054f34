import { describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import {
  answer,
  type Conduct,
  endlessHeader,
  hangUp,
  notHttp,
  redirect,
  reset,
  silence,
  slowHeader,
} from "../support/hostile-server.ts";
import { seriesOfExposition } from "../support/series.ts";
import { Aggregating, errorsIn, exposition, samplesOf, TEXT, upIn } from "./aggregate/aggregating.ts";

const ebs = (volume: string, value = 1): string =>
  `# HELP ebs_ops_total Operations\n# TYPE ebs_ops_total counter\nebs_ops_total{volume_id="${volume}"} ${value}\n`;

const GOOD = ["good-1", "good-2"];

/** Half of an answer, and what comes then. */
const begun =
  (then: (connection: Socket) => void): Conduct =>
  (connection) => {
    connection.write(`HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n${ebs("x")}`);
    setTimeout(() => then(connection), 20);
  };

/** Two exporters that answer well, and one that does not. */
async function beside(conduct: Conduct): Promise<Aggregating> {
  const aggregating = new Aggregating();
  await aggregating.exporter("good-1", exposition(ebs("vol-1")));
  await aggregating.exporter("bad", conduct);
  await aggregating.exporter("good-2", exposition(ebs("vol-2")));
  return aggregating;
}

const GOOD_SAMPLES = [
  'ebs_ops_total{volume_id="vol-1",cluster_id="c-1",node="good-1"} 1',
  'ebs_ops_total{volume_id="vol-2",cluster_id="c-1",node="good-2"} 1',
];

describe("the aggregate", () => {
  test("has every exporter's samples in one family, in the order of the nodes, and tells of each", async () => {
    await using aggregating = new Aggregating();
    await aggregating.exporter("node-b", exposition(ebs("vol-2", 2)));
    await aggregating.exporter("node-a", exposition(`${ebs("vol-1")}go_goroutines 7\n`));
    const text = await aggregating.scrape();
    expect(text.replaceAll(/(_duration_seconds\{.*\}) .*/g, "$1 N")).toBe(
      [
        "# HELP ebs_ops_total Operations",
        "# TYPE ebs_ops_total counter",
        'ebs_ops_total{volume_id="vol-1",cluster_id="c-1",node="node-a"} 1',
        'ebs_ops_total{volume_id="vol-2",cluster_id="c-1",node="node-b"} 2',
        "# HELP plumbline_aggregate_errors_total Exporters that could not be asked, or whose answer was not taken as it is, by reason",
        "# TYPE plumbline_aggregate_errors_total counter",
        ...["conflict", "connect", "http", "parse", "timeout", "too_large"].map(
          (reason) => `plumbline_aggregate_errors_total{reason="${reason}"} 0`,
        ),
        "# HELP plumbline_aggregate_node_samples Samples of the node's exporter in this answer",
        "# TYPE plumbline_aggregate_node_samples gauge",
        'plumbline_aggregate_node_samples{node="node-a"} 1',
        'plumbline_aggregate_node_samples{node="node-b"} 1',
        "# HELP plumbline_aggregate_node_scrape_duration_seconds Seconds that asking the node's exporter took",
        "# TYPE plumbline_aggregate_node_scrape_duration_seconds gauge",
        'plumbline_aggregate_node_scrape_duration_seconds{node="node-a"} N',
        'plumbline_aggregate_node_scrape_duration_seconds{node="node-b"} N',
        "# HELP plumbline_aggregate_node_up Whether the samples of the node's exporter are in this answer: 1, or 0",
        "# TYPE plumbline_aggregate_node_up gauge",
        'plumbline_aggregate_node_up{node="node-a"} 1',
        'plumbline_aggregate_node_up{node="node-b"} 1',
        "# HELP plumbline_aggregate_nodes_desired Nodes that shall have an exporter whose samples are aggregated",
        "# TYPE plumbline_aggregate_nodes_desired gauge",
        "plumbline_aggregate_nodes_desired 2",
        "# HELP plumbline_aggregate_nodes_ready Nodes whose exporter is ready, so that it is asked",
        "# TYPE plumbline_aggregate_nodes_ready gauge",
        "plumbline_aggregate_nodes_ready 2",
        "# HELP plumbline_aggregate_nodes_scraped Nodes whose exporter's samples are in this answer",
        "# TYPE plumbline_aggregate_nodes_scraped gauge",
        "plumbline_aggregate_nodes_scraped 2",
        "",
      ].join("\n"),
    );
  });

  test("asks in each scrape anew, over the connection that it has", async () => {
    await using aggregating = new Aggregating();
    let count = 0;
    const server = await aggregating.exporter("a", (connection, asked) =>
      exposition(ebs("v", ++count))(connection, asked),
    );
    for (const value of [1, 2, 3])
      expect(samplesOf(await aggregating.scrape())).toEqual([
        `ebs_ops_total{volume_id="v",cluster_id="c-1",node="a"} ${value}`,
      ]);
    expect(server.connections).toBe(1);
  });

  test("asks for the text format, unpacked, and tells how long it waits", async () => {
    await using aggregating = new Aggregating();
    const server = await aggregating.exporter("a", exposition(ebs("v")));
    await aggregating.scrape(2000);
    const headers = server.asked[0]?.headers;
    expect(headers?.get("accept")).toBe("text/plain;version=0.0.4");
    expect(headers?.get("accept-encoding")).toBe("identity");
    const allowed = Number(headers?.get("x-prometheus-scrape-timeout-seconds"));
    expect(allowed).toBeGreaterThan(1);
    expect(allowed).toBeLessThanOrEqual(1.9);
  });

  test("asks again where a kept connection has been closed in the meantime", async () => {
    await using aggregating = new Aggregating();
    let asked = 0;
    const server = await aggregating.exporter("a", (connection, what) => {
      if (++asked === 2) connection.resetAndDestroy();
      else exposition(ebs("v"))(connection, what);
    });
    await aggregating.scrape();
    expect(upIn(await aggregating.scrape())).toEqual(["a"]);
    expect(server.connections).toBe(2);
  });

  test("closes the connections to exporters that are not there any more", async () => {
    await using aggregating = new Aggregating();
    const server = await aggregating.exporter("a", exposition(ebs("v")));
    await aggregating.scrape();
    expect(server.open).toBe(1);
    aggregating.pods.pop();
    await aggregating.scrape();
    while (server.open > 0) await Bun.sleep(5);
  });

  test("reads answers in chunks, and those that end with the connection", async () => {
    await using aggregating = new Aggregating();
    const [first, second] = [ebs("v").slice(0, 50), ebs("v").slice(50)];
    await aggregating.exporter("a", (connection) => {
      connection.write(
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
      );
      for (const part of [first, second]) connection.write(`${part.length.toString(16)};x=y\r\n${part}\r\n`);
      connection.write("0\r\ntrailer: x\r\n\r\n");
    });
    await aggregating.exporter(
      "b",
      (connection) => void connection.end(`HTTP/1.0 200 OK\r\n\r\n${ebs("v")}`),
    );
    for (let i = 0; i < 2; i++) expect(upIn(await aggregating.scrape())).toEqual(["a", "b"]);
  });

  test("unpacks an answer that is packed though nobody asked for that", async () => {
    await using aggregating = new Aggregating();
    const packed = { ...TEXT, "content-encoding": "gzip" };
    await aggregating.exporter("a", answer(200, gzipSync(ebs("v")), packed));
    expect(upIn(await aggregating.scrape())).toEqual(["a"]);
  });

  test("is empty but for what it tells of itself where there is no exporter", async () => {
    await using aggregating = new Aggregating();
    const text = await aggregating.scrape();
    expect(samplesOf(text)).toEqual([]);
    expect(text).toContain("plumbline_aggregate_nodes_scraped 0\n");
  });
});

describe("an exporter costs its own samples alone", () => {
  const large = `# TYPE ebs_a gauge\nebs_a{x="${"y".repeat(50_000_000)}"} 1\n`;
  const series = Array.from({ length: 1_000_000 }, (_, index) => `ebs_a{i="${index}"} 1\n`).join("");
  test.each<[string, Conduct, string]>([
    ["resets the connection", reset, "connect"],
    ["ends the connection", hangUp, "connect"],
    ["speaks another protocol", notHttp, "http"],
    ["is silent", silence, "timeout"],
    ["sends its header too slowly", slowHeader, "timeout"],
    ["does not end its body", begun(() => {}), "timeout"],
    ["sends a header without end", endlessHeader, "http"],
    ["answers 500", answer(500, ebs("x"), TEXT), "http"],
    ["answers 204", answer(204, "", TEXT), "http"],
    ["sends us elsewhere", redirect(302, "http://127.0.0.1:1/metrics"), "http"],
    ["changes the protocol", answer(101, "", { upgrade: "x" }), "http"],
    ["says less than it promised", begun((connection) => connection.end()), "http"],
    ["resets the connection within its body", begun((connection) => connection.resetAndDestroy()), "http"],
    [
      "ends within its chunks",
      (connection) => void connection.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n\n\r\n"),
      "http",
    ],
    [
      "has two lengths",
      (connection) =>
        void connection.write("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
      "http",
    ],
    [
      "has chunks that are none",
      (connection) => void connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"),
      "http",
    ],
    ["ends within a line", exposition(ebs("x").trimEnd()), "parse"],
    ["sends HTML", answer(200, "<html>", { "content-type": "text/html" }), "parse"],
    ["sends what is not text", exposition("\x00\x01\x02\n"), "parse"],
    ["sends bad lines", exposition(`${ebs("x")}ebs_ops_total{volume_id=} 1\n`), "parse"],
    ["sends 50 MB in one line", exposition(large), "too_large"],
    ["sends a million label sets", exposition(series), "too_large"],
    [
      "sends a gzip bomb",
      answer(200, gzipSync(Buffer.alloc(200_000_000, "\n")), { ...TEXT, "content-encoding": "gzip" }),
      "too_large",
    ],
    [
      "is packed in a way that nobody knows",
      answer(200, ebs("x"), { ...TEXT, "content-encoding": "br" }),
      "parse",
    ],
    ["says that it is on another node", exposition(ebs("x"), { "x-plumbline-node": "other" }), "conflict"],
    ["has samples of another node", exposition('ebs_ops_total{node="other"} 1\n'), "conflict"],
    ["has another type", exposition("# TYPE ebs_ops_total gauge\nebs_ops_total 1\n"), "conflict"],
    [
      "has a family whose name is that of a part of a histogram",
      exposition("# TYPE ebs_ops_total_count gauge\nebs_ops_total_count 1\n# TYPE ebs_ops_total histogram\n"),
      "conflict",
    ],
  ])("that %s", async (_, conduct, reason) => {
    await using aggregating = await beside(conduct);
    const text = await aggregating.scrape(reason === "timeout" ? 600 : 20_000);
    expect(samplesOf(text)).toEqual(GOOD_SAMPLES);
    expect(upIn(text)).toEqual(GOOD);
    expect(errorsIn(text)).toEqual({ [reason]: 1 });
    expect(text).toContain("plumbline_aggregate_nodes_scraped 2\n");
  });

  test("that does not listen", async () => {
    await using aggregating = await beside(silence);
    aggregating.pods[1] = { node: "bad", url: "http://127.0.0.1:1/metrics", families: ["*"], clusterId: "c" };
    const text = await aggregating.scrape();
    expect(samplesOf(text)).toEqual(GOOD_SAMPLES);
    expect(errorsIn(text)).toEqual({ connect: 1 });
  });

  test("that sends us elsewhere, where nobody is asked", async () => {
    await using aggregating = new Aggregating();
    const elsewhere = await aggregating.exporter("a", exposition(ebs("v")));
    aggregating.pods.pop();
    await aggregating.exporter("b", redirect(307, `${elsewhere.origin}/metrics`));
    expect(errorsIn(await aggregating.scrape())).toEqual({ http: 1 });
    expect(elsewhere.connections).toBe(0);
  });

  test("whose type most others contradict, though it answers first", async () => {
    await using aggregating = new Aggregating();
    await aggregating.exporter("a", exposition("# TYPE ebs_ops_total gauge\nebs_ops_total 1\n"));
    for (const node of ["b", "c"])
      await aggregating.exporter(node, (connection, asked) => {
        setTimeout(() => exposition(ebs(node))(connection, asked), 50);
      });
    const text = await aggregating.scrape();
    expect(upIn(text)).toEqual(["b", "c"]);
    expect(text).toContain("# TYPE ebs_ops_total counter\n");
  });

  test("and loses of them what is there already, or is of another node, alone where it says who it is", async () => {
    await using aggregating = new Aggregating();
    const text = `${ebs("v")}ebs_ops_total{volume_id="v"} 2\nebs_ops_total{volume_id="w",node="other"} 3\n`;
    await aggregating.exporter("a", exposition(text, { "x-plumbline-node": "a" }));
    const seen = await aggregating.scrape();
    expect(samplesOf(seen)).toEqual(['ebs_ops_total{volume_id="v",cluster_id="c-1",node="a"} 1']);
    expect(upIn(seen)).toEqual(["a"]);
    expect(errorsIn(seen)).toEqual({ conflict: 1 });
  });
});

describe("two exporters on one node", () => {
  test("give each series once, and are one node", async () => {
    await using aggregating = new Aggregating();
    await aggregating.exporter(
      "a",
      exposition(`${ebs("v", 1)}# HELP csi_x X\n# TYPE csi_x gauge\ncsi_x 1\n`),
    );
    await aggregating.exporter("a", exposition(`${ebs("v", 2)}ebs_ops_total{volume_id="w"} 2\n`));
    const text = await aggregating.scrape();
    expect(seriesOfExposition(text).get('plumbline_aggregate_node_samples{node="a"}')).toBe(3);
    expect(samplesOf(text).length).toBe(3);
    expect(upIn(text)).toEqual(["a"]);
  });

  test("are not up where one of them fails", async () => {
    await using aggregating = new Aggregating();
    await aggregating.exporter("a", exposition(ebs("v")));
    await aggregating.exporter("a", reset);
    const text = await aggregating.scrape();
    expect(upIn(text)).toEqual([]);
    expect(samplesOf(text).length).toBe(1);
  });
});

describe("a scrape", () => {
  test("asks at most 32 exporters at a time", async () => {
    await using aggregating = new Aggregating();
    let running = 0;
    let most = 0;
    for (let i = 0; i < 80; i++)
      await aggregating.exporter(`n-${i}`, (connection, asked) => {
        most = Math.max(most, ++running);
        setTimeout(() => {
          running--;
          exposition(ebs("v"))(connection, asked);
        }, 5);
      });
    expect(upIn(await aggregating.scrape(20_000)).length).toBe(80);
    expect(most).toBe(32);
  });

  test("has every good exporter's samples though more are silent than are asked at a time", async () => {
    await using aggregating = new Aggregating();
    for (let i = 0; i < 40; i++) await aggregating.exporter(`silent-${i}`, silence);
    for (let i = 0; i < 60; i++) await aggregating.exporter(`good-${i}`, exposition(ebs(`v-${i}`)));
    const start = performance.now();
    const text = await aggregating.scrape(4000);
    expect(performance.now() - start).toBeLessThan(4000);
    expect(upIn(text).length).toBe(60);
    expect(errorsIn(text)).toEqual({ timeout: 40 });
  });

  test("asks whoever was slow once more, when all others have been asked, and last from then on", async () => {
    await using aggregating = new Aggregating();
    const order: string[] = [];
    const slowly: Conduct = (connection, asked) => {
      order.push("slow");
      setTimeout(() => exposition(ebs("v"))(connection, asked), 1500);
    };
    await aggregating.exporter("slow", slowly);
    for (let i = 0; i < 99; i++)
      await aggregating.exporter(`n-${i}`, (connection, asked) => {
        order.push("prompt");
        exposition(ebs("v"))(connection, asked);
      });
    expect(upIn(await aggregating.scrape(5000)).length).toBe(100);
    expect(order.filter((who) => who === "slow").length).toBe(2);
    order.length = 0;
    expect(upIn(await aggregating.scrape(5000)).length).toBe(100);
    expect(order.indexOf("slow")).toBe(99);
  });

  test("is joined by one that comes while it runs", async () => {
    await using aggregating = new Aggregating();
    const server = await aggregating.exporter("a", (connection, asked) => {
      setTimeout(() => exposition(ebs("v"))(connection, asked), 50);
    });
    const [first, second] = await Promise.all([aggregating.scrape(), aggregating.scrape()]);
    expect(first).toBe(second);
    expect(server.asked.length).toBe(1);
  });

  test("that joined another answers at its own deadline with what has arrived", async () => {
    await using aggregating = await beside(silence);
    const leave = new AbortController();
    const longer = aggregating.scrape(20_000, leave.signal).catch(() => "left");
    const text = await aggregating.scrape(500);
    expect(upIn(text)).toEqual(GOOD);
    leave.abort();
    expect(await longer).toBe("left");
  });

  test("whose client has gone gives up at once, and lets go of the exporters", async () => {
    await using aggregating = new Aggregating();
    const server = await aggregating.exporter("a", silence);
    const leave = new AbortController();
    const scrape = aggregating.scrape(20_000, leave.signal);
    while (server.asked.length === 0) await Bun.sleep(5);
    leave.abort(new Error("gone"));
    expect(scrape).rejects.toThrow("gone");
    while (server.open > 0) await Bun.sleep(5);
  });
});

describe("the log", () => {
  test("speaks of each reason once, names nodes, and holds nothing of what an exporter said", async () => {
    await using aggregating = new Aggregating();
    const secret = "hunter2";
    for (let i = 0; i < 8; i++)
      await aggregating.exporter(`n-${i}`, answer(500, secret, { ...TEXT, "x-secret": secret }));
    await aggregating.exporter("m", exposition(`ebs_a{x="${secret}" 1\n`));
    for (let i = 0; i < 3; i++) await aggregating.scrape();
    expect(
      aggregating.log.lines.map(({ level, fields }) => [level, fields["reason"], fields["nodes"]]),
    ).toEqual([
      ["warn", "http", "n-0, n-1, n-2, n-3, n-4 and 3 more"],
      ["warn", "parse", "m"],
    ]);
    expect(JSON.stringify(aggregating.log.lines)).not.toContain(secret);
  });
});
