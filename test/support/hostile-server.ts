/**
 * A server that answers as no HTTP library would: it falls silent, trickles, ends too early or never. It speaks TCP (or
 * TLS) by itself, and how it behaves can be changed from one request to the next.
 */
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import { gzipSync } from "node:zlib";

export interface Asked {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** As long as its header says. */
  readonly body: string;
}

/** What is done with a connection on which a request has come in. */
export type Conduct = (connection: Socket, asked: Asked) => void;

export interface HostileOptions {
  readonly port?: number;
  readonly tls?: TlsOptions;
}

export class HostileServer implements AsyncDisposable {
  conduct: Conduct;
  readonly asked: Asked[] = [];
  readonly port: number;
  readonly origin: string;
  /** Connections that were ever made. */
  connections = 0;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  static async start(conduct: Conduct, { port = 0, tls }: HostileOptions = {}): Promise<HostileServer> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    const listening = await new Promise<number>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => {
        const address = server.address();
        if (address !== null && typeof address === "object") resolve(address.port);
        else reject(new Error("no port"));
      });
    });
    return new HostileServer(server, listening, tls === undefined ? "http" : "https", conduct);
  }

  private constructor(server: Server, port: number, scheme: string, conduct: Conduct) {
    this.#server = server;
    this.port = port;
    this.origin = `${scheme}://127.0.0.1:${port}`;
    this.conduct = conduct;
    server.on(scheme === "http" ? "connection" : "secureConnection", (connection: Socket) => {
      this.#serve(connection);
    });
    server.on("tlsClientError", () => {});
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#open.size;
  }

  /** Paths of the requests so far, in their order. */
  get paths(): string[] {
    return this.asked.map(({ path }) => path);
  }

  #serve(connection: Socket): void {
    this.connections++;
    this.#open.add(connection);
    connection.on("error", () => {});
    connection.on("close", () => this.#open.delete(connection));
    let text = "";
    connection.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
      for (let next = requestIn(text); next !== undefined; next = requestIn(text)) {
        text = text.slice(next.length);
        this.asked.push(next.asked);
        this.conduct(connection, next.asked);
      }
    });
  }

  /** Ends every connection and refuses new ones. */
  async stop(): Promise<void> {
    for (const connection of this.#open) connection.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Undefined as long as a part of it is missing. */
function requestIn(text: string): { readonly asked: Asked; readonly length: number } | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [first = "", ...lines] = text.slice(0, end).split("\r\n");
  const [method = "", path = ""] = first.split(" ");
  const headers = new Map(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const length = end + 4 + Number(headers.get("content-length") ?? 0);
  if (text.length < length) return undefined;
  return { asked: { method, path, headers, body: text.slice(end + 4, length) }, length };
}

const JSON_TYPE: Readonly<Record<string, string>> = { "content-type": "application/json" };

function head(status: number, headers: Readonly<Record<string, string | number>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} Hostile\r\n${lines.join("")}\r\n`;
}

/** A whole answer; the connection stays open for the next request. */
export const answer =
  (
    status: number,
    body: string | Uint8Array,
    headers: Readonly<Record<string, string>> = JSON_TYPE,
  ): Conduct =>
  (connection) => {
    const bytes = Buffer.from(body);
    connection.write(head(status, { ...headers, "content-length": bytes.length }));
    connection.write(bytes);
  };

export const json = (value: unknown, status = 200): Conduct => answer(status, JSON.stringify(value));

/** `RestJsonError` of the API. */
export const restError = (status: number, kind: string, details = "details of the service"): Conduct =>
  json({ details, message: "/v0/nodes", kind }, status);

/** The 401 of the API, which gives back the token that it got. */
export const echoToken: Conduct = (connection, asked) => {
  const token = asked.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
  const details = `Unauthorized token(${token}) for uri(${asked.path})`;
  restError(401, "Unauthorized", details)(connection, asked);
};

/** The request is read, and that is all. */
export const silence: Conduct = () => {};

/** A header line that grows by a byte each 20 ms and never ends. */
export const slowHeader: Conduct = (connection) => {
  connection.write("HTTP/1.1 200 OK\r\nx-slow: ");
  trickle(connection, "a");
};

/** Header lines that go on as fast as they are read, without end. */
export const endlessHeader: Conduct = (connection) => {
  connection.write("HTTP/1.1 200 OK\r\n");
  flood(connection, `x-hostile: ${"a".repeat(1000)}\r\n`);
};

/** A body that grows by a byte each 20 ms and is never complete. */
export const slowBody: Conduct = (connection) => {
  connection.write(head(200, { ...JSON_TYPE, "content-length": 1_000_000 }));
  connection.write("[");
  trickle(connection, " ");
};

/** JSON that goes on as fast as it is read, without end. */
export const endlessBody: Conduct = (connection) => {
  connection.write(head(200, { ...JSON_TYPE, "transfer-encoding": "chunked" }));
  const piece = `[${'{"id":"node"},'.repeat(4096)}`;
  const chunk = `${piece.length.toString(16)}\r\n${piece}\r\n`;
  flood(connection, chunk);
};

/** Zeroes that unpack to a thousand times what is sent. */
export const gzipBomb = (unpackedBytes: number): Conduct =>
  answer(200, gzipSync(Buffer.alloc(unpackedBytes, " ")), { ...JSON_TYPE, "content-encoding": "gzip" });

/** More bytes are promised than come before the connection ends. */
export const truncated: Conduct = (connection) => {
  connection.write(head(200, { ...JSON_TYPE, "content-length": 100 }));
  connection.end('[{"id":"nod');
};

/** The last chunk never comes. */
export const truncatedChunks: Conduct = (connection) => {
  connection.write(head(200, { ...JSON_TYPE, "transfer-encoding": "chunked" }));
  connection.end("2\r\n[]\r\n");
};

/** A reset after the header and the first bytes of the body. */
export const resetInBody: Conduct = (connection) => {
  connection.write(head(200, { ...JSON_TYPE, "content-length": 100 }));
  connection.write('[{"id":');
  setTimeout(() => connection.resetAndDestroy(), 20);
};

/** A reset in place of an answer. */
export const reset: Conduct = (connection) => void connection.resetAndDestroy();

/** The end of the connection in place of an answer. */
export const hangUp: Conduct = (connection) => void connection.end();

/** The greeting of another protocol. */
export const notHttp: Conduct = (connection) => void connection.end("SSH-2.0-OpenSSH_9.2p1\r\n");

export const redirect = (status: number, to: string): Conduct => answer(status, "", { location: to });

function flood(connection: Socket, piece: string): void {
  const write = (): void => {
    while (!connection.destroyed && connection.write(piece));
  };
  connection.on("drain", write);
  write();
}

function trickle(connection: Socket, text: string): void {
  const timer = setInterval(() => connection.write(text), 20);
  connection.on("close", () => clearInterval(timer));
}
