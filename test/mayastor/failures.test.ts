/**
 * Section 5 of the contract: what a service that answers badly, late or not at all leads to, in the output, in the
 * counters and in the log. Each failure is held against all four resources at once.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { Settings } from "../../src/config/settings.ts";
import { RESOURCES } from "../../src/mayastor/model.ts";
import type { FailureReason } from "../../src/rest/failure.ts";
import { describeWith, OPENSSL } from "../support/debian.ts";
import {
  answer,
  type Conduct,
  echoToken,
  endlessBody,
  endlessHeader,
  gzipBomb,
  HostileServer,
  hangUp,
  json,
  notHttp,
  redirect,
  reset,
  resetInBody,
  restError,
  silence,
  slowBody,
  slowHeader,
  truncated,
  truncatedChunks,
} from "../support/hostile-server.ts";
import {
  errors,
  errorsOf,
  fetchDuration,
  fetchSuccess,
  forEach,
  HEALTHY,
  healthy,
  lastFetch,
  MayastorScraping,
  resources,
  type Series,
  TemporaryFile,
  things,
} from "../support/mayastor-scraping.ts";
import { freePort } from "../support/ports.ts";
import { seriesOfExposition } from "../support/series.ts";
import { type Certificates, makeCertificates } from "../web/certificates.ts";

type Mayastor = Settings["mayastor"];

const PATIENCE_MS = 30_000;
/** Of a fetch that is to be late. */
const SHORT_MS = 300;
/** In every body, header and address of the service's own choice: it must not be seen again. */
const PLANTED = "planted-words-of-the-service";

/** Made up: header, claims and signature as a real one has them. */
const JWT = [
  "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9",
  "eyJzdWIiOiJwbHVtYmxpbmUtcGxhbnRlZC10b2tlbiIsImlhdCI6MX0",
  "c2lnbmF0dXJlLXRoYXQtaXMtbm9uZS1hdC1hbGw",
].join(".");

const warnings = (scraping: MayastorScraping) => scraping.log.lines.filter(({ level }) => level === "warn");

interface Failing extends AsyncDisposable {
  readonly mayastor: Partial<Mayastor>;
  /** Requests that the service has seen. */
  requests(): number;
  /** From now on the service answers well; absent where it cannot come to that. */
  readonly recover?: (() => Promise<void>) | undefined;
}

interface Failure {
  readonly name: string;
  readonly reason: FailureReason;
  readonly status?: number;
  readonly kind?: string;
  /** How many requests a scrape may make; for as many as there are resources where it is absent. */
  readonly requests?: number;
  readonly begin: () => Promise<Failing>;
}

