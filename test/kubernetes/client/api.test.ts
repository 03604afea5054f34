/** Requests to an API server: how they are addressed, and what becomes of every kind of answer. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { inspect } from "node:util";
import type { ApiReason } from "../../../src/kubernetes/client/failure.ts";
import {
  CONFIG_MAP,
  DAEMON_SET,
  LEASE,
  type Manifest,
  NODE,
  PLUMBLINE,
} from "../../../src/kubernetes/object.ts";
import { RestFailure } from "../../../src/rest/failure.ts";
import {
  answer,
  type Conduct,
  endlessBody,
  type HostileServer,
  hangUp,
  json,
  notHttp,
  redirect,
  resetInBody,
  silence,
  truncated,
} from "../../support/hostile-server.ts";
import { type Certificates, makeCertificates } from "../../web/certificates.ts";
import { accessTo, clientOf, configMap, failureOf, listOf, serving, status, TOKEN } from "./scripted-api.ts";

let made: Certificates;
beforeAll(() => {
  made = makeCertificates();
});
afterAll(() => rmSync(made.directory, { recursive: true }));

const { signal } = new AbortController();
const MANIFEST: Manifest = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "a", namespace: "n" },
  data: { "plumbline.yml": "{}" },
};

function lastOf({ asked }: HostileServer) {
  const last = asked.at(-1);
  if (last === undefined) throw new Error("nothing was asked");
  const [path, query = ""] = last.path.split("?");
  return { ...last, path, query: Object.fromEntries(new URLSearchParams(query)) };
}

describe("a request", () => {
  test("is addressed by group, namespace, kind and name, with the token", async () => {
    await using server = await serving(made, json(configMap("a", "1")));
    const api = clientOf(accessTo(server, made));
    await api.get(CONFIG_MAP, "a", "n", signal);
    expect(lastOf(server)).toMatchObject({ method: "GET", path: "/api/v1/namespaces/n/configmaps/a" });
    expect(lastOf(server).headers.get("authorization")).toBe(`Bearer ${TOKEN}`);
    await api.get(DAEMON_SET, "a", "n", signal);
    expect(lastOf(server).path).toBe("/apis/apps/v1/namespaces/n/daemonsets/a");
    await api.get(NODE, "a b/c", undefined, signal);
    expect(lastOf(server).path).toBe("/api/v1/nodes/a%20b%2Fc");
  });

  test("keeps the path that the server's address has", async () => {
    await using server = await serving(made, json(configMap("a", "1")));
    const access = accessTo(server, made);
    await clientOf({ ...access, server: `${access.server}/k8s/clusters/c-1` }).get(
      NODE,
      "a",
      undefined,
      signal,
    );
    expect(lastOf(server).path).toBe("/k8s/clusters/c-1/api/v1/nodes/a");
  });

  test("for an object of a namespace names one", () => {
    const api = clientOf({
      server: "https://127.0.0.1:1",
      namespace: undefined,
      tls: {},
      authorization: async () => "",
      rejected() {},
    });
    expect(api.get(CONFIG_MAP, "a", undefined, signal)).rejects.toThrow("a ConfigMap is in a namespace");
  });

  test("to apply is a patch that takes over what others hold", async () => {
    await using server = await serving(made, json(configMap("a", "2")));
    const api = clientOf(accessTo(server, made));
    expect((await api.apply(MANIFEST, signal)).metadata.resourceVersion).toBe("2");
    expect(lastOf(server)).toMatchObject({
      method: "PATCH",
      path: "/api/v1/namespaces/n/configmaps/a",
      query: { fieldManager: "plumbline-operator", force: "true" },
      body: JSON.stringify(MANIFEST),
    });
    expect(lastOf(server).headers.get("content-type")).toBe("application/apply-patch+yaml");
  });

  test("to create, to patch and to replace sends JSON of its kind", async () => {
    await using server = await serving(made, json(configMap("a", "2")));
    const api = clientOf(accessTo(server, made));
    await api.create(MANIFEST, signal);
    expect(lastOf(server)).toMatchObject({ method: "POST", path: "/api/v1/namespaces/n/configmaps" });
    expect(lastOf(server).headers.get("content-type")).toBe("application/json");
    await api.patch(PLUMBLINE, "a", "n", { metadata: { finalizers: null } }, signal);
    expect(lastOf(server)).toMatchObject({ method: "PATCH", body: '{"metadata":{"finalizers":null}}' });
    expect(lastOf(server).headers.get("content-type")).toBe("application/merge-patch+json");
    const lease = {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: "a", namespace: "n", resourceVersion: "7" },
    };
    await api.replace(lease, signal);
    expect(lastOf(server)).toMatchObject({ method: "PUT", body: JSON.stringify(lease) });
    expect(lastOf(server).path).toBe(`/apis/${LEASE.apiVersion}/namespaces/n/leases/a`);
  });

  test("to delete says how long its body is, so that the next one on its connection is understood", async () => {
    await using server = await serving(made, json({ kind: "Status", status: "Success" }));
    const api = clientOf(accessTo(server, made));
    await api.delete(CONFIG_MAP, "a", "n", signal);
    await api.delete(CONFIG_MAP, "a", "n", signal);
    expect(lastOf(server)).toMatchObject({ method: "DELETE", path: "/api/v1/namespaces/n/configmaps/a" });
    expect(JSON.parse(lastOf(server).body)).toMatchObject({ propagationPolicy: "Background" });
    expect(server.connections).toBe(1);
  });

  test("for what is not there finds nothing, and has nothing to delete", async () => {
    await using server = await serving(made, status(404, { reason: "NotFound" }));
    const api = clientOf(accessTo(server, made));
    expect(await api.get(CONFIG_MAP, "a", "n", signal)).toBeUndefined();
    await api.delete(CONFIG_MAP, "a", "n", signal);
  });

  test("that the caller gives up rejects with the caller's reason, and ends", async () => {
    await using server = await serving(made, silence);
    const caller = new AbortController();
    const asked = clientOf(accessTo(server, made)).get(CONFIG_MAP, "a", "n", caller.signal);
    while (server.asked.length === 0) await Bun.sleep(1);
    caller.abort("enough");
    expect(asked).rejects.toBe("enough");
    while (server.open > 0) await Bun.sleep(1);
  });
});

describe("a list", () => {
  test("goes on page by page, and its entries say what they are", async () => {
    await using server = await serving(made, (connection, asked) => {
      const isFirst = !asked.path.includes("continue=");
      const metadata = { resourceVersion: "9", continue: isFirst ? "next page" : "" };
      const { apiVersion: _, kind: _kind, ...entry } = configMap(isFirst ? "a" : "b", "1");
      json({ metadata, items: [entry] })(connection, asked);
    });
    const scope = { namespace: "n", labelSelector: "x in (a,b)", fieldSelector: "metadata.name=a" };
    const { items, resourceVersion } = await clientOf(accessTo(server, made)).list(CONFIG_MAP, scope, signal);
    expect(items).toEqual([configMap("a", "1"), configMap("b", "1")]);
    expect(resourceVersion).toBe("9");
    expect(lastOf(server)).toMatchObject({
      path: "/api/v1/namespaces/n/configmaps",
      query: {
        limit: "500",
        continue: "next page",
        labelSelector: "x in (a,b)",
        fieldSelector: "metadata.name=a",
      },
    });
  });

  test("of all namespaces names none, and may be empty", async () => {
    await using server = await serving(made, json({ metadata: { resourceVersion: "9" }, items: null }));
    expect(await clientOf(accessTo(server, made)).list(CONFIG_MAP, {}, signal)).toEqual({
      items: [],
      resourceVersion: "9",
    });
    expect(lastOf(server).path).toBe("/api/v1/configmaps");
  });

  test("that has no end is given up", async () => {
    await using server = await serving(made, json({ metadata: { resourceVersion: "9", continue: "x" } }));
    const failure = await failureOf(clientOf(accessTo(server, made)).list(CONFIG_MAP, {}, signal));
    expect(failure.reason).toBe("too_large");
    expect(failure.message).toStartWith("cannot list configmaps: ");
    expect(failure.message).toEndWith("/api/v1/configmaps gives page after page without an end");
  }, 20_000);

  test("whose second page is gone fails as gone", async () => {
    await using server = await serving(made, (connection, asked) =>
      (asked.path.includes("continue=")
        ? status(410, { reason: "Expired" })
        : json({ metadata: { resourceVersion: "9", continue: "x" }, items: [] }))(connection, asked),
    );
    const failure = await failureOf(clientOf(accessTo(server, made)).list(CONFIG_MAP, {}, signal));
    expect(failure).toMatchObject({ reason: "gone", status: 410 });
  });
});

describe("an answer", () => {
  const bad: [string, Conduct, ApiReason, string][] = [
    [
      "403",
      status(403, { message: 'User "x" cannot patch resource "configmaps" in API group ""' }),
      "forbidden",
      'lacks the rule {"apiGroups":[""],"resources":["configmaps"],"verbs":["patch"]}',
    ],
    ["404", status(404), "not_found", "does not exist"],
    ["409", status(409, { reason: "Conflict" }), "conflict", "it has changed meanwhile"],
    ["410", status(410), "gone", "not kept any more"],
    [
      "422",
      status(422, { details: { causes: [{ reason: "FieldValueInvalid", field: "spec.config.csi" }] } }),
      "invalid",
      "invalid: spec.config.csi (FieldValueInvalid)",
    ],
    ["429", status(429), "too_many_requests", "too much to do"],
    ["500", status(500, { reason: "InternalError" }), "server_error", "InternalError"],
    ["500 of a proxy", json("<html>planted</html>", 502), "server_error", "502"],
    ["415", status(415), "http", "415"],
    ["a redirect to another host", redirect(302, "https://127.0.0.1:1/planted"), "redirect", "not followed"],
    ["truncated JSON", truncated, "bad_body", "cut off"],
    ["no JSON", answer(200, "{planted"), "bad_body", "not JSON"],
    ["a reset in the body", resetInBody, "bad_body", "cut off"],
    ["no object", json({ planted: true }), "bad_body", "something else"],
    ["without an end", endlessBody, "too_large", "larger than"],
    ["no HTTP", notHttp, "bad_body", "not HTTP"],
    ["the end of the connection", hangUp, "connect", "closed before an answer came"],
  ];
  test.each(bad)("that is %s is told apart, and not quoted", async (_, conduct, reason, words) => {
    await using server = await serving(made, conduct);
    const failure = await failureOf(clientOf(accessTo(server, made)).apply(MANIFEST, signal));
    expect(failure.reason).toBe(reason);
    expect(failure.message).toStartWith("cannot patch configmaps a in namespace n");
    expect(failure.message).toContain(words);
    expect(inspect(failure, { depth: 9, showHidden: true })).not.toContain("planted");
  });

  test("that never comes is a timeout, and the next request takes another connection", async () => {
    await using server = await serving(made, json(configMap("a", "1")));
    const api = clientOf(accessTo(server, made), { timeoutMs: 200 });
    await Promise.all([api.get(CONFIG_MAP, "a", "n", signal), api.get(CONFIG_MAP, "a", "n", signal)]);
    const before = server.connections;
    server.conduct = silence;
    expect(await failureOf(api.get(CONFIG_MAP, "a", "n", signal))).toMatchObject({ reason: "timeout" });
    server.conduct = json(configMap("a", "1"));
    await api.get(CONFIG_MAP, "a", "n", signal);
    expect(server.connections).toBe(before + 1);
  });

  test.each([
    ["seconds", "7", 7000],
    ["more than anybody waits", "86400", 300_000],
    ["a date that is over", "Wed, 21 Oct 2015 07:28:00 GMT", 0],
    ["what is neither", "soon", undefined],
  ])("of 429 says how long to wait, in %s", async (_, header, ms) => {
    await using server = await serving(made, (connection) => {
      connection.write(`HTTP/1.1 429 Busy\r\nretry-after: ${header}\r\ncontent-length: 0\r\n\r\n`);
    });
    const failure = await failureOf(clientOf(accessTo(server, made)).apply(MANIFEST, signal));
    expect(failure.retryAfterMs).toBe(ms);
  });

  test("from nobody, and from somebody who is not trusted, is none", async () => {
    await using server = await serving(made, json(configMap("a", "1")));
    const access = accessTo(server, made);
    const other = clientOf({ ...access, tls: { ca: made.stranger.cert } });
    expect(await failureOf(other.get(NODE, "a", undefined, signal))).toMatchObject({ reason: "tls" });
    expect(server.asked).toEqual([]);
    const nobody = clientOf({ ...access, server: "https://127.0.0.1:1" });
    expect(await failureOf(nobody.get(NODE, "a", undefined, signal))).toMatchObject({ reason: "connect" });
  });

  test("of a server with another name is taken where the name is given", async () => {
    await using server = await serving(made, json(configMap("a", "1")));
    const access = accessTo(server, made);
    const named = (serverName: string) => clientOf({ ...access, tls: { ca: made.ca.cert, serverName } });
    expect(await named("localhost").get(NODE, "a", undefined, signal)).toBeDefined();
    const failure = await failureOf(named("elsewhere.example").get(NODE, "a", undefined, signal));
    expect(failure.message).toContain("for another name");
  });
});

describe("credentials", () => {
  test("that are refused are fetched anew, once", async () => {
    await using server = await serving(made, (connection, asked) =>
      (asked.headers.get("authorization") === "Bearer new" ? json(configMap("a", "1")) : status(401))(
        connection,
        asked,
      ),
    );
    let token = "old";
    const access = { ...accessTo(server, made), authorization: async () => `Bearer ${token}` };
    const renewed = clientOf({
      ...access,
      rejected() {
        token = "new";
      },
    });
    expect(await renewed.get(CONFIG_MAP, "a", "n", signal)).toBeDefined();
    token = "old";
    const failure = await failureOf(clientOf(access).get(CONFIG_MAP, "a", "n", signal));
    expect(failure).toMatchObject({ reason: "unauthorized", status: 401 });
    expect(server.asked).toHaveLength(4);
  });

  test("that an answer gives back are in no failure", async () => {
    await using server = await serving(made, (connection, asked) =>
      status(403, {
        message: asked.headers.get("authorization"),
        reason: TOKEN,
        details: { causes: [{ field: `x ${TOKEN}` }] },
      })(connection, asked),
    );
    const failure = await failureOf(clientOf(accessTo(server, made)).apply(MANIFEST, signal));
    expect(inspect(failure, { depth: 9, showHidden: true })).not.toContain(TOKEN);
  });

  test("that a file does not give are a failure of their own", async () => {
    await using server = await serving(made, listOf("1"));
    const authorization = () =>
      Promise.reject(new RestFailure("credentials", "cannot use the token file /t"));
    const failure = await failureOf(
      clientOf({ ...accessTo(server, made), authorization }).list(NODE, {}, signal),
    );
    expect(failure).toMatchObject({
      reason: "credentials",
      message: "cannot list nodes: cannot use the token file /t",
    });
  });
});
