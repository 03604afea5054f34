import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parseVolumeData } from "../../src/csi/vol-data.ts";

const FIXTURES = join(import.meta.dir, "../../fixtures/kubelet/vol-data");

const parse = (json: unknown) => parseVolumeData(new TextEncoder().encode(JSON.stringify(json)));
const parseText = (text: string) => parseVolumeData(new TextEncoder().encode(text));

const LEAST = { driverName: "d", volumeHandle: "h" };

describe("vol_data.json", () => {
  test.each([
    [
      "published.json",
      {
        driver: "ebs.csi.aws.com",
        handle: "vol-0f1e2d3c4b5a69788",
        specVolumeId: "pvc-5a8dd5a9-2c4b-4c3e-9a53-0f4be2f8a4c1",
        ephemeral: false,
      },
    ],
    [
      "published-1.15.json",
      {
        driver: "inline.storage.kubernetes.io",
        handle: "csi-5f4dcc3b5aa765d61d8327deb882cf995f4dcc3b5aa765d61d8327deb882cf99",
        specVolumeId: "my-csi-volume",
        ephemeral: true,
      },
    ],
    [
      "inline.json",
      {
        driver: "secrets-store.csi.k8s.io",
        handle: "csi-8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4",
        specVolumeId: "secrets inline",
        ephemeral: true,
      },
    ],
    [
      "staged.json",
      {
        driver: "rook-ceph.rbd.csi.ceph.com",
        handle: "0001-0009-rook-ceph-0000000000000002-5a8dd5a9-2c4b-4c3e-9a53-0f4be2f8a4c1",
        specVolumeId: undefined,
        ephemeral: false,
      },
    ],
    [
      "block.json",
      {
        driver: "csi.trident.netapp.io",
        handle: "pvc-0c1d2e3f-4a5b-4c6d-8e7f-901234567890",
        specVolumeId: "pvc-0c1d2e3f-4a5b-4c6d-8e7f-901234567890",
        ephemeral: false,
      },
    ],
  ])("names the volume of %s", (file, volume) => {
    expect(parseVolumeData(readFileSync(join(FIXTURES, file)))).toEqual(volume);
  });

  test.each([
    ["is empty", ""],
    ["is blank", " \n"],
    ["is cut off", '{"driverName":"d","volumeHandle":"h'],
    ["goes on after its end", '{"driverName":"d","volumeHandle":"h"}}'],
    ["is a list", "[]"],
    ["is a text", '"h"'],
    ["is null", "null"],
    ["is deeper than any parser goes", "[".repeat(500_000)],
    ["is not text at all", "\u0000\u0001\u0002"],
  ])("names no volume where it %s", (_, text) => {
    expect(parseText(text)).toBeUndefined();
  });

  test.each([
    ["no handle", { driverName: "d" }],
    ["no driver", { volumeHandle: "h" }],
    ["an empty handle", { ...LEAST, volumeHandle: "" }],
    ["an empty driver", { ...LEAST, driverName: "" }],
    ["a number for a handle", { ...LEAST, volumeHandle: 5 }],
    ["null for a driver", { ...LEAST, driverName: null }],
    ["a list for a name", { ...LEAST, specVolID: ["pv"] }],
    ["a switch for a mode", { ...LEAST, volumeLifecycleMode: true }],
    ["a number for an old mode", { ...LEAST, driverMode: 1 }],
    ["a handle of 1025 bytes", { ...LEAST, volumeHandle: "h".repeat(1025) }],
    ["a handle of 513 letters of two bytes", { ...LEAST, volumeHandle: "ü".repeat(513) }],
    ["a driver of 1025 bytes", { ...LEAST, driverName: "d".repeat(1025) }],
    ["a name of 1025 bytes", { ...LEAST, specVolID: "p".repeat(1025) }],
  ])("names no volume where it has %s", (_, json) => {
    expect(parse(json)).toBeUndefined();
  });

  test("may hold labels of 1024 bytes", () => {
    const label = "ü".repeat(512);
    expect(parse({ driverName: label, volumeHandle: label, specVolID: label })).toEqual({
      driver: label,
      handle: label,
      specVolumeId: label,
      ephemeral: false,
    });
  });

  test("may hold members that nobody knows, of any type", () => {
    expect(parse({ ...LEAST, nodeName: 5, attachmentID: null, later: { than: ["this"] } })).toMatchObject({
      driver: "d",
      handle: "h",
    });
  });

  test("names no PersistentVolume where its name is empty", () => {
    expect(parse({ ...LEAST, specVolID: "" })?.specVolumeId).toBeUndefined();
  });

  test.each([
    ["Persistent", { volumeLifecycleMode: "Persistent" }, false],
    ["persistent, as Kubernetes 1.15 wrote it", { driverMode: "persistent" }, false],
    ["missing", {}, false],
    ["Ephemeral", { volumeLifecycleMode: "Ephemeral" }, true],
    ["ephemeral, as Kubernetes 1.15 wrote it", { driverMode: "ephemeral" }, true],
  ])("a mode that is %s", (_, mode, ephemeral) => {
    expect(parse({ ...LEAST, ...mode })?.ephemeral).toBe(ephemeral);
  });

  test("keeps a handle that would end a line of the exposition", () => {
    expect(parse({ ...LEAST, volumeHandle: 'a"\n}' })?.handle).toBe('a"\n}');
  });

  test("bytes that are not UTF-8 become U+FFFD", () => {
    const bytes = Buffer.from('{"driverName":"d","volumeHandle":"h\xff"}', "latin1");
    expect(parseVolumeData(bytes)?.handle).toBe("h\ufffd");
  });

  test("half of a surrogate pair becomes U+FFFD", () => {
    expect(parseText('{"driverName":"d","volumeHandle":"h\\ud800"}')?.handle).toBe("h\ufffd");
  });

  test("whatever bytes stand in it, the answer is a volume with names that fit, or none", () => {
    const label = fc.oneof(fc.string({ unit: "binary" }), fc.string({ maxLength: 2000, minLength: 900 }));
    const object = fc.record(
      {
        driverName: fc.oneof(label, fc.anything()),
        volumeHandle: fc.oneof(label, fc.anything()),
        specVolID: fc.oneof(label, fc.anything()),
        volumeLifecycleMode: fc.oneof(label, fc.anything()),
      },
      { requiredKeys: [] },
    );
    const json = object.map((members) => new TextEncoder().encode(textOf(members)));
    fc.assert(
      fc.property(fc.oneof(json, fc.uint8Array()), (bytes) => {
        const volume = parseVolumeData(bytes);
        if (volume === undefined) return;
        for (const name of [volume.driver, volume.handle, volume.specVolumeId ?? "none"]) {
          expect(name).not.toBe("");
          expect(name.isWellFormed()).toBe(true);
          expect(Buffer.byteLength(name)).toBeLessThanOrEqual(1024);
        }
      }),
    );
  });
});

/** Some of what fast-check makes has no JSON. */
function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    return "";
  }
}
