/** CustomResourceDefinitions: kinds that come and go, their schemas and their status. */
import { expect } from "bun:test";
import { crd } from "../crds.ts";
import { at, listOf } from "../json.ts";
import { type Bed, type Behaviour, failure, ownedBy, soon, versionOf } from "./server.ts";

const SCHEMA = {
  type: "object",
  properties: {
    spec: {
      type: "object",
      required: ["size"],
      properties: {
        size: { type: "integer", minimum: 1 },
        color: { type: "string", enum: ["red", "blue"], default: "red" },
        parts: {
          type: "array",
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["name"],
          items: {
            type: "object",
            required: ["name"],
            properties: { name: { type: "string" }, weight: { type: "integer" } },
          },
        },
        words: { type: "array", items: { type: "string" } },
        labels: { type: "object", additionalProperties: { type: "string" } },
        free: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
      },
    },
    status: {
      type: "object",
      properties: { phase: { type: "string" }, observedGeneration: { type: "integer" } },
    },
  },
};
/** Kubernetes 1.20 does not see list types where a schema has this somewhere. */
const WITH_INT_OR_STRING = {
  type: "object",
  properties: {
    spec: { type: "object", properties: { when: { "x-kubernetes-int-or-string": true } } },
  },
};
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

interface Things {
  readonly group: string;
  readonly things: string;
  thing(name: string, spec: unknown, more?: object): unknown;
}

/** Makes the kind Thing of a group that nobody else has, and takes it away again. */
async function withThings(
  bed: Bed,
  run: (things: Things) => Promise<void>,
  schema: unknown = SCHEMA,
): Promise<void> {
  const group = `${bed.namespace}.plumbline.test`;
  const things = `/apis/${group}/v1/namespaces/${bed.namespace}/things`;
  expect((await bed.ask.get(things)).status).toBe(404);
  await bed.ask.post(CRDS, crd(group, "v1", "Thing", "things", { schema }));
  try {
    await soon(async () => (await bed.ask.get(things)).status === 200);
    const thing = (name: string, spec: unknown, more: object = {}) => ({
      apiVersion: `${group}/v1`,
      kind: "Thing",
      metadata: { name },
      spec,
      ...more,
    });
    // The storage of a new kind is ready a moment after its list is.
    await soon(
      async () => (await bed.ask.post(`${things}?dryRun=All`, thing("try", { size: 1 }))).status === 201,
    );
    await run({ group, things, thing });
  } finally {
    await bed.ask.delete(`${CRDS}/things.${group}`);
  }
}

