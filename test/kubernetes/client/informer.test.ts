/** Copies of what an API server has: how they come to be, how they are kept, and how they survive what goes wrong. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { Informer, type InformerOptions } from "../../../src/kubernetes/client/informer.ts";
import { CONFIG_MAP } from "../../../src/kubernetes/object.ts";
import type { Asked, Conduct, HostileServer } from "../../support/hostile-server.ts";
import { type Certificates, makeCertificates } from "../../web/certificates.ts";
import {
  accessTo,
  beginWatch,
  bookmark,
  clientOf,
  configMap,
  cutWatch,
  event,
  isWatch,
  listOf,
  quiet,
  serving,
  status,
  until,
  wholeWatch,
} from "./scripted-api.ts";

let made: Certificates;
beforeAll(() => {
  made = makeCertificates();
});
afterAll(() => rmSync(made.directory, { recursive: true }));

/** Each list and each watch is answered by the next of these; the last one again and again. */
function scripted(lists: Conduct[], watches: Conduct[]): Conduct {
  const next = (conducts: Conduct[]) => (conducts.length > 1 ? conducts.shift() : conducts[0]);
  return (connection, asked) => next(isWatch(asked) ? watches : lists)?.(connection, asked);
}

function informing(server: HostileServer, options: Partial<InformerOptions> = {}) {
  const told: string[] = [];
  const restarts: string[] = [];
  const informer = new Informer(
    clientOf(accessTo(server, made)),
    CONFIG_MAP,
    { namespace: "n" },
    {
      log: quiet,
      onChange: ({ metadata }, change) => told.push(`${change} ${metadata.name} ${metadata.resourceVersion}`),
      onRestart: (reason) => restarts.push(reason),
      ...options,
    },
  );
  const end = new AbortController();
  const running = informer.run(end.signal);
  return {
    informer,
    told,
    restarts,
    [Symbol.asyncDispose]: async () => {
      end.abort();
      await running;
    },
  };
}

const versionOf = ({ path }: Asked) => new URLSearchParams(path.replace(/.*\?/, "")).get("resourceVersion");
const lists = (server: HostileServer) => server.asked.filter((asked) => !isWatch(asked));
const watches = (server: HostileServer) => server.asked.filter(isWatch);
const names = (informer: Informer) => informer.list().map(({ metadata }) => metadata.name);

