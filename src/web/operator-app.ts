/** The HTTP sides of the operator: the metrics of all nodes at one address, its health and own metrics at another. */
import type { Settings } from "../config/settings.ts";
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import { CONTENT_TYPE, expose } from "../metrics/exposition.ts";
import { negotiate } from "../metrics/negotiate.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { collectGarbage, gzip } from "../runtime/index.ts";
import { scrapeTimeoutMs } from "../scrape/deadline.ts";
import { acceptsGzip } from "./accept-encoding.ts";
import { line } from "./line.ts";
import { MemoryKeeper } from "./memory.ts";
import { type App, router } from "./router.ts";

/** What the operator tells of itself. */
export interface OperatorState {
  readonly isReady: boolean;
  readonly isLeader: boolean;
  /** Undefined as long as it is not known. */
  readonly leader: string | undefined;
}

export interface OperatorParts {
  readonly settings: Settings;
  state(): OperatorState;
  /** The exposition of all nodes, in the text format 0.0.4. */
  scrape(context: { signal: AbortSignal; deadline: number }): Promise<Uint8Array<ArrayBuffer>>;
  readonly own: OwnMetrics;
  readonly log: Log;
}

/** Each asks every node; two Prometheus servers and a person in front of a browser are four. */
const MOST_SCRAPES = 4;

export function aggregateApp(parts: OperatorParts): App {
  const memory = new MemoryKeeper(collectGarbage);
  let running = 0;

  async function metrics(request: Request): Promise<Response> {
    const { isLeader, leader } = parts.state();
    if (!isLeader) return line(503, notLeading(leader), { "retry-after": "15" });
    if (running >= MOST_SCRAPES)
      return line(503, `${MOST_SCRAPES} scrapes of all nodes are running already`, { "retry-after": "1" });
    running++;
    try {
      const allowed = request.headers.get("x-prometheus-scrape-timeout-seconds");
      const deadline = performance.now() + scrapeTimeoutMs(allowed, parts.settings);
      return await exposition(request, "text", await parts.scrape({ signal: request.signal, deadline }));
    } catch (error) {
      if (request.signal.aborted) return line(408, "the client has gone");
      throw error;
    } finally {
      running--;
      memory.scrapeEnded();
    }
  }

  return router(
    [
      { path: "/metrics", methods: ["GET"], answer: metrics },
      { path: "/", methods: ["GET"], answer: () => line(200, "plumbline operator\n/metrics  of all nodes") },
    ],
    new FaultLog(parts.log),
  );
}

export function healthApp(parts: OperatorParts): App {
  return router(
    [
      { path: "/healthz", methods: ["GET"], answer: () => line(200, "ok") },
      { path: "/readyz", methods: ["GET"], answer: () => readiness(parts.state()) },
      { path: "/metrics", methods: ["GET"], answer: (request) => ownMetrics(request, parts.own) },
      {
        path: "/",
        methods: ["GET"],
        answer: () => line(200, "plumbline operator\n/healthz\n/readyz\n/metrics  of the operator itself"),
      },
    ],
    new FaultLog(parts.log),
  );
}

const notLeading = (leader: string | undefined): string =>
  `this replica does not lead${leader === undefined ? "" : `; ${leader} does`}`;

function readiness({ isReady, isLeader, leader }: OperatorState): Response {
  if (!isReady) return line(503, "not ready; the API server has not told yet what is in the cluster");
  return line(200, isLeader ? "ready; this replica leads" : `ready; ${notLeading(leader)}`);
}

async function ownMetrics(request: Request, own: OwnMetrics): Promise<Response> {
  const format = negotiate(request.headers.get("accept"));
  return exposition(request, format, expose([await own.samples()], format).body);
}

async function exposition(
  request: Request,
  format: keyof typeof CONTENT_TYPE,
  body: Uint8Array<ArrayBuffer>,
): Promise<Response> {
  const headers = { "content-type": CONTENT_TYPE[format], vary: "Accept, Accept-Encoding" };
  if (!acceptsGzip(request.headers.get("accept-encoding"))) return new Response(body, { headers });
  return new Response(await gzip(body), { headers: { ...headers, "content-encoding": "gzip" } });
}
