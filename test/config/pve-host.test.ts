import { describe, expect, test } from "bun:test";
import { isAllowed, isHostPattern, parsePveHost, pveEndpoint } from "../../src/config/pve-host.ts";

describe("a host of Proxmox VE", () => {
  test.each([
    ["localhost", "localhost", undefined],
    ["PVE1.lan", "pve1.lan", undefined],
    ["pve1.lan:443", "pve1.lan", 443],
    ["192.0.2.1:8006", "192.0.2.1", 8006],
    ["2001:db8::1", "2001:db8::1", undefined],
    ["[2001:db8::1]", "2001:db8::1", undefined],
    ["[2001:DB8:0:0::1]:443", "2001:db8::1", 443],
  ])("%s is read", (text, host, port) => {
    expect(parsePveHost(text)).toEqual({ host, port });
  });

  test.each([
    "",
    "https://pve1",
    "pve1/x",
    "root@pve1",
    "pve1?x",
    "pve 1",
    "pve1\n",
    "pve1:0",
    "pve1:65536",
    "pve1:",
    "fe80::1%eth0",
    "[pve1]",
    "-",
    "pve1#x",
    "1.2.3.4.5",
    "pve1:1:2",
  ])("%p is none", (text) => {
    expect(parsePveHost(text)).toBeUndefined();
  });

  test.each(["2130706433", "0x7f.1", "127.1"])("%s is 127.0.0.1, as for whoever connects", (text) => {
    expect(parsePveHost(text)?.host).toBe("127.0.0.1");
  });
});

describe("an endpoint", () => {
  test.each([
    ["pve1", "https://pve1:8006"],
    ["https://pve1:443/", "https://pve1:443"],
    ["https://proxy/pve/one/", "https://proxy:8006/pve/one"],
    ["2001:db8::1", "https://[2001:db8::1]:8006"],
  ])("%s is %s", (text, url) => {
    expect(pveEndpoint(text)).toBe(url);
  });

  test.each(["http://pve1", "https://a:b@pve1", "pve1/../x", "pve1/x?y", "", "https://", "pve1//x"])(
    "%p is none",
    (text) => {
      expect(pveEndpoint(text)).toBeUndefined();
    },
  );
});

describe("allowed targets", () => {
  const patterns = ["*.lan", "pve-*-x", "192.0.2.0/24", "2001:db8::/32", "198.51.100.7"];

  test.each(["pve1.lan", "a.b.lan", "pve-1-x", "192.0.2.200", "2001:db8::5", "198.51.100.7"])(
    "%s is one",
    (host) => {
      expect(isAllowed(host, patterns)).toBe(true);
    },
  );

  test.each([
    "lan",
    "pve1.lan.example",
    "pve-x",
    "192.0.3.1",
    "2001:db9::5",
    "198.51.100.70",
    "localhost",
    "127.0.0.1",
  ])("%s is none", (host) => {
    expect(isAllowed(host, patterns)).toBe(false);
  });

  test("a name with many stars is held against a long host at once", () => {
    expect(isAllowed("a".repeat(250), [`${"a*".repeat(100)}b`])).toBe(false);
  });

  test.each(["pve1:8006", "https://pve1", "192.0.2.0/33", "2001:db8::/129", "a/b", ""])(
    "%p is no pattern",
    (text) => {
      expect(isHostPattern(text)).toBe(false);
    },
  );
});
