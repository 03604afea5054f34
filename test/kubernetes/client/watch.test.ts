/** Watches: their events as they come, and every way in which one can end. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { inspect } from "node:util";
import type { KubernetesApi } from "../../../src/kubernetes/client/api.ts";
import type { ApiReason } from "../../../src/kubernetes/client/failure.ts";
import { watchEvents } from "../../../src/kubernetes/client/watch.ts";
import { CONFIG_MAP } from "../../../src/kubernetes/object.ts";
import { type Conduct, hangUp, silence } from "../../support/hostile-server.ts";
import { type Certificates, makeCertificates } from "../../web/certificates.ts";
import {
  accessTo,
  beginWatch,
  bookmark,
  clientOf,
  configMap,
  cutWatch,
  event,
  failureOf,
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

const { signal } = new AbortController();

/** Fills `seen` as the events come. */
async function follow(api: KubernetesApi, seen: string[] = [], ends = signal): Promise<string[]> {
  for await (const { type, object } of await api.watch(CONFIG_MAP, { namespace: "n" }, "1", ends))
    seen.push(`${type} ${object.metadata.name} ${object.metadata.resourceVersion}`);
  return seen;
}

describe("a watch", () => {
  test("asks for bookmarks, from a version on and for a time that is another one each time", async () => {
    await using server = await serving(made, wholeWatch());
    const api = clientOf(accessTo(server, made));
    for (let time = 0; time < 5; time++) await follow(api);
    const queries = server.paths.map((path) => new URLSearchParams(path.replace(/.*\?/, "")));
    expect(Object.fromEntries(queries[0] ?? [])).toMatchObject({
      watch: "1",
      resourceVersion: "1",
      allowWatchBookmarks: "true",
    });
    const seconds = queries.map((query) => Number(query.get("timeoutSeconds")));
    for (const time of seconds) {
      expect(time).toBeGreaterThanOrEqual(300);
      expect(time).toBeLessThanOrEqual(600);
    }
    expect(new Set(seconds).size).toBeGreaterThan(1);
  });

  test("gives each event when its line is whole, and ends as the server ends it", async () => {
    const line = event("MODIFIED", { ...configMap("b", "3"), data: { text: "zwölf" } });
    const bytes = Buffer.from(line).toString("latin1");
    const half = Buffer.from(bytes.slice(0, bytes.indexOf("w") + 2), "latin1");
    await using server = await serving(made, (connection, asked) => {
      beginWatch(event("ADDED", configMap("a", "2")))(connection, asked);
      const rest = Buffer.from(line).subarray(half.length);
      for (const piece of [half, rest, Buffer.from(`\n${bookmark("4")}`)])
        connection.write(
          Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]),
        );
      setTimeout(() => connection.write("0\r\n\r\n"), 20);
    });
    expect(await follow(clientOf(accessTo(server, made)))).toEqual([
      "ADDED a 2",
      "MODIFIED b 3",
      "BOOKMARK  4",
    ]);
  });

  test("that goes on gives what has come, and ends at once when nobody wants it any more", async () => {
    await using server = await serving(made, beginWatch(event("ADDED", configMap("a", "2"))));
    const caller = new AbortController();
    const seen: string[] = [];
    const following = follow(clientOf(accessTo(server, made)), seen, caller.signal);
    await until(() => seen.length === 1);
    caller.abort("enough");
    expect(following).rejects.toBe("enough");
    await until(() => server.open === 0);
  });

  test("whose reader stops at an event is ended", async () => {
    await using server = await serving(made, beginWatch(event("ADDED", configMap("a", "2"))));
    for await (const _ of await clientOf(accessTo(server, made)).watch(CONFIG_MAP, {}, "1", signal)) break;
    await until(() => server.open === 0);
  });

  test("that never sends a byte ends by itself, some time after the server should have ended it", async () => {
    await using server = await serving(made, beginWatch());
    const api = clientOf(accessTo(server, made), { watchSeconds: () => -29.9 });
    expect(await follow(api)).toEqual([]);
    await until(() => server.open === 0);
  });

  const failing: [string, Conduct, ApiReason, string][] = [
    ["is not answered", silence, "timeout", "no answer"],
    ["is refused as too old", status(410, { reason: "Expired" }), "gone", "(410)"],
    [
      "says in an event that it is too old",
      beginWatch(event("ERROR", { kind: "Status", code: 410, message: "planted" })),
      "gone",
      "(410)",
    ],
    [
      "says in an event that it failed",
      beginWatch(event("ERROR", { kind: "Status", code: 500 })),
      "server_error",
      "(500)",
    ],
    ["says in an event what is no Status", beginWatch(event("ERROR", "planted")), "server_error", "(500)"],
    ["is asked for too often", status(429), "too_many_requests", "(429)"],
    ["is forbidden", status(403), "forbidden", '"verbs":["watch"]'],
    ["is of a kind that nobody knows", status(404), "not_found", "(404)"],
    ["ends with the connection", cutWatch(bookmark("2")), "connect", "cut off"],
    ["ends with the connection within a line", cutWatch('{"type":"ADDED","obj'), "connect", "cut off"],
    ["ends before it begins", hangUp, "connect", "closed"],
    ["sends what is no JSON", beginWatch('{"planted\n'), "bad_body", "no event"],
    ["sends what is no event", beginWatch('{"type":"PLANTED","object":{}}\n'), "bad_body", "no event"],
    ["sends what is no object", beginWatch(event("ADDED", { planted: 1 })), "bad_body", "no event"],
  ];
  test.each(failing)("that %s fails, and nothing of it is quoted", async (_, conduct, reason, words) => {
    await using server = await serving(made, conduct);
    const api = clientOf(accessTo(server, made), { timeoutMs: reason === "timeout" ? 200 : 10_000 });
    const failure = await failureOf(follow(api));
    expect(failure.reason).toBe(reason);
    expect(failure.message).toStartWith("cannot watch configmaps in namespace n");
    expect(failure.message).toContain(words);
    expect(inspect(failure, { depth: 9, showHidden: true })).not.toContain("planted");
    await until(() => server.open === 0 || failure.status !== undefined);
  });
});

describe("the lines of a watch", () => {
  const read = async (...pieces: readonly string[]): Promise<string[]> => {
    const types: string[] = [];
    for await (const { type } of watchEvents(chunks(pieces), "the watch")) types.push(type);
    return types;
  };
  async function* chunks(pieces: readonly string[]): AsyncGenerator<Uint8Array> {
    for (const piece of pieces) yield Buffer.from(piece);
  }

  test("may come byte by byte, many at once, and with nothing on them", async () => {
    const lines = `${event("ADDED", configMap("a", "2"))}\n\r\n${event("DELETED", configMap("a", "3"))}${bookmark("4")}`;
    expect(await read(lines)).toEqual(["ADDED", "DELETED", "BOOKMARK"]);
    expect(await read(...lines)).toEqual(["ADDED", "DELETED", "BOOKMARK"]);
  });

  test("are dropped where the end is missing", async () => {
    expect(await read(event("ADDED", configMap("a", "2")), bookmark("4").trim())).toEqual(["ADDED"]);
  });

  test("of more than 16 MiB are refused before they end", async () => {
    const mebibyte = "x".repeat(2 ** 20);
    const refused = read(...Array.from({ length: 17 }, () => mebibyte));
    expect(refused).rejects.toThrow("an event of the watch is larger than 16777216 bytes");
  });
});
