/** Getting, listing and watching. */
import { expect } from "bun:test";
import { at, listOf, membersOf, textOf } from "../json.ts";
import { type Bed, type Behaviour, configMap, failure, soon, versionOf } from "./server.ts";

const named = (objects: unknown): unknown[] =>
  listOf(objects).map((object) => at(object, "metadata", "name"));
const told = (event: unknown): string =>
  `${String(at(event, "type"))} ${String(at(event, "object", "metadata", "name"))}`;

async function three({ ask, core }: Bed): Promise<void> {
  for (const [name, tier] of [
    ["a", "web"],
    ["b", "db"],
    ["c", undefined],
  ] as const) {
    const labels = tier === undefined ? {} : { tier };
    await ask.post(`${core}/configmaps`, configMap(name, {}, { labels: { ...labels, suite: "yes" } }));
  }
}
const OURS = "labelSelector=suite";

export const READING: readonly Behaviour[] = [
  {
    name: "what is not there is answered with 404 and a Status that names it",
    async run({ ask, core }) {
      const answer = await ask.get(`${core}/configmaps/nothing`);
      expect(failure(answer)).toEqual({ status: 404, reason: "NotFound" });
      expect(answer.body["details"]).toEqual({ name: "nothing", kind: "configmaps" });
      expect(answer.body["message"]).toBe('configmaps "nothing" not found');
    },
  },
  {
    name: "a group that nobody serves is answered with 404, and not with a Status",
    async run({ ask }) {
      const answer = await ask.get("/apis/nobody.example.com/v1/things");
      expect(answer).toEqual({ status: 404, body: { text: "404 page not found\n" } });
    },
  },
  {
    name: "a resource that its group does not have is answered with 404",
    async run({ ask }) {
      const answer = await ask.get("/apis/apps/v1/nothings");
      expect(answer.status).toBe(404);
    },
  },
  {
    name: "a list is in the order of names, and its items of built-in kinds do not say their kind",
    async run(bed) {
      await three(bed);
      const { body } = await bed.ask.get(`${bed.core}/configmaps?${OURS}`);
      expect(body).toMatchObject({ kind: "ConfigMapList", apiVersion: "v1" });
      expect(named(body["items"])).toEqual(["a", "b", "c"]);
      expect(listOf(body["items"]).map((item) => at(item, "kind"))).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
      expect(Number(versionOf(body))).toBeGreaterThan(0);
    },
  },
  {
    name: "a list comes in pages that show one moment",
    async run(bed) {
      await three(bed);
      const path = `${bed.core}/configmaps?${OURS}&limit=2`;
      const first = (await bed.ask.get(path)).body;
      const token = textOf(at(first, "metadata", "continue")) ?? "";
      await bed.ask.post(`${bed.core}/configmaps`, configMap("bb", {}, { labels: { suite: "yes" } }));
      const second = (await bed.ask.get(`${path}&continue=${encodeURIComponent(token)}`)).body;
      expect([...named(first["items"]), ...named(second["items"])]).toEqual(["a", "b", "c"]);
      expect(versionOf(second)).toBe(versionOf(first));
      expect(at(second, "metadata", "continue")).toBeUndefined();
    },
  },
  {
    name: "a list of metadata holds nothing else of an object, goes on page by page, and is asked for by Accept",
    async run(bed) {
      await three(bed);
      const path = `${bed.core}/configmaps?${OURS}&limit=2`;
      const accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
      const { body } = await bed.ask.getAs(path, accept);
      expect(body).toMatchObject({ kind: "PartialObjectMetadataList", apiVersion: "meta.k8s.io/v1" });
      expect(named(body["items"])).toEqual(["a", "b"]);
      expect(Object.keys(membersOf(listOf(body["items"])[0])).toSorted()).toEqual([
        "apiVersion",
        "kind",
        "metadata",
      ]);
      expect(textOf(at(body, "metadata", "continue"))).toBeDefined();
      expect(versionOf(body)).not.toBe("");
    },
  },
  {
    name: "a continue token that is none is answered with 400",
    async run({ ask, core }) {
      expect(failure(await ask.get(`${core}/configmaps?limit=1&continue=%21`))).toEqual({
        status: 400,
        reason: "BadRequest",
      });
    },
  },
  {
    name: "label selectors select",
    async run(bed) {
      await three(bed);
      const selected = async (selector: string) => {
        const path = `${bed.core}/configmaps?labelSelector=${encodeURIComponent(`suite=yes,${selector}`)}`;
        return named((await bed.ask.get(path)).body["items"]).join("");
      };
      expect(await selected("tier=web")).toBe("a");
      expect(await selected("tier==web")).toBe("a");
      expect(await selected("tier!=web")).toBe("bc");
      expect(await selected("tier")).toBe("ab");
      expect(await selected("!tier")).toBe("c");
      expect(await selected("tier in (web,db)")).toBe("ab");
      expect(await selected("tier notin (web)")).toBe("bc");
    },
  },
  {
    name: "a field selector selects by name",
    async run(bed) {
      await three(bed);
      const { body } = await bed.ask.get(`${bed.core}/configmaps?fieldSelector=metadata.name%3Db`);
      expect(named(body["items"])).toEqual(["b"]);
    },
  },
  {
    name: "a watch from a list's resourceVersion tells what came after it",
    async run(bed) {
      const { ask, core } = bed;
      const since = versionOf((await ask.get(`${core}/configmaps`)).body);
      const path = `${core}/configmaps`;
      await ask.post(path, configMap("w"));
      const changed = (await ask.patch(`${path}/w`, { data: { x: "1" } })).body;
      await ask.delete(`${path}/w`);
      const events = await ask.watch(
        `${path}?watch=1&fieldSelector=metadata.name%3Dw&timeoutSeconds=20&resourceVersion=${since}`,
        3,
      );
      expect(events.map(told)).toEqual(["ADDED w", "MODIFIED w", "DELETED w"]);
      const [, modified, deleted] = events.map((event) => event["object"]);
      expect(modified).toEqual({ ...changed });
      expect(at(deleted, "data")).toEqual({ x: "1" });
      expect(Number(versionOf(deleted))).toBeGreaterThan(Number(versionOf(modified)));
    },
  },
  {
    name: "a watch without a resourceVersion begins with what is there",
    async run(bed) {
      await three(bed);
      const events = await bed.ask.watch(`${bed.core}/configmaps?watch=1&${OURS}&timeoutSeconds=20`, 3);
      expect(events.map(told).toSorted()).toEqual(["ADDED a", "ADDED b", "ADDED c"]);
    },
  },
  {
    name: "to a watch with a selector, an object that does not fit any more is deleted",
    async run(bed) {
      const { ask, core } = bed;
      await three(bed);
      const since = versionOf((await ask.get(`${core}/configmaps`)).body);
      await ask.patch(`${core}/configmaps/a`, { metadata: { labels: { tier: null } } });
      await ask.patch(`${core}/configmaps/c`, { metadata: { labels: { tier: "web" } } });
      const query = `watch=1&labelSelector=tier%3Dweb&timeoutSeconds=20&resourceVersion=${since}`;
      const events = await ask.watch(`${core}/configmaps?${query}`, 2);
      expect(events.map(told)).toEqual(["DELETED a", "ADDED c"]);
    },
  },
  {
    name: "a watch ends after timeoutSeconds, with a whole line",
    async run({ ask, core }) {
      expect(await ask.watch(`${core}/configmaps?watch=1&timeoutSeconds=1&labelSelector=none`, 99)).toEqual(
        [],
      );
    },
  },
  {
    name: "a watch that asks for bookmarks gets one before it ends",
    async run({ ask, core }) {
      const since = versionOf((await ask.get(`${core}/configmaps`)).body);
      await ask.post(`${core}/configmaps`, configMap("other"));
      const query = `watch=1&allowWatchBookmarks=true&timeoutSeconds=10&labelSelector=none&resourceVersion=${since}`;
      const [bookmark] = await ask.watch(`${core}/configmaps?${query}`, 1);
      expect(bookmark).toMatchObject({ type: "BOOKMARK", object: { kind: "ConfigMap", apiVersion: "v1" } });
      expect(Number(versionOf(bookmark?.["object"]))).toBeGreaterThan(Number(since));
    },
  },
  {
    name: "an event comes while the watch is open",
    async run({ ask, core }) {
      const since = versionOf((await ask.get(`${core}/configmaps`)).body);
      const query = `watch=1&timeoutSeconds=20&fieldSelector=metadata.name%3Dlate&resourceVersion=${since}`;
      const events = ask.watch(`${core}/configmaps?${query}`, 1);
      await soon(async () => (await ask.post(`${core}/configmaps`, configMap("late"))).status === 201);
      expect((await events).map(told)).toEqual(["ADDED late"]);
    },
  },
  {
    name: "a resourceVersion that is no number is refused",
    async run({ ask, core }) {
      const answer = await ask.get(`${core}/configmaps?watch=1&resourceVersion=abc&timeoutSeconds=1`);
      expect(answer.status).toBeGreaterThanOrEqual(400);
    },
  },
];
