/** What a person is told to do about a call that failed. */
import { describe, expect, test } from "bun:test";
import { adviceFor, grantCommands } from "../../src/pve/advice.ts";
import type { PveEndpoint } from "../../src/pve/endpoint.ts";
import { PveFailure } from "../../src/pve/failure.ts";
import { refusal, safePhrase } from "../../src/pve/refusal.ts";
import { byPassword, byToken, endpointAt, PASSWORD, SECRET, secret } from "./calling.ts";

const HOST = "https://pve1.lan:8006";

/** As the client makes it of a status line. */
function advice(
  status: number,
  phrase: string,
  more: Partial<PveEndpoint> = {},
  { path = "/nodes/pve3/status", entries = [] as readonly string[] } = {},
): string | undefined {
  const failure = refusal(status, path, HOST, safePhrase(phrase, [SECRET, PASSWORD]));
  return adviceFor(failure, endpointAt(HOST, more), entries);
}

describe("401", () => {
  test("names the token and the host, and where the reason stands", () => {
    expect(advice(401, "Authentication failed!")).toBe(
      'pve1.lan refuses the token plumbline@pve!metrics: does it exist, is it enabled, and has it not expired? `journalctl -u pveproxy` on pve1.lan tells why; token_name is the part after the "!"',
    );
  });

  test("names the user of a password", () => {
    expect(advice(401, "Authentication failed!", { credentials: byPassword() })).toBe(
      "pve1.lan refuses plumbline@pve: does the user exist, is it enabled, and is the password right? `journalctl -u pveproxy` on pve1.lan tells why",
    );
  });
});

describe("403", () => {
  const denied = "Permission check failed (/nodes/pve3, Sys.Audit)";
  const token = "pveum acl modify / --tokens 'plumbline@pve!metrics' --roles PVEAuditor";
  const user = "pveum acl modify / --users plumbline@pve --roles PVEAuditor";

  test("names the right that is missing, and the commands for the token and its user", () => {
    expect(advice(403, denied)).toBe(
      `plumbline@pve!metrics lacks Sys.Audit on /nodes/pve3: ${token}; ${user}`,
    );
  });

  test("names the command for a user alone where there is no token", () => {
    expect(advice(403, denied, { credentials: byPassword() })).toBe(
      `plumbline@pve lacks Sys.Audit on /nodes/pve3: ${user}`,
    );
  });

  test("names each of two rights of which one suffices", () => {
    expect(advice(403, "Permission check failed (/, Sys.Audit|Datastore.Audit)")).toStartWith(
      "plumbline@pve!metrics lacks Sys.Audit or Datastore.Audit on /: pveum",
    );
  });

  test.each([
    ["on the path itself", ["/", "/nodes/pve3"], "/nodes/pve3"],
    ["above it", ["/", "/nodes"], "/nodes"],
  ])("names the entry %s that replaces what / gives", (_, entries, deeper) => {
    expect(advice(403, denied, {}, { entries })).toEndWith(
      `; the entry on ${deeper} replaces what / gives and has to give it too`,
    );
  });

  test("names no entry beside the path", () => {
    const entries = ["/", "/nodes/pve30", "/storage/nfs"];
    expect(advice(403, denied, {}, { entries })).toEndWith(user);
  });

  test("does not send for PVEAuditor where that role does not suffice", () => {
    expect(advice(403, "Permission check failed (/storage/pbs, Datastore.AllocateSpace)")).toBe(
      "plumbline@pve!metrics lacks Datastore.AllocateSpace on /storage/pbs, which the role PVEAuditor does not give: see `plumbline check`",
    );
  });

  test.each([
    ["names no right", "Permission check failed"],
    ["holds shell text", "Permission check failed (/x`reboot`, Sys.Audit)"],
    ["holds a line of its own", "Permission check failed (/x\n; reboot, Sys.Audit)"],
    ["holds a quote", "Permission check failed (/x', Sys.Audit)"],
    ["holds what controls a terminal", "Permission check failed (/\x1b[2J, Sys.Audit)"],
    ["repeats the token", `Permission check failed (/${SECRET}, Sys.Audit)`],
  ])("says what the commands are where the phrase %s, and nothing of it", (_, phrase) => {
    const text = advice(403, phrase);
    expect(text).toBe(
      `plumbline@pve!metrics lacks a right that the message does not name: ${token}; ${user}`,
    );
  });

  test("quotes whatever a shell would read in a name", () => {
    const credentials = { kind: "token", user: "a'b@pve", tokenName: "$x", secret: secret("s") } as const;
    expect(grantCommands(credentials)).toEqual([
      "pveum acl modify / --tokens 'a'\\''b@pve!$x' --roles PVEAuditor",
      "pveum acl modify / --users 'a'\\''b@pve' --roles PVEAuditor",
    ]);
  });
});

