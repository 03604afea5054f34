/** The HTTP side of plumbline: the exposition, health, lifecycle and the status page, as one Elysia app. */
import { Elysia } from "elysia";
import type { Settings } from "../config/settings.ts";
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import type { BuildInfo, OwnMetrics } from "../metrics/own.ts";
import type { PveHosts } from "../scrape/pve-hosts.ts";
import type { Scraper } from "../scrape/scraper.ts";
import { line } from "./line.ts";
import { pveEndpoint } from "./pve-endpoint.ts";
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

export interface App {
  /** Never rejects. Needs no `this`. */
  readonly handle: (request: Request) => Promise<Response>;
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

interface Route {
  readonly path: string;
  readonly methods: readonly ("GET" | "POST" | "PUT")[];
  answer(request: Request): Response | Promise<Response>;
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

/** Elysia answers HEAD wherever there is a GET, and knows no 405: that is told here from the table. */
function router(table: readonly Route[], faults: FaultLog): App {
  // Its look for the path in the URL would otherwise begin behind host names of four letters.
  const elysia = new Elysia({ strictPath: true, handler: { standardHostname: false } });
  elysia.onError(({ code, error, request }) =>
    code === "NOT_FOUND" ? notFound(table, request) : internalError(error, faults),
  );
  for (const { path, methods, answer } of table) {
    for (const method of methods)
      elysia.route(method, path, ({ request }) => answered(answer, request, faults), { parse: "none" });
  }
  return { handle: (request) => elysia.handle(request) };
}

async function answered(answer: Route["answer"], request: Request, faults: FaultLog): Promise<Response> {
  try {
    return await answer(request);
  } catch (error) {
    return internalError(error, faults);
  }
}

function notFound(table: readonly Route[], request: Request): Response {
  const path = /^[a-z]+:\/\/[^/?#]*([^?#]*)/i.exec(request.url)?.[1] || "/";
  const route = table.find((one) => one.path === path);
  if (route === undefined) return line(404, "not found; / tells what there is");
  const allowed = route.methods
    .flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]))
    .join(", ");
  return line(405, `method ${request.method} is not allowed here; use ${allowed}`, { allow: allowed });
}

/** The log gets the reason; whoever asked gets none of it. */
function internalError(error: unknown, faults: FaultLog): Response {
  const err = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  faults.fail("http", "a request could not be answered", { reason: err });
  return line(500, "internal error; the log of plumbline says more");
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
