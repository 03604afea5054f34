/**
 * HTTP/1.1 by hand, for a server that says what it likes in its status lines. One request after another is read from
 * a connection and answered; a connection ends after an error, after its last request, and when it is idle.
 */
import type { Socket } from "node:net";

export interface WireRequest {
  readonly method: string;
  /** With the query. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface WireReply {
  readonly status: number;
  readonly phrase: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

/** `reset`: no answer but the end of the connection. `silence`: no answer at all. */
export type Reaction = WireReply | "reset" | "silence";

export interface WireLimits {
  readonly idleMs: number;
  readonly requestsPerConnection: number;
}

/** Serves a connection until it ends. `react` has to resolve. */
export function serveConnection(
  socket: Socket,
  react: (request: WireRequest) => Promise<Reaction>,
  limits: () => WireLimits,
): void {
  let received = Buffer.alloc(0);
  let served = 0;
  let busy = false;
  let idle: ReturnType<typeof setTimeout> | undefined;

  const wait = () => {
    clearTimeout(idle);
    idle = setTimeout(() => socket.destroy(), limits().idleMs);
  };
  const next = async (): Promise<void> => {
    const found = busy ? undefined : requestIn(received);
    if (found === undefined) return;
    clearTimeout(idle);
    received = received.subarray(found.length);
    busy = true;
    const reaction = await react(found.request);
    if (reaction === "silence" || socket.destroyed) return;
    if (reaction === "reset") {
      // A TLS connection has no reset of its own everywhere; its end without an answer is as bad.
      socket.destroy();
      return;
    }
    served++;
    const last = reaction.status >= 400 || served >= limits().requestsPerConnection;
    socket.write(written(reaction, last));
    if (last) {
      socket.end();
      return;
    }
    busy = false;
    wait();
    await next();
  };
  wait();
  socket.on("data", (bytes: Buffer) => {
    received = Buffer.concat([received, bytes]);
    void next();
  });
  socket.on("close", () => clearTimeout(idle));
}

function requestIn(bytes: Buffer): { readonly request: WireRequest; readonly length: number } | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const [first = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const [method = "", target = ""] = first.split(" ");
  const headers = new Map(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const length = end + 4 + Number(headers.get("content-length") ?? 0);
  if (bytes.length < length) return undefined;
  return { request: { method, target, headers, body: bytes.toString("utf8", end + 4, length) }, length };
}

/** In one piece: two small ones would wait for each other. */
function written({ status, phrase, headers = {}, body = "" }: WireReply, last: boolean): Buffer {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const all = { ...headers, Connection: last ? "close" : "Keep-Alive", "Content-Length": `${bytes.length}` };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} ${phrase}\r\n${lines.join("")}\r\n`), bytes]);
}
