/** Routes as one Elysia app that never rejects, whatever a route or a request does. */
import { Elysia } from "elysia";
import type { FaultLog } from "../log/faults.ts";
import { line } from "./line.ts";

export interface App {
  /** Never rejects. Needs no `this`. */
  readonly handle: (request: Request) => Promise<Response>;
}

export interface Route {
  readonly path: string;
  readonly methods: readonly ("GET" | "POST" | "PUT")[];
  /** Needs no `this`. */
  readonly answer: (request: Request) => Response | Promise<Response>;
}

/** Elysia answers HEAD wherever there is a GET, and knows no 405: that is told here from the table. */
export function router(table: readonly Route[], faults: FaultLog): App {
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
export function internalError(error: unknown, faults: FaultLog): Response {
  const err = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  faults.fail("http", "a request could not be answered", { reason: err });
  return line(500, "internal error; the log of plumbline says more");
}
