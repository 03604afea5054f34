import { expect, test } from "bun:test";
import { parseListenAddress } from "../../src/config/listen-address.ts";

test.each([
  [":9847", { kind: "tcp", host: undefined, port: 9847 }],
  ["127.0.0.1:0", { kind: "tcp", host: "127.0.0.1", port: 0 }],
  ["node-a.example.org:65535", { kind: "tcp", host: "node-a.example.org", port: 65_535 }],
  ["[::]:9847", { kind: "tcp", host: "::", port: 9847 }],
  ["[fe80::1%eth0]:9847", { kind: "tcp", host: "fe80::1%eth0", port: 9847 }],
  ["unix:///run/plumbline.sock", { kind: "unix", path: "/run/plumbline.sock" }],
] as const)("%s is an address", (text, address) => {
  expect(parseListenAddress(text)).toEqual(address);
});

test.each([
  "",
  "9847",
  ":",
  ":65536",
  ":-1",
  ":http",
  "::1:9847",
  "[::1]",
  "a b:1",
  "http://a:1",
  "unix://",
  "unix://relative.sock",
  "unix:/run/a.sock",
  `unix:///${"a".repeat(107)}`,
  "unix:///a\0b",
])("%j is no address", (text) => {
  expect(parseListenAddress(text)).toBeUndefined();
});
