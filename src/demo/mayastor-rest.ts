/**
 * A Mayastor REST service that is simulated: real HTTP or HTTPS in front of a cluster that is a function. It answers
 * as the API description says, in another order each time, and goes wrong in whichever way it is told.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createNetServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { match } from "ts-pattern";
import type { ErrorKind, RestJsonError, Volumes } from "./mayastor-api.ts";
import type { Cluster } from "./mayastor-cluster.ts";

export type Fault =
  /** An error of the service, or (`html`) of a proxy in front of it. */
  | { readonly kind: "status"; readonly status: number; readonly word?: string; readonly html?: boolean }
  /** The 401 that repeats the token which it refuses. */
  | { readonly kind: "echo_token" }
  /** No header ever. */
  | { readonly kind: "hang" }
  /** Headers and half of the body, then nothing. */
  | { readonly kind: "hang_in_body" }
  /** The right answer, late. */
  | { readonly kind: "slow"; readonly ms: number }
  /** The connection ends in the middle of the body. */
  | { readonly kind: "truncated" }
  /** A body that never ends, as fast as it is read. */
  | { readonly kind: "endless" }
  | { readonly kind: "redirect"; readonly to: string }
  | { readonly kind: "not_json" }
  /** The connection is reset before any header. */
  | { readonly kind: "reset" };

export interface MayastorRestOptions {
  /** What a request has to show; without it anybody is answered. */
  readonly token?: string;
  /** Texts in PEM; with `clientCa` a client has to show a certificate of it. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly clientCa?: string };
  /** In [0, 1): from it comes the order of lists. */
  readonly random?: () => number;
  /** What goes wrong with a request for this path, `/v0` and query included. */
  readonly fault?: (path: string) => Fault | undefined;
  readonly host?: string;
  readonly port?: number;
}

export interface SeenRequest {
  /** With `/v0` and its query. */
  readonly path: string;
  readonly authorized: boolean;
}

const REMEMBERED_REQUESTS = 10_000;

export class MayastorRest {
  readonly #cluster: () => Cluster;
  readonly #options: MayastorRestOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #requests: SeenRequest[] = [];

  constructor(cluster: () => Cluster, options: MayastorRestOptions = {}) {
    this.#cluster = cluster;
    this.#options = options;
    const http = createHttpServer((request, response) => this.#answer(request, response));
    const accept = (socket: Socket) => void http.emit("connection", this.#track(socket));
    this.#server = this.#listener(accept);
  }

  /** The last ones, oldest first. */
  get requests(): readonly SeenRequest[] {
    return this.#requests;
  }

  /** Answers the base address, `http(s)://127.0.0.1:port`. Rejects with the system's error where it cannot listen. */
  start(): Promise<string> {
    const { host = "127.0.0.1", port = 0, tls } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => {
        const address = this.#server.address();
        const listening = typeof address === "object" && address !== null ? address.port : port;
        resolve(`${tls === undefined ? "http" : "https"}://${host}:${listening}`);
      });
    });
  }

  /** Ends every connection, answered or not. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #listener(accept: (socket: Socket) => void): Server {
    const { tls } = this.#options;
    if (tls === undefined) return createNetServer({ noDelay: true }, accept);
    const { key, cert, clientCa } = tls;
    const mutual = clientCa !== undefined && { ca: clientCa, requestCert: true, rejectUnauthorized: true };
    const server = createTlsServer({ key, cert, ...mutual }, accept);
    server.on("connection", (socket) => this.#track(socket));
    return server;
  }

  #track(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? "/";
    const { token, fault, random = Math.random } = this.#options;
    const shown = /^Bearer (.*)$/.exec(request.headers.authorization ?? "")?.[1];
    const authorized = token === undefined || shown === token;
    if (this.#requests.length === REMEMBERED_REQUESTS) this.#requests.shift();
    this.#requests.push({ path, authorized });

    const right = () => {
      if (!authorized) return unauthorized(path, shown);
      if (request.method !== "GET") return notFound(`${request.method} ${path}`);
      return answerTo(path, this.#cluster(), random);
    };
    goWrong(fault?.(path), { path, token: shown, response, right });
  }
}

interface Answer {
  readonly status: number;
  /** What becomes JSON. */
  readonly body: unknown;
}

/** What the service answers to a GET of this path, query included. */
export function answerTo(path: string, cluster: Cluster, random: () => number): Answer {
  const { pathname, searchParams } = new URL(path, "http://localhost");
  const [version, resource, id, part, ...further] = pathname.slice(1).split("/").map(decoded);
  const found = <Item>(items: readonly Item[]): Answer => ({ status: 200, body: shuffled(items, random) });
  const unknown = notFound(`path ${pathname}`);
  if (version !== "v0" || further.length > 0) return unknown;

  if (resource === "nodes" && id !== undefined) {
    const node = cluster.nodes.find((node) => node.id === id);
    if (node === undefined) return notFound(`Node '${id}'`);
    if (part === undefined) return { status: 200, body: node };
    if (part === "pools") return found(cluster.pools.filter((pool) => nodeOf(pool) === id));
    if (part === "replicas") return found(cluster.replicas.filter((replica) => replica.node === id));
    return unknown;
  }
  if (id !== undefined) return unknown;
  if (resource === "nodes") return found(cluster.nodes);
  if (resource === "pools") return found(cluster.pools);
  if (resource === "replicas") return found(cluster.replicas);
  if (resource === "volumes") return volumesPage(searchParams, cluster, random);
  return unknown;
}

