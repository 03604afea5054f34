/** What answers /pve, as prometheus-pve-exporter does: `target`, `module`, `cluster`, `node`; and in plumbline's ways. */
import type { Settings } from "../config/settings.ts";
import { logfmtLine } from "../log/format.ts";
import type { Log, LogFields, LogLevel } from "../log/log.ts";
import { CONTENT_TYPE, expose } from "../metrics/exposition.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { DUPLICATE_SERIES_TOTAL, SCRAPES_TOTAL } from "../metrics/own-descriptors.ts";
import { collectGarbage, gzip } from "../runtime/index.ts";
import { scrapeTimeoutMs } from "../scrape/deadline.ts";
import type { HostAnswer, HostRequest, PveHosts } from "../scrape/pve-hosts.ts";
import { acceptsGzip } from "./accept-encoding.ts";
import { line } from "./line.ts";
import { MemoryKeeper } from "./memory.ts";

export interface PveParts {
  settings(): Settings;
  readonly hosts: PveHosts;
  readonly own: OwnMetrics;
}

export function pveEndpoint({ settings, hosts, own }: PveParts): (request: Request) => Promise<Response> {
  const answered = own.counter(SCRAPES_TOTAL);
  const memory = new MemoryKeeper(collectGarbage);
  let running = 0;
  const respond = async (request: Request): Promise<Response> => {
    const { maxRequests } = settings().web;
    if (maxRequests > 0 && running >= maxRequests)
      return line(503, `${maxRequests} scrapes of /pve are running already (--web.max-requests)`, {
        "retry-after": "1",
      });
    running++;
    try {
      return await scrape(request, settings(), hosts, own);
    } finally {
      running--;
      memory.scrapeEnded();
    }
  };
  return async (request) => {
    try {
      const response = await respond(request);
      answered.inc({ code: String(response.status) });
      return response;
    } catch (error) {
      // Nobody waits for this answer; it is none of those that are counted.
      if (request.signal.aborted) return line(408, "the client has gone");
      answered.inc({ code: "500" });
      throw error;
    }
  };
}

async function scrape(
  request: Request,
  settings: Settings,
  hosts: PveHosts,
  own: OwnMetrics,
): Promise<Response> {
  const query = new URLSearchParams(/\?([^#]*)/.exec(request.url)?.[1] ?? "");
  const debug = query.get("debug") === "true" ? new DebugLog() : undefined;
  const timeoutMs = scrapeTimeoutMs(request.headers.get("x-prometheus-scrape-timeout-seconds"), settings);
  const answer = await hosts.scrape({ ...requestOf(query), ...(debug && { debugLog: debug }) }, settings, {
    signal: request.signal,
    deadline: performance.now() + timeoutMs,
  });
  if (debug !== undefined) return debugged(answer, debug);
  if (answer.kind === "refused") return line(answer.status, answer.sentence);
  // Not OpenMetrics: three gauges are called there as the families of their counters are.
  const { body, dropped } = expose(answer.sets, "text");
  if (dropped > 0) own.counter(DUPLICATE_SERIES_TOTAL).inc(dropped);
  const headers = { "content-type": CONTENT_TYPE.text, vary: "Accept-Encoding" };
  return acceptsGzip(request.headers.get("accept-encoding"))
    ? new Response(await gzip(body), { headers: { ...headers, "content-encoding": "gzip" } })
    : new Response(body, { headers });
}

function requestOf(query: URLSearchParams): HostRequest {
  return {
    target: query.get("target") ?? "localhost",
    module: query.get("module") ?? "default",
    cluster: isOn(query.get("cluster")),
    node: isOn(query.get("node")),
    collect: query.getAll("collect[]"),
    exclude: query.getAll("exclude[]"),
  };
}

/** Everything is true but these. */
const isOn = (text: string | null): boolean =>
  text === null || !["false", "0", ""].includes(text.toLowerCase());

function debugged(answer: HostAnswer, { lines }: DebugLog): Response {
  const status = answer.kind === "refused" ? answer.status : 200;
  const end =
    answer.kind === "refused"
      ? answer.sentence
      : `${expose(answer.sets, "text").samples} samples were read; without debug=true they are the answer`;
  return line(status, [...lines, end].join("\n"));
}

/** More of one scrape nobody reads. */
const MOST_LINES = 1000;

/** Keeps the lines of one scrape. */
class DebugLog implements Log {
  readonly lines: string[] = [];
  debug = (message: string, fields?: LogFields) => this.#keep("debug", message, fields);
  info = (message: string, fields?: LogFields) => this.#keep("info", message, fields);
  warn = (message: string, fields?: LogFields) => this.#keep("warn", message, fields);
  error = (message: string, fields?: LogFields) => this.#keep("error", message, fields);

  #keep(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (this.lines.length < MOST_LINES)
      this.lines.push(logfmtLine({ level, time: new Date(), message, fields }));
  }
}
