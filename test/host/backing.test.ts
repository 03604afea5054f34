import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Backing, type BackingRole, backingOf, type Layer } from "../../src/host/backing.ts";

const whole = (...slaves: string[]): Layer => ({ kind: "whole", slaves, isSure: true });

/** What is below `device` in a graph, where all that is not in it is missing. */
function below(graph: Readonly<Record<string, Layer>>, device: string): Backing {
  return backingOf(device, (name) => graph[name] ?? { kind: "missing" });
}

/** One device on another: `0` on `1` on … on the last. */
const chain = (length: number): Record<string, Layer> =>
  Object.fromEntries(
    Array.from({ length }, (_, at) => [`${at}`, at + 1 < length ? whole(`${at + 1}`) : whole()]),
  );

describe("the way down", () => {
  test("a device that two others share is there once", () => {
    const graph = { a: whole("b", "c"), b: whole("d"), c: whole("d"), d: whole() };
    expect(below(graph, "a")).toEqual({ devices: [{ device: "d", role: "leaf" }], complete: true });
  });

  test("reaches sixteen layers, and is not complete where there are more", () => {
    expect(below(chain(17), "0")).toEqual({ devices: [{ device: "16", role: "leaf" }], complete: true });
    expect(below(chain(18), "0")).toEqual({ devices: [], complete: false });
  });

  test("ends at a loop, and what is known beside it is told", () => {
    const graph = { a: whole("b", "c"), b: whole("a"), c: whole() };
    expect(below(graph, "a")).toEqual({ devices: [{ device: "c", role: "leaf" }], complete: false });
    expect(below({ a: whole("a") }, "a")).toEqual({ devices: [], complete: false });
  });

  test("ends where layers stand on each other in all ways, without walking all of them", () => {
    const names = Array.from({ length: 40 }, (_, at) => `${at}`);
    const graph = Object.fromEntries(names.map((name) => [name, whole(...names)]));
    expect(below(graph, "0")).toEqual({ devices: [], complete: false });
  });

  test("goes on below the disk of a partition, and stops at a multipath device", () => {
    const graph: Record<string, Layer> = {
      md0p1: { kind: "partition", disk: "md0" },
      md0: whole("dm-0", "sdb"),
      "dm-0": { kind: "multipath" },
      sdb: whole(),
    };
    expect(below(graph, "md0p1")).toEqual({
      devices: [
        { device: "dm-0", role: "multipath" },
        { device: "md0", role: "partition_parent" },
        { device: "sdb", role: "leaf" },
      ],
      complete: true,
    });
  });

  test("a device has the first role that applies, whichever way it is met first", () => {
    const disk: Record<string, Layer> = { sda: whole(), sda1: { kind: "partition", disk: "sda" } };
    for (const slaves of [
      ["sda", "sda1"],
      ["sda1", "sda"],
    ]) {
      expect(below({ ...disk, lv: whole(...slaves) }, "lv").devices).toEqual([
        { device: "sda", role: "partition_parent" },
      ]);
    }
    const paths: Record<string, Layer> = { m: { kind: "multipath" }, m1: { kind: "partition", disk: "m" } };
    expect(below(paths, "m1").devices).toEqual([{ device: "m", role: "multipath" }]);
  });

  test("a device that is missing, or of which not all could be read, leaves the answer incomplete", () => {
    expect(below({}, "a")).toEqual({ devices: [], complete: false });
    expect(below({ a: whole("b", "gone"), b: whole() }, "a")).toEqual({
      devices: [{ device: "b", role: "leaf" }],
      complete: false,
    });
    expect(below({ a: { kind: "whole", slaves: [], isSure: false } }, "a")).toEqual({
      devices: [],
      complete: false,
    });
  });

  test("whatever the graph, the answer is that of its definition", () => {
    const names = ["a", "b", "c", "d", "e", "f", "g"];
    const name = fc.constantFrom(...names);
    const slaves = fc.uniqueArray(name, { maxLength: 3 });
    const layer: fc.Arbitrary<Layer> = fc.oneof(
      { weight: 6, arbitrary: slaves.map((slaves) => whole(...slaves.sort())) },
      { weight: 1, arbitrary: slaves.map((slaves): Layer => ({ kind: "whole", slaves, isSure: false })) },
      { weight: 2, arbitrary: name.map((disk): Layer => ({ kind: "partition", disk })) },
      { weight: 1, arbitrary: fc.constant<Layer>({ kind: "multipath" }) },
      { weight: 1, arbitrary: fc.constant<Layer>({ kind: "missing" }) },
    );
    const acyclic = (graph: Record<string, Layer>): Record<string, Layer> =>
      Object.fromEntries(Object.entries(graph).map(([name, layer]) => [name, onlyLater(name, layer)]));
    const any = fc.record(Object.fromEntries(names.map((name) => [name, layer])));
    fc.assert(
      fc.property(fc.oneof(any, any.map(acyclic)), (graph) => {
        expect(below(graph, "a")).toEqual(byDefinition(graph, "a"));
      }),
      { numRuns: 500 },
    );
  });
});

/** Without what stands at or before it in the alphabet, so that there is no loop. */
function onlyLater(name: string, layer: Layer): Layer {
  if (layer.kind === "whole") return { ...layer, slaves: layer.slaves.filter((slave) => slave > name) };
  return layer.kind === "partition" && layer.disk <= name ? whole() : layer;
}

/** The table of roles, read as it stands; for graphs too small to be too deep. */
function byDefinition(graph: Readonly<Record<string, Layer>>, device: string): Backing {
  const layerOf = (name: string): Layer => graph[name] ?? { kind: "missing" };
  const next = (name: string): readonly string[] => {
    const layer = layerOf(name);
    if (layer.kind === "whole") return layer.slaves;
    return layer.kind === "partition" ? [layer.disk] : [];
  };
  const reachedFrom = (names: readonly string[]): Set<string> => {
    const reached = new Set(names);
    for (const name of reached) for (const below of next(name)) reached.add(below);
    return reached;
  };
  const met = [...reachedFrom([device])].sort();
  const isDisk = (name: string): boolean =>
    met.some((other) => layerOf(other).kind === "partition" && next(other).includes(name));
  const roleOf = (name: string): BackingRole | undefined => {
    const layer = layerOf(name);
    if (layer.kind === "multipath") return "multipath";
    if (isDisk(name)) return "partition_parent";
    return layer.kind === "whole" && layer.isSure && layer.slaves.length === 0 ? "leaf" : undefined;
  };
  const isKnown = (name: string): boolean => {
    const layer = layerOf(name);
    return layer.kind !== "missing" && (layer.kind !== "whole" || layer.isSure);
  };
  return {
    devices: met.flatMap((device) => {
      const role = roleOf(device);
      return role === undefined ? [] : [{ device, role }];
    }),
    complete: met.every((name) => isKnown(name) && !reachedFrom(next(name)).has(name)),
  };
}
