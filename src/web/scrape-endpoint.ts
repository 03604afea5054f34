/** What answers a scrape: at most so many at a time, in the format and encoding that the client asks for. */
import type { Settings } from "../config/settings.ts";
import type { FaultLog } from "../log/faults.ts";
import { CONTENT_TYPE, negotiate } from "../metrics/exposition.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import {
  SCRAPE_DURATION_BUCKETS,
  SCRAPE_DURATION_SECONDS,
  SCRAPES_TOTAL,
} from "../metrics/own-descriptors.ts";
import { collectGarbage } from "../runtime/index.ts";
import { scrapeTimeoutMs } from "../scrape/deadline.ts";
import type { ScrapeResult, Scraper } from "../scrape/scraper.ts";
import { acceptsGzip } from "./accept-encoding.ts";
import { line } from "./line.ts";
import { MemoryKeeper } from "./memory.ts";
import { Renderings } from "./rendering.ts";
import { selectCollectors } from "./selection.ts";

export interface ScrapeParts {
  settings(): Settings;
  scraper(): Scraper;
  readonly own: OwnMetrics;
}

export function scrapeEndpoint(
  parts: ScrapeParts,
  faults: FaultLog,
): (request: Request) => Promise<Response> {
  const answered = parts.own.counter(SCRAPES_TOTAL);
  answered.inc({ code: "200" }, 0);
  const duration = parts.own.histogram(SCRAPE_DURATION_SECONDS, SCRAPE_DURATION_BUCKETS);
  const renderings = new Renderings(parts.own, faults);
  const memory = new MemoryKeeper(collectGarbage);
  let running = 0;

  return async (request) => {
    const { maxRequests } = parts.settings().web;
    if (maxRequests > 0 && running >= maxRequests) {
      answered.inc({ code: "503" });
      return line(503, `${maxRequests} scrapes are running already (--web.max-requests)`, {
        "retry-after": "1",
      });
    }
    running++;
    const start = performance.now();
    try {
      const response = await scrape(request, parts, renderings);
      if (response.status === 200) duration.observe((performance.now() - start) / 1000);
      answered.inc({ code: String(response.status) });
      return response;
    } catch (error) {
      // Nobody waits for this answer; it is none of those that are counted.
      if (request.signal.aborted) return line(408, "the client has gone");
      answered.inc({ code: "500" });
      throw error;
    } finally {
      running--;
      memory.scrapeEnded();
    }
  };
}

/** In OpenMetrics three of Proxmox VE's deprecated gauges are called as the families of their counters are. */
const isTextOnly = ({ pve }: Settings, { outcomes }: ScrapeResult): boolean =>
  pve.deprecatedGauges && outcomes.some(({ collector }) => collector.startsWith("pve-"));

async function scrape(request: Request, parts: ScrapeParts, renderings: Renderings): Promise<Response> {
  const scraper = parts.scraper();
  const selection = selectCollectors(request.url, scraper.names, scraper.known);
  if ("problem" in selection) return line(400, selection.problem);
  const timeoutMs = scrapeTimeoutMs(
    request.headers.get("x-prometheus-scrape-timeout-seconds"),
    parts.settings(),
  );
  const result = await scraper.scrape({ ...selection, timeoutMs, signal: request.signal });
  const rendering = renderings.of(result);
  const format = isTextOnly(parts.settings(), result) ? "text" : negotiate(request.headers.get("accept"));
  const headers = {
    "content-type": CONTENT_TYPE[format],
    vary: "Accept, Accept-Encoding",
    ...nodeHeader(parts.settings()),
  };
  if (!acceptsGzip(request.headers.get("accept-encoding")))
    return new Response(await rendering.plain(format), { headers });
  return new Response(await rendering.gzip(format), { headers: { ...headers, "content-encoding": "gzip" } });
}

/** By it the operator tells that an address is no longer that of the pod which it means. */
const nodeHeader = ({ nodeName }: Settings): Record<string, string> =>
  /^[\x21-\x7e]+$/.test(nodeName) ? { "x-plumbline-node": nodeName } : {};