const nodeOf = ({ state, spec }: Cluster["pools"][number]) => (state ?? spec)?.node;

/** `starting_token` is an offset in an order that lasts from page to page; 0 entries at most means all. */
function volumesPage(query: URLSearchParams, { volumes }: Cluster, random: () => number): Answer {
  const count = wholeNumber(query.get("max_entries"));
  if (count === undefined) return error(400, "Deserialize", "Query deserialize error: max_entries");
  const from = wholeNumber(query.get("starting_token") ?? "0");
  if (from === undefined) return error(400, "Deserialize", "Query deserialize error: starting_token");
  const to = count === 0 ? volumes.length : from + count;
  const page: Volumes = {
    entries: shuffled(volumes.slice(from, to), random),
    ...(to < volumes.length && { next_token: to }),
  };
  return { status: 200, body: page };
}

const wholeNumber = (text: string | null): number | undefined =>
  text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  const keyed = items.map((item) => ({ item, key: random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

const error = (status: number, kind: ErrorKind, details: string, message = ""): Answer => {
  return { status, body: { details, message, kind } satisfies RestJsonError };
};

const notFound = (what: string) => error(404, "NotFound", `${what} not found`);

/** The real service repeats the token as well. */
const unauthorized = (path: string, token: string | undefined) => {
  const [uri = path] = path.split("?");
  return token === undefined
    ? error(401, "Unauthorized", "Missing Bearer Token", uri)
    : error(401, "Unauthorized", `Unauthorized token(${token}) for uri(${uri})`, uri);
};

interface Exchange {
  readonly path: string;
  readonly token: string | undefined;
  readonly response: ServerResponse;
  readonly right: () => Answer;
}

function goWrong(fault: Fault | undefined, { path, token, response, right }: Exchange): void {
  const { socket } = response;
  match(fault)
    .with(undefined, () => send(response, right()))
    .with({ kind: "status" }, ({ status, word, html }) => {
      if (html === true) sendText(response, status, "text/html", htmlError(status));
      else sendJson(response, status, { ...ERROR_BODY, kind: word ?? KIND_OF_STATUS[status] ?? "Internal" });
    })
    .with({ kind: "echo_token" }, () => send(response, unauthorized(path, token ?? "")))
    .with({ kind: "hang" }, () => {})
    .with({ kind: "hang_in_body" }, () => void sendHalf(response, right()))
    .with({ kind: "slow" }, ({ ms }) => {
      const timer = setTimeout(() => send(response, right()), ms);
      socket?.once("close", () => clearTimeout(timer));
    })
    .with({ kind: "truncated" }, () => sendHalf(response, right(), () => socket?.destroy()))
    .with({ kind: "endless" }, () => sendEndlessly(response))
    .with({ kind: "redirect" }, ({ to }) => void response.writeHead(307, { Location: to }).end())
    .with({ kind: "not_json" }, () => sendText(response, 200, "application/json", "[{]"))
    .with({ kind: "reset" }, () => void socket?.resetAndDestroy())
    .exhaustive();
}

const ERROR_BODY = { details: "the simulated service was told to fail", message: "" };

/** The kinds that the service's own errors have. */
const KIND_OF_STATUS: Readonly<Record<number, ErrorKind>> = {
  400: "InvalidArgument",
  401: "Unauthorized",
  403: "PermissionDenied",
  404: "NotFound",
  406: "NotAcceptable",
  408: "Timeout",
  409: "Conflict",
  412: "FailedPrecondition",
  416: "OutOfRange",
  422: "AlreadyExists",
  500: "Internal",
  501: "Unimplemented",
  503: "Unavailable",
  504: "DeadlineExceeded",
  507: "ResourceExhausted",
};

const htmlError = (status: number) =>
  `<html><head><title>${status}</title></head><body><center><h1>${status}</h1></center></body></html>\n`;

const send = (response: ServerResponse, { status, body }: Answer) => sendJson(response, status, body);

const sendJson = (response: ServerResponse, status: number, body: unknown) =>
  sendText(response, status, "application/json", JSON.stringify(body));

function sendText(response: ServerResponse, status: number, type: string, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(status, { "Content-Type": type, "Content-Length": body.length }).end(body);
}

function sendHalf(response: ServerResponse, { status, body }: Answer, sent: () => void = () => {}): void {
  const whole = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": whole.length });
  response.write(whole.subarray(0, Math.floor(whole.length / 2)), () => sent());
}

const ENDLESS_CHUNK = Buffer.from(`${'{"id":"io-engine-1"},'.repeat(3000)}\n`);

function sendEndlessly(response: ServerResponse): void {
  response.writeHead(200, { "Content-Type": "application/json" });
  response.write("[");
  const more = () => {
    while (!response.destroyed && response.writable) {
      if (!response.write(ENDLESS_CHUNK)) {
        response.once("drain", more);
        return;
      }
    }
  };
  more();
}