/** A service that behaves so for every path. */
async function conducted(conduct: Conduct, mayastor: Partial<Mayastor> = {}): Promise<Failing> {
  const server = await HostileServer.start(conduct);
  return {
    mayastor: { endpoint: `${server.origin}/v0`, timeoutMs: 10_000, ...mayastor },
    requests: () => server.asked.length,
    async recover() {
      server.conduct = healthy;
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

const row = (
  name: string,
  reason: FailureReason,
  conduct: Conduct,
  more: Partial<Failure> & { readonly mayastor?: Partial<Mayastor> } = {},
): Failure => ({ name, reason, begin: () => conducted(conduct, more.mayastor), ...more });

const late = { timeoutMs: SHORT_MS };

const html = (status: number): Conduct =>
  answer(status, `<html><body>${PLANTED}</body></html>`, {
    "content-type": "text/html",
    "x-hostile": PLANTED,
  });

/** As `RestJsonError` with a text that must not be seen. */
const refusal = (status: number, kind: string): Conduct => restError(status, kind, PLANTED);

const tooDeep = "[".repeat(2_000_000);

const ANSWERS: readonly Failure[] = [
  row("no answer at all", "timeout", silence, { mayastor: late }),
  row("a header that comes byte by byte", "timeout", slowHeader, { mayastor: late }),
  row("a body that comes byte by byte", "timeout", slowBody, { mayastor: late }),
  row("a connection that is reset", "connect", reset),
  row("a connection that ends before the answer", "connect", hangUp),
  row("401 with the token in its body", "unauthorized", echoToken, { status: 401, kind: "Unauthorized" }),
  row("401 without a body", "unauthorized", answer(401, ""), { status: 401 }),
  row("403", "unauthorized", refusal(403, "PermissionDenied"), { status: 403, kind: "PermissionDenied" }),
  row("404", "not_found", refusal(404, "NotFound"), { status: 404, kind: "NotFound" }),
  row("400, InvalidArgument", "http_4xx", refusal(400, "InvalidArgument"), {
    ...{ status: 400, kind: "InvalidArgument" },
  }),
  row("408, the service's own timeout", "http_4xx", refusal(408, "Timeout"), {
    status: 408,
    kind: "Timeout",
  }),
  row("409, Conflict", "http_4xx", refusal(409, "Conflict"), { status: 409, kind: "Conflict" }),
  row("412, FailedPrecondition", "http_4xx", refusal(412, "FailedPrecondition"), {
    ...{ status: 412, kind: "FailedPrecondition" },
  }),
  row("416, OutOfRange", "http_4xx", refusal(416, "OutOfRange"), { status: 416, kind: "OutOfRange" }),
  row("422 in HTML", "http_4xx", html(422), { status: 422 }),
  row("500, Internal", "http_5xx", refusal(500, "Internal"), { status: 500, kind: "Internal" }),
  row("501, Unimplemented", "http_5xx", refusal(501, "Unimplemented"), {
    status: 501,
    kind: "Unimplemented",
  }),
  row("502 in HTML, from a proxy", "http_5xx", html(502), { status: 502 }),
  row("503, Unavailable", "http_5xx", refusal(503, "Unavailable"), { status: 503, kind: "Unavailable" }),
  row("504, DeadlineExceeded", "http_5xx", refusal(504, "DeadlineExceeded"), {
    ...{ status: 504, kind: "DeadlineExceeded" },
  }),
  row("507, CapacityLimitExceeded", "http_5xx", refusal(507, "CapacityLimitExceeded"), {
    ...{ status: 507, kind: "CapacityLimitExceeded" },
  }),
  row("an error with a word that is not the API's", "http_5xx", refusal(500, PLANTED), { status: 500 }),
  row("an error whose word is no text", "http_5xx", json({ kind: { [PLANTED]: 1 } }, 500), { status: 500 }),
  row("an error whose body never ends", "http_5xx", withStatus(500, endlessBody), { status: 500 }),
  row("an error whose body never comes", "http_5xx", withStatus(500, slowBody), { status: 500 }),
  row("200 in HTML", "bad_body", html(200), { status: 200 }),
  row("304 without a word of where to", "redirect", answer(304, ""), { status: 304 }),
  row("204 without a body", "bad_body", answer(204, ""), { status: 204 }),
  row("a body cut off", "bad_body", truncated, { status: 200 }),
  row("a body in chunks, cut off", "bad_body", truncatedChunks, { status: 200 }),
  row("a body that is reset", "bad_body", resetInBody, { status: 200 }),
  row("half of a JSON text", "bad_body", answer(200, `[{"id":"${PLANTED}`), { status: 200 }),
  row("JSON nested deeper than any stack", "bad_body", answer(200, tooDeep), { status: 200 }),
  row("200 with the token as an id", "bad_body", json([{ id: `node-${JWT}` }]), { status: 200 }),
  row(
    "200 with the token in other letters of JSON",
    "bad_body",
    answer(200, `[{"id":"\\u0065${JWT.slice(1)}"}]`),
    {
      status: 200,
    },
  ),
  row("a text where a list should be", "bad_body", json(PLANTED), { status: 200 }),
  row("null", "bad_body", json(null), { status: 200 }),
  row("an object where a list should be", "bad_body", json({ [PLANTED]: [] }), { status: 200 }),
  row("an answer that is not HTTP", "bad_body", notHttp),
  row("a change to another protocol", "bad_body", answer(101, "", { upgrade: "x", connection: "upgrade" })),
  row("a header without end", "too_large", endlessHeader),
  row("a body without end", "too_large", endlessBody, { status: 200 }),
  row("a small body that unpacks to 65 MiB", "too_large", gzipBomb(65 * 2 ** 20), { status: 200 }),
];

/** The same behaviour under another status. */
function withStatus(status: number, conduct: Conduct): Conduct {
  return (connection, asked) => {
    const write = connection.write.bind(connection);
    connection.write = (first: string | Uint8Array) => {
      connection.write = write;
      return write(String(first).replace("HTTP/1.1 200", `HTTP/1.1 ${status}`));
    };
    conduct(connection, asked);
  };
}

const REFUSED: Failure = {
  name: "nobody listens",
  reason: "connect",
  requests: 0,
  async begin() {
    const port = await freePort();
    let server: HostileServer | undefined;
    return {
      mayastor: { endpoint: `http://127.0.0.1:${port}/v0` },
      requests: () => server?.asked.length ?? 0,
      async recover() {
        server = await HostileServer.start(healthy, { port });
      },
      [Symbol.asyncDispose]: async () => server?.stop(),
    };
  },
};

const NO_HANDSHAKE: Failure = {
  name: "a TLS handshake that is never answered",
  reason: "timeout",
  requests: 0,
  async begin() {
    const { mayastor, ...plain } = await conducted(silence, late);
    const endpoint = mayastor.endpoint?.replace("http:", "https:");
    return { ...plain, mayastor: { ...mayastor, endpoint }, recover: undefined };
  },
};

type Named = "tokenFile" | "caFile" | "certFile" | "keyFile";

/** A file that cannot be used: nothing is asked, over plain TCP although https is wanted, until it is replaced. */
function withFile(name: string, which: Named, spoil: (path: string) => void): Failure {
  const begin = async (): Promise<Failing> => {
    const file = new TemporaryFile();
    spoil(file.path);
    const isToken = which === "tokenFile";
    const server = await HostileServer.start(healthy);
    const origin = isToken ? server.origin : server.origin.replace("http", "https");
    const other = { certFile: file.path, keyFile: file.path };
    return {
      mayastor: {
        endpoint: `${origin}/v0`,
        allowPlaintextToken: true,
        ...(which === "certFile" || which === "keyFile" ? other : {}),
        [which]: file.path,
      },
      requests: () => server.connections,
      ...(isToken && {
        async recover() {
          rmSync(file.path, { recursive: true, force: true });
          file.write(JWT);
        },
      }),
      async [Symbol.asyncDispose]() {
        file[Symbol.dispose]();
        await server.stop();
      },
    };
  };
  return { name, reason: "credentials", requests: 0, begin };
}

const write =
  (content: string | Uint8Array) =>
  (path: string): void =>
    writeFileSync(path, content);

const TOKEN_FILES: readonly Failure[] = [
  withFile("a token file that is missing", "tokenFile", () => {}),
  withFile("an empty token file", "tokenFile", write("")),
  withFile("a token file of blanks", "tokenFile", write(" \n\t\n")),
  withFile("a token of two lines", "tokenFile", write(`${PLANTED}\nx-injected: 1`)),
  withFile("a token with a letter that no token has", "tokenFile", write(`${PLANTED}ü`)),
  withFile("a token that is no UTF-8", "tokenFile", write(new Uint8Array([0xff, 0xfe, 0x00, 0x41]))),
  withFile("a token file of more than 64 KiB", "tokenFile", write("a".repeat(65_537))),
  withFile("a token file that is a directory", "tokenFile", (path) => mkdirSync(path)),
  withFile("a token file that is a pipe", "tokenFile", (path) => void spawnSync("mkfifo", [path])),
  withFile("a token file that links to itself", "tokenFile", (path) => symlinkSync(path, path)),
];

const TLS_FILES: readonly Failure[] = [
  withFile("a CA file that is missing", "caFile", () => {}),
  withFile("an empty CA file", "caFile", write("")),
  withFile("a CA file of odd bytes", "caFile", write(new Uint8Array([0xff, 0x00, 0x80]))),
  withFile("a CA file that is a directory", "caFile", (path) => mkdirSync(path)),
  withFile("a client key that is missing", "keyFile", () => {}),
  withFile("an empty client key", "keyFile", write("")),
  withFile("a client certificate of odd bytes", "certFile", write(PLANTED)),
];

/** The output, the counters and the log of a failure, twice, and of its end. */
async function holds({ reason, status, kind, requests = RESOURCES.length, begin }: Failure): Promise<void> {
  await using service = await begin();
  using token = new TemporaryFile(`${JWT}\n`);
  using scraping = new MayastorScraping({
    ...{ resources: RESOURCES, allowPlaintextToken: true, tokenFile: token.path },
    ...service.mayastor,
  });

  const expositions = [await scraping.exposition()];
  const first = seriesOf(expositions);
  expect(things(first)).toEqual([]);
  expect(first.get('plumbline_collector_success{collector="mayastor"}')).toBe(0);
  expect(forEach((resource) => fetchSuccess(first, resource))).toEqual(forEach(() => 0));
  expect(forEach((resource) => errors(first, resource))).toEqual(forEach(() => errorsOf({ [reason]: 1 })));
  expect(forEach((resource) => lastFetch(first, resource))).toEqual(forEach(() => undefined));
  for (const resource of RESOURCES) expect(fetchDuration(first, resource)).toBeWithin(0, 10);
  expect(service.requests()).toBeLessThanOrEqual(requests);
  const told = warnings(scraping).map(({ fields }) => ({
    ...{ resource: fields["resource"], reason: fields["reason"] },
    ...{ status: fields["status"], kind: fields["kind"] },
  }));
  expect(told).toEqual(
    expect.arrayContaining(RESOURCES.map((resource) => ({ resource, reason, status, kind }))),
  );
  expect(told).toHaveLength(RESOURCES.length);

  expositions.push(await scraping.exposition());
  const second = seriesOf(expositions);
  expect(things(second)).toEqual([]);
  expect(forEach((resource) => errors(second, resource))).toEqual(forEach(() => errorsOf({ [reason]: 2 })));
  expect(warnings(scraping)).toHaveLength(RESOURCES.length);

  if (service.recover !== undefined) {
    await service.recover();
    expositions.push(await scraping.exposition());
    const third = seriesOf(expositions);
    expect(third.get('plumbline_collector_success{collector="mayastor"}')).toBe(1);
    expect(third.get('mayastor_node_online{node_id="node-a"}')).toBe(1);
    expect(forEach((resource) => fetchSuccess(third, resource))).toEqual(forEach(() => 1));
    expect(forEach((resource) => errors(third, resource))).toEqual(forEach(() => errorsOf({ [reason]: 2 })));
    for (const resource of RESOURCES) expect(lastFetch(third, resource)).toBeWithin(now() - 60, now() + 1);
    const ends = scraping.log.lines.filter(({ level, fields }) => level === "info" && fields["resource"]);
    expect(ends.map(({ fields }) => fields["resource"]).sort()).toEqual([...RESOURCES].sort());
    expect(ends[0]?.fields).toMatchObject({ count: 2 });
  }
  expect(`${expositions.join("\n")}\n${JSON.stringify(scraping.log.lines)}`).not.toMatch(SECRET);
}

const SECRET = new RegExp(`${PLANTED}|${JWT.split(".").join("|")}`);
const now = (): number => Date.now() / 1000;
const seriesOf = (expositions: readonly string[]): Series => seriesOfExposition(expositions.at(-1) ?? "");

describe("a service that fails leaves only what is said of the fetches, counts it, and is told of once", () => {
  for (const failure of [REFUSED, NO_HANDSHAKE, ...ANSWERS])
    test(failure.name, () => holds(failure), PATIENCE_MS);

  test.each([301, 302, 303, 307, 308])(
    "a redirect, %i: where it points to is never asked",
    async (status) => {
      await using target = await HostileServer.start(healthy);
      const to = `${target.origin}/v0/${PLANTED}`;
      await holds(row("", "redirect", redirect(status, to), { status }));
      expect(target.connections).toBe(0);
    },
    PATIENCE_MS,
  );
});

describe("a file of credentials that cannot be used keeps every request back", () => {
  for (const failure of [...TOKEN_FILES, ...TLS_FILES]) test(failure.name, () => holds(failure), PATIENCE_MS);
});

describeWith([OPENSSL], "TLS that cannot be trusted keeps every request back", () => {
  let trusted: Certificates;
  let foreign: Certificates;
  beforeAll(() => {
    [trusted, foreign] = [makeCertificates(), makeCertificates()];
  });
  afterAll(() => {
    for (const { directory } of [trusted, foreign]) rmSync(directory, { recursive: true });
  });

  /** A service with this certificate, of a client that trusts `trusted.ca`. */
  const shown = async (identity: { cert: string; key: string }): Promise<Failing> => {
    const server = await HostileServer.start(healthy, { tls: identity });
    const { port } = server;
    let renewed: HostileServer | undefined;
    return {
      mayastor: { endpoint: `${server.origin}/v0`, caFile: trusted.ca.certFile },
      requests: () => server.asked.length,
      async recover() {
        await server.stop();
        renewed = await HostileServer.start(healthy, { port, tls: trusted.server });
      },
      async [Symbol.asyncDispose]() {
        await (renewed ?? server).stop();
      },
    };
  };

  test.each([
    ["a certificate of a CA that is not known", () => foreign.server],
    ["a certificate that signed itself", () => foreign.ca],
    ["a certificate that has expired", () => trusted.expired],
    ["a certificate for another name", () => trusted.client],
  ])(
    "%s",
    (name, identity) => holds({ name, reason: "tls", requests: 0, begin: () => shown(identity()) }),
    PATIENCE_MS,
  );

  test.each([
    ["no client certificate where one is wanted", undefined],
    ["a client certificate of another CA", () => foreign.client],
  ])(
    "%s",
    (name, identity) => {
      const begin = async (): Promise<Failing> => {
        let asked = 0;
        const server = Bun.serve({
          ...{ port: 0, hostname: "127.0.0.1" },
          fetch: () => new Response(String(++asked)),
          tls: {
            ...{ cert: trusted.server.cert, key: trusted.server.key, ca: trusted.ca.cert },
            ...{ requestCert: true, rejectUnauthorized: true },
          },
        });
        const client = identity?.();
        return {
          mayastor: {
            endpoint: `https://127.0.0.1:${server.port}/v0`,
            ...{ caFile: trusted.ca.certFile, certFile: client?.certFile, keyFile: client?.keyFile },
          },
          requests: () => asked,
          [Symbol.asyncDispose]: () => server.stop(true),
        };
      };
      return holds({ name, reason: "tls", requests: 0, begin });
    },
    PATIENCE_MS,
  );

  test(
    "a service that speaks no TLS",
    () => {
      const begin = async (): Promise<Failing> => {
        let asked = 0;
        const server = createServer(() => void asked++).listen(0, "127.0.0.1");
        await once(server, "listening");
        const address = server.address();
        const port = address !== null && typeof address === "object" ? address.port : 0;
        return {
          mayastor: { endpoint: `https://127.0.0.1:${port}/v0` },
          requests: () => asked,
          async [Symbol.asyncDispose]() {
            server.close();
          },
        };
      };
      return holds({ name: "", reason: "tls", requests: 0, begin });
    },
    PATIENCE_MS,
  );
});

describe("an open circuit", () => {
  test(
    "answers at once, makes no request, is counted beside what opened it, and is told of",
    async () => {
      await using server = await HostileServer.start(silence);
      using scraping = new MayastorScraping({
        ...late,
        endpoint: `${server.origin}/v0`,
        resources: RESOURCES,
      });
      for (let scrape = 0; scrape < 3; scrape++) await scraping.scrape();
      const before = server.asked.length;
      server.conduct = healthy;
      const series = await scraping.scrape();
      expect(server.asked).toHaveLength(before);
      expect(things(series)).toEqual([]);
      expect(forEach((resource) => errors(series, resource))).toEqual(
        forEach(() => errorsOf({ timeout: 3, circuit_open: 1 })),
      );
      expect(forEach((resource) => fetchSuccess(series, resource))).toEqual(forEach(() => 0));
      expect(forEach((resource) => fetchDuration(series, resource))).toEqual(forEach(() => 0));
      const told = warnings(scraping).filter(({ fields }) => fields["reason"] === "circuit_open");
      expect(told.map(({ fields }) => fields["resource"]).sort()).toEqual([...RESOURCES].sort());
    },
    PATIENCE_MS,
  );

  test(
    "does not come of errors that are answered fast, however many",
    async () => {
      await using server = await HostileServer.start(refusal(503, "Unavailable"));
      using scraping = new MayastorScraping({ endpoint: `${server.origin}/v0` });
      for (let scrape = 0; scrape < 10; scrape++) await scraping.scrape();
      expect(server.asked).toHaveLength(10);
    },
    PATIENCE_MS,
  );
});

describe("beside a failure", () => {
  const UNAVAILABLE = refusal(503, "Unavailable");

  test.each([...RESOURCES])("of %s alone, all else is served as ever", async (failed) => {
    await using server = await HostileServer.start(healthy);
    using scraping = new MayastorScraping({ endpoint: `${server.origin}/v0`, resources: RESOURCES });
    const well = things(await scraping.scrape());
    server.conduct = resources({ [failed]: UNAVAILABLE });
    const series = await scraping.scrape();
    const own = OWN[failed];
    const rest = (keys: readonly string[]) => keys.filter((key) => !own.test(key) && !NAMES_VOLUME.test(key));
    expect(things(series).filter((key) => own.test(key))).toEqual([]);
    expect(rest(things(series))).toEqual(rest(well));
    expect(rest(well).length).toBeGreaterThan(10);
    expect(forEach((resource) => fetchSuccess(series, resource))).toEqual(
      forEach((resource) => (resource === failed ? 0 : 1)),
    );
    expect(series.get('plumbline_collector_success{collector="mayastor"}')).toBe(0);
    expect(warnings(scraping).map(({ fields }) => fields["resource"])).toEqual([failed]);
  });

  test("a page of volumes that fails drops those of the pages before it", async () => {
    const { entries } = HEALTHY.volumes;
    await using server = await HostileServer.start(
      resources({
        volumes: (connection, asked) =>
          asked.path.includes("starting_token")
            ? UNAVAILABLE(connection, asked)
            : json({ entries, next_token: 1 })(connection, asked),
      }),
    );
    using scraping = new MayastorScraping({ endpoint: `${server.origin}/v0`, resources: RESOURCES });
    const series = await scraping.scrape();
    expect(things(series).filter((key) => OWN.volumes.test(key))).toEqual([]);
    expect(errors(series, "volumes")).toEqual(errorsOf({ http_5xx: 1 }));
  });

  test("the time of the last success stays, and is that of the success", async () => {
    await using server = await HostileServer.start(healthy);
    using scraping = new MayastorScraping({ endpoint: `${server.origin}/v0`, resources: RESOURCES });
    const well = await scraping.scrape();
    server.conduct = UNAVAILABLE;
    await Bun.sleep(20);
    const series = await scraping.scrape();
    expect(forEach((resource) => lastFetch(series, resource))).toEqual(
      forEach((resource) => lastFetch(well, resource)),
    );
    expect(things(series)).toEqual([]);
  });

  test("a new reason is told of, and the same one is not told again", async () => {
    await using server = await HostileServer.start(UNAVAILABLE);
    using scraping = new MayastorScraping({ endpoint: `${server.origin}/v0` });
    await scraping.scrape();
    server.conduct = echoToken;
    for (let scrape = 0; scrape < 3; scrape++) await scraping.scrape();
    expect(warnings(scraping).map(({ fields }) => fields["reason"])).toEqual(["http_5xx", "unauthorized"]);
    expect(warnings(scraping)[1]?.fields).toMatchObject({ count: 2 });
  });
});

/** What a resource alone tells. */
const OWN = {
  nodes: /^mayastor_node_/,
  pools: /^(?:mayastor_pool|diskpool)_/,
  volumes: /^mayastor_(?:volume|replica_child|replica_rebuild)_/,
  replicas: /^mayastor_replica_(?!child|rebuild)/,
} as const;
/** The one series of a resource that tells something of another. */
const NAMES_VOLUME = /^mayastor_replica_info/;
