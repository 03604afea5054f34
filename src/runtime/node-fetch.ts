/**
 * The client of both runtimes, with node:http: their own fetch asks the proxies that the environment names, so that a
 * token would go where nobody sent it. That of Deno has no error codes and verifies always, that of Bun calls whatever
 * goes wrong with TLS EPROTO.
 */
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https from "node:https";
import type { ClientTls, Transport } from "./fetch.ts";
import { errorCode } from "./serve.ts";

/** Scrapes come one by one, and ask for a few things at a time. */
const MAX_IDLE_CONNECTIONS = 8;

/** No connection is shared with another transport, so that each is one of this one's certificates. */
export function nodeTransport({ ca, cert, key, insecureSkipVerify }: ClientTls): Transport {
  const trust = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    rejectUnauthorized: insecureSkipVerify !== true,
  };
  const keeping = { keepAlive: true, maxFreeSockets: MAX_IDLE_CONNECTIONS };
  const agents = { plain: new http.Agent(keeping), tls: new https.Agent(keeping) };
  const send: Send = (request, connection) => {
    const url = new URL(request.url);
    const options = { method: request.method, headers: Object.fromEntries(request.headers) };
    const isKept = connection === "kept";
    return url.protocol === "https:"
      ? https.request(url, { ...options, ...trust, agent: isKept && agents.tls })
      : http.request(url, { ...options, agent: isKept && agents.plain });
  };
  return {
    fetch: (request) => answerTo(request, send),
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

/** A kept connection may be one that was idle, a new one never is. */
type Send = (request: Request, connection: "kept" | "new") => ClientRequest;

async function answerTo(request: Request, send: Send): Promise<Response> {
  const first = send(request, "kept");
  try {
    return await responseOf(first, request.signal);
  } catch (error) {
    // The server may close an idle connection in the moment in which it is used again: nothing has failed by that.
    if (!first.reusedSocket || !GONE.has(errorCode(error) ?? "") || request.signal.aborted) throw error;
    return responseOf(send(request, "new"), request.signal);
  }
}

const GONE: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ERR_SOCKET_CLOSED"]);

function responseOf(sent: ClientRequest, signal: AbortSignal): Promise<Response> {
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
    else sent.end();
  });
}

const invalid = (message: string): Error => Object.assign(new Error(message), { code: "HPE_INVALID" });

const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** Throws for what the fetch standard has no words for, as a status of 999. */
function toResponse(incoming: IncomingMessage): Response {
  const headers = new Headers();
  const { rawHeaders, statusCode: status = 0 } = incoming;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2)
    headers.append(rawHeaders[i] ?? "", rawHeaders[i + 1] ?? "");
  if (status < 200 || status > 599) throw new RangeError("no such status");
  if (!WITHOUT_BODY.has(status)) return new Response(bodyOf(incoming), { status, headers });
  incoming.resume();
  return new Response(null, { status, headers });
}

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