describe("an informer", () => {
  test("lists what there is, and follows what becomes of it", async () => {
    const events = [
      event("ADDED", configMap("b", "11")),
      event("MODIFIED", configMap("a", "12")),
      event("DELETED", configMap("b", "13")),
    ];
    await using server = await serving(
      made,
      scripted([listOf("10", configMap("a", "1"))], [beginWatch(...events)]),
    );
    await using informing_ = informing(server);
    const { informer, told } = informing_;
    expect([informer.hasSynced, informer.exists]).toEqual([false, false]);
    await until(() => told.length === 4);
    expect(told).toEqual(["added a 1", "added b 11", "modified a 12", "deleted b 13"]);
    expect([informer.hasSynced, informer.exists, informer.failure]).toEqual([true, true, undefined]);
    expect(names(informer)).toEqual(["a"]);
    expect(informer.get("a", "n")?.metadata.resourceVersion).toBe("12");
    expect([informer.get("a"), informer.get("b", "n")]).toEqual([undefined, undefined]);
    expect(watches(server).map(versionOf)).toEqual(["10"]);
  });

  test("holds a change already when it tells of it", async () => {
    await using server = await serving(made, scripted([listOf("10", configMap("a", "1"))], [beginWatch()]));
    const seen: unknown[] = [];
    await using informing_ = informing(server, {
      onChange: () => seen.push(informing_.informer.get("a", "n")?.metadata.resourceVersion),
    });
    await until(() => seen.length > 0);
    expect(seen).toEqual(["1"]);
  });

  test("keeps of an object what it is told to keep", async () => {
    const full = { ...configMap("a", "1"), data: { large: "text" } };
    await using server = await serving(
      made,
      scripted([listOf("10", full)], [beginWatch(event("MODIFIED", { ...full, data: {} }))]),
    );
    await using informing_ = informing(server, { keep: ({ metadata }) => ({ metadata }) });
    const { informer, told } = informing_;
    await until(() => told.length === 2);
    expect(Object.keys(informer.get("a", "n") ?? {})).toEqual(["metadata"]);
  });

  test.each([
    ["the server ends it", wholeWatch(bookmark("20")), "ended", "20"],
    ["the connection breaks", cutWatch(bookmark("20")), "connect", "20"],
    ["the connection breaks within an event", cutWatch(bookmark("20"), '{"type":'), "connect", "20"],
    ["the server fails", beginWatch(bookmark("20"), event("ERROR", { code: 500 })), "server_error", "20"],
    ["it may not go on", status(403), "forbidden", "10"],
    ["it may not go on yet", status(429), "too_many_requests", "10"],
  ])("goes on from the last version, without a list, where %s", async (_, conduct, reason, version) => {
    await using server = await serving(
      made,
      scripted([listOf("10", configMap("a", "1"))], [conduct, beginWatch()]),
    );
    await using informing_ = informing(server);
    await until(() => watches(server).length === 2);
    expect(watches(server).map(versionOf)).toEqual(["10", version]);
    expect(lists(server)).toHaveLength(1);
    expect(informing_.restarts).toEqual([reason]);
    expect(informing_.told).toEqual(["added a 1"]);
  });

  test.each([
    ["an answer", status(410, { reason: "Expired" }), "gone"],
    ["an event", beginWatch(event("ERROR", { kind: "Status", code: 410 })), "gone"],
    ["an event that nobody understands", beginWatch("{}\n"), "bad_body"],
  ])("lists anew after 410, and tells only of what differs: %s", async (_, conduct, reason) => {
    const before = listOf(
      "10",
      configMap("kept", "1"),
      configMap("changed", "2"),
      configMap("gone", "3"),
      configMap("again", "4", "one"),
    );
    const after = listOf(
      "30",
      configMap("kept", "1"),
      configMap("changed", "22"),
      configMap("new", "23"),
      configMap("again", "24", "other"),
    );
    await using server = await serving(made, scripted([before, after], [conduct, beginWatch()]));
    await using informing_ = informing(server);
    const { told, restarts } = informing_;
    await until(() => watches(server).length === 2);
    expect(told.slice(4).toSorted()).toEqual([
      "added again 24",
      "added new 23",
      "deleted again 4",
      "deleted gone 3",
      "modified changed 22",
    ]);
    expect(told.indexOf("deleted again 4")).toBeLessThan(told.indexOf("added again 24"));
    expect(watches(server).map(versionOf)).toEqual(["10", "30"]);
    expect(restarts).toEqual([reason]);
  });

  test("lists anew where watches end at once and tell nothing, and says so", async () => {
    const said: unknown[] = [];
    const log = { ...quiet, warn: (_: string, fields?: object) => said.push(fields) };
    await using server = await serving(
      made,
      scripted([listOf("10"), listOf("20", configMap("a", "15"))], [wholeWatch("<html></html>")]),
    );
    await using informing_ = informing(server, { log });
    await until(() => informing_.told.length > 0);
    expect(informing_.told).toEqual(["added a 15"]);
    expect(said).toEqual([
      {
        kind: "ConfigMap",
        reason: "bad_body",
        err: "cannot watch configmaps: the answer ended at once, without an event",
      },
    ]);
  });

  test("lists page by page, and knows of nothing before it knows of all", async () => {
    const more = (connection: Parameters<Conduct>[0], asked: Asked) => {
      const isFirst = !asked.path.includes("continue=");
      const body = {
        metadata: { resourceVersion: "10", continue: isFirst ? "x" : "" },
        items: [configMap(isFirst ? "a" : "b", "1")],
      };
      const text = JSON.stringify(body);
      connection.write(`HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
    };
    await using server = await serving(made, scripted([more], [beginWatch()]));
    const known: number[] = [];
    await using informing_ = informing(server, {
      onChange: () => known.push(informing_.informer.list().length),
    });
    await until(() => known.length === 2);
    expect(known).toEqual([2, 2]);
  });

  test("of a kind that nobody knows is empty and synced, and begins when it is told to look again", async () => {
    const there = listOf("10", configMap("a", "1"));
    await using server = await serving(
      made,
      scripted([status(404), there, status(404)], [beginWatch(), status(404)]),
    );
    await using informing_ = informing(server);
    const { informer, told } = informing_;
    await until(() => informer.hasSynced);
    expect([informer.exists, informer.list(), informer.failure?.reason]).toEqual([false, [], "not_found"]);
    await until(() => {
      informer.retryNow();
      return told.length > 0;
    });
    expect([informer.exists, names(informer)]).toEqual([true, ["a"]]);
  });

  test("forgets what there was when its kind is gone", async () => {
    await using server = await serving(made, scripted([listOf("10", configMap("a", "1"))], [status(404)]));
    await using informing_ = informing(server);
    await until(() => informing_.told.length === 2);
    expect(informing_.told).toEqual(["added a 1", "deleted a 1"]);
    expect([informing_.informer.exists, informing_.informer.list()]).toEqual([false, []]);
  });

  test("says why it cannot, once in the log, and until it can again", async () => {
    const lines: string[] = [];
    const log = {
      ...quiet,
      warn: (message: string) => lines.push(message),
      info: (message: string) => lines.push(message),
    };
    await using server = await serving(
      made,
      scripted([status(500), status(500), listOf("10")], [beginWatch()]),
    );
    await using informing_ = informing(server, { log });
    const { informer, restarts } = informing_;
    await until(() => informer.failure !== undefined);
    expect([informer.failure?.reason, informer.hasSynced]).toEqual(["server_error", false]);
    await until(() => lines.length === 2);
    expect(lines).toEqual(["cannot watch", "watches again"]);
    expect([informer.failure, informer.hasSynced]).toEqual([undefined, true]);
    expect(restarts).toEqual(["server_error", "server_error"]);
  });

  test("says that it can again only when a watch has told something, where those before broke off", async () => {
    const lines: string[] = [];
    const log = {
      ...quiet,
      warn: (message: string) => lines.push(message),
      info: (message: string) => lines.push(message),
    };
    await using server = await serving(
      made,
      scripted([listOf("10")], [cutWatch(), cutWatch(), beginWatch(bookmark("20"))]),
    );
    await using _ = informing(server, { log });
    await until(() => lines.includes("watches again"));
    expect(watches(server)).toHaveLength(3);
    expect(lines).toEqual(["cannot watch", "watches again"]);
  });

  test("survives a server that goes away and comes back", async () => {
    const server = await serving(made, scripted([listOf("10", configMap("a", "1"))], [beginWatch()]));
    await using informing_ = informing(server);
    const { informer, told, restarts } = informing_;
    await until(() => watches(server).length === 1);
    await server.stop();
    await until(() => restarts.length === 2);
    expect([informer.failure?.reason, names(informer)]).toEqual(["connect", ["a"]]);
    await using again = await serving(
      made,
      scripted([listOf("50", configMap("b", "40"))], [status(410), beginWatch()]),
      server.port,
    );
    await until(() => watches(again).length === 2);
    expect(told).toEqual(["added a 1", "deleted a 1", "added b 40"]);
    expect(watches(again).map(versionOf)).toEqual(["10", "50"]);
  });

  test("waits longer from time to time, and at least as long as the server says", async () => {
    await using server = await serving(made, (connection) => {
      connection.write("HTTP/1.1 429 Busy\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n");
    });
    await using informing_ = informing(server);
    await until(() => informing_.informer.failure !== undefined);
    expect(informing_.informer.failure?.retryAfterMs).toBe(60_000);
    await Bun.sleep(1200);
    expect(server.asked).toHaveLength(1);
  });

  test("ends its watch when it is not wanted any more", async () => {
    await using server = await serving(made, scripted([listOf("10")], [beginWatch()]));
    {
      await using _ = informing(server);
      await until(() => watches(server).length === 1);
    }
    await until(() => lists(server).length === 1 && server.open <= 1);
  });
});
