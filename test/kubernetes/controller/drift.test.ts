import { describe, expect, test } from "bun:test";
import { Applied, isBefore, manifestHash } from "../../../src/kubernetes/controller/drift.ts";
import type { KubernetesObject } from "../../../src/kubernetes/object.ts";

const entry = (fieldsV1: unknown, more: object = {}) => ({
  manager: "plumbline-operator",
  operation: "Apply",
  fieldsV1,
  ...more,
});
const OURS = entry({ "f:data": { "f:a": {}, "f:b": {} } });
const object = (
  version: string,
  managedFields: Record<string, unknown>[] = [OURS],
  uid = "u",
): KubernetesObject => ({
  metadata: { name: "x", uid, resourceVersion: version, managedFields },
});

describe("an applied object", () => {
  const applied = () => new Applied("hash", object("7"), object("5"));

  test("is as applied while our record of its fields is the same, in whatever order and beside whatever else", () => {
    const reordered = entry({ "f:data": { "f:b": {}, "f:a": {} } }, { time: "2026-01-01T00:00:00Z" });
    const other = { manager: "kubectl-edit", operation: "Update", fieldsV1: { "f:data": { "f:c": {} } } };
    expect(applied().standing(object("9", [other, reordered]))).toBe("as applied");
  });

  test("has changed when a field of ours is somebody else's now", () => {
    expect(applied().standing(object("9", [entry({ "f:data": { "f:a": {} } })]))).toBe("changed");
  });

  test("has changed when the record was thrown away", () => {
    expect(applied().standing(object("9", []))).toBe("changed");
  });

  test("is not judged by the record of another operation or of a subresource", () => {
    const others = [
      entry({ "f:x": {} }, { operation: "Update" }),
      entry({ "f:x": {} }, { subresource: "status" }),
    ];
    expect(applied().standing(object("9", [...others, OURS]))).toBe("as applied");
  });

  test("is not judged by how it was before it was applied", () => {
    expect(applied().standing(object("5", []))).toBe("not known yet");
    expect(applied().standing(object("6", []))).toBe("not known yet");
  });

  test("is judged by a version that is not a number only if it was not there before", () => {
    const opaque = new Applied("hash", object("b"), object("a"));
    expect(opaque.standing(object("a", []))).toBe("not known yet");
    expect(opaque.standing(object("c", []))).toBe("changed");
  });

  test("that was new is not gone as long as it was never seen, and is gone after that", () => {
    const made = new Applied("hash", object("7"), undefined);
    expect(made.standing(undefined)).toBe("not known yet");
    expect(made.standing(object("7"))).toBe("as applied");
    expect(made.standing(undefined)).toBe("deleted");
  });

  test("that was made anew by somebody else has changed", () => {
    expect(applied().standing(object("9", [OURS], "another"))).toBe("changed");
  });
});

test("versions are compared as numbers of any length", () => {
  expect(isBefore("9", "10")).toBe(true);
  expect(isBefore("10", "9")).toBe(false);
  expect(isBefore("99999999999999999998", "99999999999999999999")).toBe(true);
  expect(isBefore("7", "7")).toBe(false);
  expect(isBefore(undefined, "7")).toBe(false);
});

test("a manifest's hash does not depend on the order of its members, and on all of their values", () => {
  const manifest = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x" }, data: { a: "1", b: "2" } };
  expect(manifestHash({ ...manifest, data: { b: "2", a: "1" } })).toBe(manifestHash(manifest));
  expect(manifestHash({ ...manifest, data: { b: "2", a: "3" } })).not.toBe(manifestHash(manifest));
});
