/** The HTTP side of plumbline: the exposition, health, lifecycle and the status page, as one Elysia app. */
import type { Settings } from "../config/settings.ts";
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import type { BuildInfo, OwnMetrics } from "../metrics/own.ts";
import type { PveHosts } from "../scrape/pve-hosts.ts";
import type { Scraper } from "../scrape/scraper.ts";
import { line } from "./line.ts";
import { pveEndpoint } from "./pve-endpoint.ts";
import { type App, internalError, type Route, router } from "./router.ts";
import { scrapeEndpoint } from "./scrape-endpoint.ts";
import { statusPage } from "./status-page.ts";

export interface Readiness {
  readonly ready: boolean;
  /** Collectors whose first collection has not ended yet. */
  readonly waitingFor: readonly string[];
}

export interface AppParts {
  settings(): Settings;
  scraper(): Scraper;
  /** Behind /pve. */
  readonly hosts: PveHosts;
  readonly own: OwnMetrics;
  readonly log: Log;
  readiness(): Readiness;
  /** Rejects with the message that the operator shall read; the old configuration then stays in force. */
  reload(): Promise<void>;
  quit(): void;
  readonly build: BuildInfo;
}

export function createApp(parts: AppParts): App {
  const faults = new FaultLog(parts.log);
  const scrape = scrapeEndpoint(parts, faults);
  const pve = pveEndpoint(parts);
  let built: { readonly telemetryPath: string; readonly app: App } | undefined;
  return {
    async handle(request) {
      try {
        const { telemetryPath } = parts.settings().web;
        // A reload may move it.
        if (built?.telemetryPath !== telemetryPath)
          built = { telemetryPath, app: router(routes(parts, telemetryPath, scrape, pve), faults) };
        return await built.app.handle(request);
      } catch (error) {
        return internalError(error, faults);
      }
    },
  };
}

function routes(
  parts: AppParts,
  telemetryPath: string,
  scrape: Route["answer"],
  pve: Route["answer"],
): Route[] {
  return [
    { path: telemetryPath, methods: ["GET"], answer: scrape },
    { path: "/pve", methods: ["GET"], answer: pve },
    { path: "/", methods: ["GET"], answer: () => status(parts) },
    { path: "/-/healthy", methods: ["GET"], answer: () => line(200, "healthy") },
    { path: "/-/ready", methods: ["GET"], answer: () => ready(parts.readiness()) },
    { path: "/-/reload", methods: ["POST", "PUT"], answer: (request) => lifecycle(parts, request, reload) },
    { path: "/-/quit", methods: ["POST", "PUT"], answer: (request) => lifecycle(parts, request, quit) },
  ];
}

function status(parts: AppParts): Response {
  const { nodeName, web, pve } = parts.settings();
  const scraper = parts.scraper();
  return statusPage({
    build: parts.build,
    nodeName,
    telemetryPath: web.telemetryPath,
    collectors: scraper.names,
    outcomes: scraper.lastOutcomes(),
    modules: [...pve.modules.keys()],
    now: new Date(),
  });
}

function ready({ ready, waitingFor }: Readiness): Response {
  if (ready) return line(200, "ready");
  return line(503, `not ready; waiting for the first collection of: ${waitingFor.join(", ")}`);
}

function lifecycle(
  parts: AppParts,
  request: Request,
  act: (parts: AppParts) => Response | Promise<Response>,
): Response | Promise<Response> {
  if (!parts.settings().web.enableLifecycle)
    return line(403, "the lifecycle endpoints are off; --web.enable-lifecycle switches them on");
  // A page of another site, open in the browser of somebody who can reach us, must not stop us.
  if (request.headers.get("sec-fetch-site") === "cross-site") return line(403, "not from another site");
  return act(parts);
}

async function reload(parts: AppParts): Promise<Response> {
  try {
    await parts.reload();
    return line(200, "the configuration has been loaded again");
  } catch (error) {
    return line(500, error instanceof Error ? error.message : String(error));
  }
}

function quit(parts: AppParts): Response {
  parts.quit();
  return line(200, "plumbline is stopping");
}