export const CUSTOM_RESOURCES: readonly Behaviour[] = [
  {
    name: "a kind is served when its CRD is there, says that it is established, and goes with it",
    async run(bed) {
      let path = "";
      await withThings(bed, async ({ group, things, thing }) => {
        path = things;
        const { body } = await bed.ask.get(`${CRDS}/things.${group}`);
        expect(at(body, "status", "conditions")).toContainEqual(
          expect.objectContaining({ type: "Established", status: "True" }),
        );
        const created = await bed.ask.post(things, thing("a", { size: 1 }));
        expect(created.status).toBe(201);
        const list = (await bed.ask.get(things)).body;
        expect(list["kind"]).toBe("ThingList");
        expect(listOf(list["items"]).map((item) => at(item, "kind"))).toEqual(["Thing"]);
      });
      await soon(async () => (await bed.ask.get(path)).status === 404);
    },
  },
  {
    name: "what does not fit the schema is refused, and each cause names its field",
    run: (bed) =>
      withThings(bed, async ({ things, thing }) => {
        const fields = async (spec: unknown) => {
          const answer = await bed.ask.post(things, thing("a", spec));
          expect(failure(answer)).toEqual({ status: 422, reason: "Invalid" });
          return listOf(at(answer.body, "details", "causes")).map((cause) => at(cause, "field"));
        };
        expect(await fields({})).toEqual(["spec.size"]);
        expect(await fields({ size: "big" })).toEqual(["spec.size"]);
        expect(await fields({ size: 0 })).toEqual(["spec.size"]);
        expect(await fields({ size: 1, color: "green" })).toEqual(["spec.color"]);
        expect(await fields({ size: 1, labels: { x: 1 } })).toEqual(["spec.labels.x"]);
      }),
  },
  {
    name: "a field may be a number or a text, and nothing else",
    run: (bed) =>
      withThings(
        bed,
        async ({ things, thing }) => {
          expect((await bed.ask.post(things, thing("a", { when: "10%" }))).status).toBe(201);
          expect((await bed.ask.post(things, thing("b", { when: 10 }))).status).toBe(201);
          expect((await bed.ask.post(things, thing("c", { when: true }))).status).toBe(422);
        },
        WITH_INT_OR_STRING,
      ),
  },
  {
    name: "members that the schema does not know are dropped, and defaults are filled in",
    run: (bed) =>
      withThings(bed, async ({ things, thing }) => {
        const spec = { size: 1, sise: 2, free: { x: { y: 1 } } };
        const { body } = await bed.ask.post(things, thing("a", spec));
        expect(body["spec"]).toEqual({ size: 1, color: "red", free: { x: { y: 1 } } });
      }),
  },
  {
    name: "the status is written through its subresource only, and does not count as a generation",
    run: (bed) =>
      withThings(bed, async ({ things, thing }) => {
        const path = `${things}/a`;
        const made = (await bed.ask.post(things, thing("a", { size: 1 }, { status: { phase: "x" } }))).body;
        expect([made["status"], at(made, "metadata", "generation")]).toEqual([undefined, 1]);
        const status = { phase: "ready" };
        const told = (await bed.ask.patch(`${path}/status`, { status, spec: { size: 5 } })).body;
        expect([told["status"], told["spec"], at(told, "metadata", "generation")]).toEqual([
          status,
          { size: 1, color: "red" },
          1,
        ]);
        const changed = (await bed.ask.patch(path, { spec: { size: 2 }, status: { phase: "no" } })).body;
        expect([changed["status"], at(changed, "metadata", "generation")]).toEqual([status, 2]);
        const labelled = (await bed.ask.patch(path, { metadata: { labels: { x: "y" } } })).body;
        expect(at(labelled, "metadata", "generation")).toBe(2);
      }),
  },
  {
    name: "a status is applied by its subresource, and only by it",
    run: (bed) =>
      withThings(bed, async ({ things, thing }) => {
        const path = `${things}/a`;
        await bed.ask.post(things, thing("a", { size: 1 }));
        const sent = { ...Object(thing("a", undefined)), spec: undefined, status: { phase: "ready" } };
        const { status, body } = await bed.ask.apply(`${path}/status`, "one-status", sent);
        expect([status, body["status"], body["spec"]]).toEqual([
          200,
          { phase: "ready" },
          { size: 1, color: "red" },
        ]);
        expect(ownedBy(body, "one-status")).toMatchObject({ "f:status": { "f:phase": {} } });
        const again = (await bed.ask.apply(`${path}/status`, "one-status", sent)).body;
        expect(versionOf(again)).toBe(versionOf(body));
      }),
  },
  {
    name: "managedFields tell the status subresource apart",
    since: 22,
    run: (bed) =>
      withThings(bed, async ({ things, thing }) => {
        const path = `${things}/a`;
        await bed.ask.apply(path, "one", thing("a", { size: 1 }));
        const sent = { ...Object(thing("a", undefined)), spec: undefined, status: { phase: "ready" } };
        const { body } = await bed.ask.apply(`${path}/status`, "one", sent);
        const entries = listOf(at(body, "metadata", "managedFields"));
        expect(entries.map((entry) => [at(entry, "subresource"), at(entry, "fieldsV1")])).toEqual([
          [undefined, { "f:spec": { "f:size": {} } }],
          ["status", { "f:status": { "f:phase": {} } }],
        ]);
      }),
  },
  {
    name: "apply follows the schema's list types: items by their keys, other lists as a whole",
    run: (bed) =>
      withThings(bed, async ({ things, thing }) => {
        const path = `${things}/a`;
        const part = (name: string, weight: number) => ({ name, weight });
        await bed.ask.apply(path, "one", thing("a", { size: 1, parts: [part("x", 1)], words: ["a"] }));
        const theirs = thing("a", { size: 1, parts: [part("y", 2)] });
        expect((await bed.ask.apply(path, "two", theirs)).status).toBe(200);
        const { body } = await bed.ask.apply(path, "one", thing("a", { size: 1, parts: [part("x", 3)] }));
        expect(body["spec"]).toEqual({ size: 1, color: "red", parts: [part("x", 3), part("y", 2)] });
        expect(ownedBy(body, "one")).toEqual({
          "f:spec": {
            "f:parts": { 'k:{"name":"x"}': { ".": {}, "f:name": {}, "f:weight": {} } },
            "f:size": {},
          },
        });
      }),
  },
  {
    name: "an object is not replaced without its resourceVersion",
    run: (bed) =>
      withThings(bed, async ({ things, thing }) => {
        await bed.ask.post(things, thing("a", { size: 1 }));
        const answer = await bed.ask.put(`${things}/a`, thing("a", { size: 2 }));
        expect(failure(answer)).toEqual({ status: 422, reason: "Invalid" });
      }),
  },
  {
    name: "a watch from before the CRD is answered with an ERROR event of 410",
    run: (bed) =>
      withThings(bed, async ({ things }) => {
        const events = await bed.ask.watch(`${things}?watch=1&resourceVersion=1&timeoutSeconds=5`, 1);
        expect(events).toMatchObject([
          { type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired", status: "Failure" } },
        ]);
      }),
  },
];