describe("a server that is not trusted", () => {
  const failure = new PveFailure("unreachable", "/version", "no TLS", { network: "tls" });

  test("is trusted by ca_file, by fingerprint, or at last by nothing", () => {
    const text = adviceFor(failure, endpointAt(HOST, { tls: { verify: true } })) ?? "";
    const found = ["ca_file", "/etc/pve/pve-root-ca.pem", "fingerprint", "verify_ssl: false"];
    const places = found.map((word) => text.indexOf(word));
    expect(places).not.toContain(-1);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
  });

  test("may have got a new certificate where a fingerprint is configured", () => {
    expect(adviceFor(failure, endpointAt(HOST))).toContain(
      "`pvenode cert info` there prints its fingerprint",
    );
  });
});

describe("a node behind the one that is asked", () => {
  test.each([
    [595, "No route to host", "pve1.lan cannot reach pve3; the others were read"],
    [596, "Connection timed out", "pve1.lan gets no whole answer from pve3; the others were read"],
    [597, "Broken pipe", "pve1.lan gets no whole answer from pve3; the others were read"],
    [500, "hostname lookup 'pve3' failed", "pve1.lan cannot reach pve3; the others were read"],
  ])("is named for %d", (status, phrase, text) => {
    expect(advice(status, phrase)).toBe(text);
  });

  test("is not named where the call was for none", () => {
    expect(advice(595, "x", {}, { path: "/version" })).toStartWith("pve1.lan cannot reach another node");
  });
});

describe("an endpoint that gives no answer", () => {
  const asked = (failure: PveFailure) => adviceFor(failure, endpointAt(HOST, { credentials: byToken() }));

  test("is looked for where it should be", () => {
    expect(asked(new PveFailure("unreachable", "/cluster/status", "m", { network: "connect" }))).toBe(
      "is pve1.lan the right name, does pveproxy run there, and does every firewall let port 8006 through?",
    );
  });

  test("is given longer", () => {
    expect(asked(new PveFailure("timeout", "/cluster/status", "m"))).toBe(
      "is pve1.lan overloaded, or hung? `timeout` gives a call longer, and Prometheus's scrape_timeout the scrape",
    );
  });

  test("is not blamed for a node behind it that is late", () => {
    expect(asked(new PveFailure("timeout", "/nodes/pve3/status", "m"))).toStartWith("is pve3 overloaded");
  });
});

describe("something else than Proxmox VE", () => {
  const text = "is it Proxmox VE that listens there? name a node of it, with the port of its web interface";

  test("is suspected where the first answer cannot be read", () => {
    const failure = new PveFailure("invalid", "/cluster/status", "m", { status: 200 });
    expect(adviceFor(failure, endpointAt(HOST))).toBe(text);
  });

  test("is suspected behind a redirect", () => {
    expect(advice(302, "Found")).toBe(text);
  });
});

test("an error of the server stands in its journal", () => {
  expect(advice(500, "got timeout")).toBe("`journalctl -u pveproxy -u pvedaemon` on pve1.lan may tell more");
});

test.each([
  ["what is not JSON", new PveFailure("invalid", "/x", "m", { status: 200 })],
  ["credentials that cannot be read", new PveFailure("unauthorized", "/x", "m")],
])("there is none for %s: its message says it all", (_, failure) => {
  expect(adviceFor(failure, endpointAt(HOST, { credentials: byToken() }))).toBeUndefined();
});
