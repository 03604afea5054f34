/**
 * The client of both runtimes, with node:http: their own fetch asks the proxies that the environment names, so that a
 * token would go where nobody sent it. That of Deno has no error codes and verifies always, that of Bun calls whatever
 * goes wrong with TLS EPROTO.
 */
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https from "node:https";
import type { ClientOptions, Transport } from "./fetch.ts";
import { PinnedAgent } from "./pinned-agent.ts";
import { errorCode } from "./serve.ts";

/** Scrapes come one by one, and ask for a few things at a time. */
const MAX_IDLE_CONNECTIONS = 8;

/** No connection is shared with another transport, so that each is one of this one's certificates. */
export function nodeTransport(options: ClientOptions): Transport {
  const { ca, cert, key, fingerprint, insecureSkipVerify, serverName, sendsAgain = wasKept } = options;
  const trust = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    rejectUnauthorized: insecureSkipVerify !== true,
  };
  const tlsAgent = (settings: https.AgentOptions) =>
    fingerprint === undefined ? new https.Agent(settings) : new PinnedAgent(fingerprint, settings);
  const keeping = { keepAlive: true, maxFreeSockets: MAX_IDLE_CONNECTIONS };
  const agents = { plain: new http.Agent(keeping), tls: tlsAgent(keeping) };
  // Made twice a request; by itself it holds the certificates, which are the same for all requests here.
  agents.tls.getName = ({ host = "", port = "" } = {}) => `${host}:${port}`;
  const send: Send = (request, body, connection) => {
    const url = new URL(request.url);
    const { method, signal } = request;
    // Said here, because node:http leaves it out for a DELETE: what follows would be taken for the next request.
    const length = body === undefined ? {} : { "content-length": String(body.byteLength) };
    const common = { method, headers: { ...Object.fromEntries(request.headers), ...length } };
    const isKept = connection === "kept";
    if (url.protocol !== "https:") return http.request(url, { ...common, agent: isKept && agents.plain });
    const tls = { ...common, ...trust, agent: isKept ? agents.tls : tlsAgent({}), givenUp: signal };
    return https.request(url, tls);
  };
  return {
    fetch: (request) => answerTo(request, send, sendsAgain),
    close() {
      for (const agent of Object.values(agents)) {
        agent.maxFreeSockets = 0;
        for (const sockets of Object.values(agent.freeSockets)) {
          for (const socket of [...(sockets ?? [])]) socket.destroy();
        }
      }
    },
  };
}

/** The server may close an idle connection in the moment in which it is used again: nothing has failed by that. */
const wasKept = (isKept: boolean): boolean => isKept;

/** A kept connection may be one that was idle, a new one never is. */
type Send = (request: Request, body: Uint8Array | undefined, connection: "kept" | "new") => ClientRequest;

async function answerTo(
  request: Request,
  send: Send,
  sendsAgain: (wasKept: boolean) => boolean,
): Promise<Response> {
  const { signal } = request;
  const body = request.body === null ? undefined : await request.bytes();
  const first = send(request, body, "kept");
  try {
    return await responseOf(first, body, signal);
  } catch (error) {
    const isClosed = GONE.has(errorCode(error) ?? "") && !signal.aborted;
    if (!isClosed || !sendsAgain(first.reusedSocket)) throw error;
    return responseOf(send(request, body, "new"), body, signal);
  }
}

const GONE: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ERR_SOCKET_CLOSED"]);

function responseOf(
  sent: ClientRequest,
  body: Uint8Array | undefined,
  signal: AbortSignal,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signal.reason);
      sent.destroy();
    };
    signal.addEventListener("abort", abort, { once: true });
    sent.once("close", () => signal.removeEventListener("abort", abort));
    // Stays for as long as the request does: an error without a listener would end the process.
    sent.on("error", reject);
    sent.on("upgrade", (_, socket) => {
      socket.destroy();
      reject(invalid("the answer changes to another protocol"));
    });
    sent.on("response", (incoming) => {
      try {
        resolve(toResponse(incoming));
      } catch {
        sent.destroy();
        reject(invalid("the answer's head is not one"));
      }
    });
    if (signal.aborted) abort();
    else sent.end(body);
  });
}

const invalid = (message: string): Error => Object.assign(new Error(message), { code: "HPE_INVALID" });

const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** Throws for what the fetch standard has no words for, as a status of 999. */
function toResponse(incoming: IncomingMessage): Response {
  const { rawHeaders, statusCode: status = 0 } = incoming;
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2)
    pairs.push([rawHeaders[i] ?? "", rawHeaders[i + 1] ?? ""]);
  const headers = new Headers(pairs);
  if (status < 200 || status > 599) throw new RangeError("no such status");
  const head = { status, statusText: printable(incoming.statusMessage ?? ""), headers };
  if (!WITHOUT_BODY.has(status)) return new Response(bodyOf(incoming), head);
  incoming.resume();
  return new Response(null, head);
}

const printable = (phrase: string): string => phrase.replaceAll(/[^\x20-\x7e]/g, "");

/** Not Readable.toWeb: in Deno that one ends the process where an answer goes on after it was given up. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  incoming.on("error", () => {});
  const chunks: AsyncIterator<Uint8Array<ArrayBuffer>> = incoming[Symbol.asyncIterator]();
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      cancel: () => void incoming.destroy(),
    },
    { highWaterMark: 0 },
  );
}
