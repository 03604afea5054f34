import { expect, test } from "bun:test";
import fc from "fast-check";
import { canonicalIp, subjectAlternativeNames } from "../../src/web/subject-alternative-names.ts";

test("an IP address in another spelling is the same address", () => {
  expect(canonicalIp("2001:DB8:0:0::1")).toBe("2001:db8::1");
  expect(canonicalIp("192.0.2.7")).toBe("192.0.2.7");
  expect(canonicalIp("prometheus.example")).toBe("prometheus.example");
});

test("any bytes in the place of a certificate give a list of names", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const nested = Uint8Array.of(0x30, 0x82, 0xff, 0xff, ...bytes);
      expect(Array.isArray(subjectAlternativeNames(bytes))).toBe(true);
      expect(Array.isArray(subjectAlternativeNames(nested))).toBe(true);
    }),
  );
});
