/**
 * HTTP, and HTTPS, over node:net, node:tls and node:http: the way that works in both runtimes, shows the client's
 * certificate, and takes a renewed server certificate with the next connection.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createNetServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import {
  CLOCKS,
  type Clocks,
  type Handle,
  type ListenAddress,
  type Listening,
  MAX_BODY_BYTES,
  MAX_HEAD_BYTES,
  onHost,
  type TlsGate,
} from "./serve.ts";
import { clearUnixSocket, setUnixSocketMode } from "./unix-socket.ts";

/** Rejects with the error of the system call where the address cannot be had. */
export async function serveNode(
  address: ListenAddress,
  handle: Handle,
  gate?: TlsGate,
  clocks: Clocks = CLOCKS,
): Promise<Listening> {
  const connections = new Connections(clocks);
  const http = createHttpServer({ maxHeaderSize: MAX_HEAD_BYTES, keepAlive: false }, (incoming, outgoing) => {
    void answer(incoming, outgoing, handle, connections);
  });
  // Their clocks do not run for connections that were handed over; Connections has its own.
  http.headersTimeout = 0;
  http.requestTimeout = 0;
  http.keepAliveTimeout = 0;
  http.on("clientError", refuseHead);
  const accept = (socket: Socket) => {
    connections.add(socket);
    http.emit("connection", socket);
  };
  const server = createNetServer(
    { noDelay: true },
    gate === undefined ? accept : withTls(gate, clocks, accept),
  );
  server.on("error", () => {}); // of a single accept: that connection is lost, the others are not
  const listening = await listen(server, address);
  return { address: listening, stop: (graceMs) => stop(server, connections, graceMs) };
}

/** The connections that are open, each with the time at which it is closed if it does not ask for anything. */
class Connections {
  readonly #open = new Map<Socket, { timer: ReturnType<typeof setTimeout>; running: boolean }>();
  readonly #clocks: Clocks;
  #stopping = false;

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
  }

  add(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#clocks.headMs);
    this.#open.set(socket, { timer, running: false });
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      clearTimeout(this.#open.get(socket)?.timer);
      this.#open.delete(socket);
    });
  }

  /** A request has come in whole: it may take as long as it takes. */
  begin(socket: Socket): void {
    const connection = this.#open.get(socket);
    if (connection === undefined) return;
    clearTimeout(connection.timer);
    connection.running = true;
  }

  end(socket: Socket): void {
    const connection = this.#open.get(socket);
    if (connection === undefined) return;
    clearTimeout(connection.timer);
    connection.running = false;
    connection.timer = setTimeout(() => socket.destroy(), this.#clocks.idleMs);
    if (this.#stopping) socket.end();
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  closeIdle(): void {
    this.#stopping = true;
    for (const [socket, { running }] of this.#open) if (!running) socket.destroy();
  }

  get running(): boolean {
    return this.#open.size > 0;
  }

  closeAll(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }
}

function withTls(
  gate: TlsGate,
  clocks: Clocks,
  accept: (socket: TLSSocket) => void,
): (socket: Socket) => void {
  let options = gate.options();
  let tls = handshakes(gate, clocks, accept);
  return (socket) => {
    socket.on("error", () => socket.destroy());
    // A new server, and not setSecureContext: that one would leave requestCert and the old session tickets in force.
    if (gate.options() !== options) {
      options = gate.options();
      tls = handshakes(gate, clocks, accept);
    }
    tls.emit("connection", socket);
  };
}

/** A TLS server that listens nowhere: connections are handed to it. */
function handshakes(gate: TlsGate, clocks: Clocks, accept: (socket: TLSSocket) => void): TlsServer {
  // Whom to let in is decided after the handshake, where all five client_auth_type values can be told apart.
  const policy = { rejectUnauthorized: false, handshakeTimeout: clocks.headMs };
  const tls = createTlsServer({ ...gate.options(), ...policy }, (socket) => {
    const reason = gate.refuse(socket);
    if (reason === undefined) return accept(socket);
    gate.failed(reason);
    socket.destroy();
  });
  return tls.on("tlsClientError", (error, socket) => {
    gate.failed(error.message);
    socket.destroy();
  });
}

async function listen(server: Server, address: ListenAddress): Promise<ListenAddress> {
  if (address.kind === "unix") {
    await clearUnixSocket(address.path);
    await bound(server, { path: address.path });
    setUnixSocketMode(address.path);
    return address;
  }
  await onHost(address.host, (host) => bound(server, { host, port: address.port }));
  const real = server.address();
  if (real === null || typeof real === "string") return address;
  return { kind: "tcp", host: address.host ?? real.address, port: real.port };
}

function bound(server: Server, where: { path: string } | { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...where, backlog: 511 }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function stop(server: Server, connections: Connections, graceMs: number): Promise<void> {
  server.close();
  connections.closeIdle();
  const end = performance.now() + graceMs;
  while (connections.running && performance.now() < end) await sleep(10);
  connections.closeAll();
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  handle: Handle,
  connections: Connections,
): Promise<void> {
  const { socket } = incoming;
  connections.begin(socket);
  limitBody(incoming, outgoing);
  const gone = new AbortController();
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) gone.abort();
    connections.end(socket);
  });
  const response = await responseTo(incoming, gone.signal, handle);
  const body = new Uint8Array(await response.arrayBuffer());
  if (outgoing.destroyed) return;
  for (const [name, value] of response.headers) outgoing.setHeader(name, value);
  // The length of what GET would send stands in the answer to HEAD, where the body is not.
  if (incoming.method !== "HEAD") outgoing.setHeader("content-length", body.byteLength);
  if (connections.stopping) outgoing.setHeader("connection", "close");
  outgoing.writeHead(response.status);
  outgoing.end(incoming.method === "HEAD" ? undefined : body);
}

function responseTo(
  incoming: IncomingMessage,
  signal: AbortSignal,
  handle: Handle,
): Response | Promise<Response> {
  if (Number(incoming.headers["content-length"] ?? 0) > MAX_BODY_BYTES)
    return new Response(null, { status: 413, headers: { connection: "close" } });
  const request = toRequest(incoming, signal);
  return request === undefined ? new Response(null, { status: 400 }) : handle(request);
}

/** The body is read and forgotten, so that the next request on the connection is found; too long a one ends it. */
function limitBody(incoming: IncomingMessage, outgoing: ServerResponse): void {
  let bytes = 0;
  incoming.on("data", (chunk: Uint8Array) => {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) outgoing.destroy();
  });
  incoming.on("error", () => outgoing.destroy());
}

/** Undefined for what the fetch standard has no words for: TRACE, or a target that is no path. */
function toRequest(incoming: IncomingMessage, signal: AbortSignal): Request | undefined {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    for (const one of typeof value === "string" ? [value] : (value ?? [])) headers.append(name, one);
  }
  const { url = "", method = "GET" } = incoming;
  try {
    const target = url.startsWith("/") ? `http://localhost${url}` : url;
    return new Request(target, { method, headers, signal });
  } catch {
    return undefined;
  }
}

function refuseHead(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : "400 Bad Request";
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
