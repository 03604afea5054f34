import { describe, expect, test } from "bun:test";
import { identifyController, identifyNamespace } from "../../../src/demo/nvme-pages.ts";
import { decodeIdentifyController } from "../../../src/nvme/pages/identify-controller.ts";
import { decodeIdentifyNamespace } from "../../../src/nvme/pages/identify-namespace.ts";

const AMAZON = 0x1d0f;

describe("Identify Controller", () => {
  test("every field is read", () => {
    const page = identifyController({
      vendorId: 0x144d,
      serial: "S4EVNX0R",
      model: "Plumb Bob 9000",
      firmware: "2B2QEXM7",
      attributes: 0x200,
      warningTemperatureKelvin: 343,
      criticalTemperatureKelvin: 353,
      totalCapacityBytes: 2n ** 100n + 1n,
      unallocatedCapacityBytes: 42n,
    });
    expect(decodeIdentifyController(page)).toEqual({
      page: {
        vendorId: 0x144d,
        serial: "S4EVNX0R",
        model: "Plumb Bob 9000",
        firmware: "2B2QEXM7",
        attributes: 0x200,
        warningTemperatureKelvin: 343,
        criticalTemperatureKelvin: 353,
        totalCapacityBytes: 2n ** 100n + 1n,
        unallocatedCapacityBytes: 42n,
        mapping: undefined,
      },
      problems: [],
    });
  });

  test.each(["sdf", "/dev/sdf", "xvdba"])("Amazon's block device mapping %p is read", (mapping) => {
    const page = identifyController({ vendorId: AMAZON, mapping });
    expect(decodeIdentifyController(page).page?.mapping).toBe(mapping);
  });

  test("a mapping padded with NULs is read", () => {
    const page = identifyController({ vendorId: AMAZON });
    page.set(new TextEncoder().encode("sdf"), 3072);
    expect(decodeIdentifyController(page).page?.mapping).toBe("sdf");
  });

  test("another vendor's bytes at 3072 are no mapping", () => {
    const page = identifyController({ vendorId: 0x144d, mapping: "sdf" });
    expect(decodeIdentifyController(page).page?.mapping).toBeUndefined();
  });

  test.each([
    ["bytes outside ASCII", "sd\u00e4"],
    ["a control character", "sd\u0007f"],
    ["a NUL in the middle", "sd\0f"],
    ["nothing but blanks", ""],
  ])("%s are no mapping", (_, mapping) => {
    const page = identifyController({ vendorId: AMAZON, mapping });
    expect(decodeIdentifyController(page).page?.mapping).toBeUndefined();
  });

  test("text loses its padding, and what is not printable becomes a question mark", () => {
    const page = identifyController({ model: "  Odd\u0001Model\u00e4  ", serial: "\0\0S1" });
    expect(decodeIdentifyController(page).page).toMatchObject({ model: "Odd?Model??", serial: "S1" });
  });

  test("a short answer is a bad identity", () => {
    const { page, problems } = decodeIdentifyController(new Uint8Array(3000));
    expect(page).toBeUndefined();
    expect(problems).toEqual([
      { reason: "bad_identity", detail: "Identify Controller has 3000 bytes instead of 4096" },
    ]);
  });
});

describe("Identify Namespace", () => {
  const blocks = { sizeBlocks: 1000n, capacityBlocks: 900n, usedBlocks: 2n ** 63n };

  test.each([
    [0, 512],
    [3, 4096],
    [15, 4096],
    [16, 8192],
    [63, 65536],
  ])("the block size of format %d is read", (format, logicalBlockSizeBytes) => {
    const page = identifyNamespace({ ...blocks, format, logicalBlockSizeBytes });
    expect(decodeIdentifyNamespace(page)).toEqual({
      page: { ...blocks, logicalBlockSizeBytes },
      problems: [],
    });
  });

  test("the metadata bit between the two parts of the index does not count", () => {
    const page = identifyNamespace({ ...blocks, format: 16, logicalBlockSizeBytes: 4096 });
    page[26] = (page[26] ?? 0) | 0x10;
    expect(decodeIdentifyNamespace(page).page?.logicalBlockSizeBytes).toBe(4096);
  });

  test.each([0, 8, 31, 255])("a block of 2^%d bytes is none", (exponent) => {
    const page = identifyNamespace({ ...blocks, logicalBlockSizeBytes: 512 });
    page[130] = exponent;
    expect(decodeIdentifyNamespace(page).page?.logicalBlockSizeBytes).toBeUndefined();
  });

  test("a short answer is an empty page", () => {
    const { page, problems } = decodeIdentifyNamespace(new Uint8Array(383));
    expect(page).toBeUndefined();
    expect(problems).toEqual([
      { reason: "empty_page", detail: "Identify Namespace has 383 bytes instead of 4096" },
    ]);
  });
});
