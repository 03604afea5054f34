/** From a request's path to the objects that it speaks of. */

export interface Route {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** Undefined for paths like /healthz and /apis. */
export function routeOf(pathname: string): Route | undefined {
  const [, root, ...parts] = pathname.split("/").map(decodeURIComponent);
  const [group, version, ...rest] = root === "api" ? ["", ...parts] : root === "apis" ? parts : [];
  if (group === undefined || version === undefined || rest.length === 0) return undefined;
  const isInside =
    rest[0] === "namespaces" && rest.length > 2 && rest[2] !== "status" && rest[2] !== "finalize";
  const [plural = "", name, subresource] = isInside ? rest.slice(2) : rest;
  const namespace = isInside ? rest[1] : undefined;
  return { group, version, plural, namespace, name, subresource };
}

export function verbOf(method: string, route: Route, isWatch: boolean, contentType: string): string {
  switch (method) {
    case "GET":
      if (isWatch) return "watch";
      return route.name === undefined ? "list" : "get";
    case "POST":
      return "create";
    case "PUT":
      return "update";
    case "PATCH":
      return contentType.startsWith("application/apply-patch+yaml") ? "apply" : "patch";
    case "DELETE":
      return route.name === undefined ? "deletecollection" : "delete";
    default:
      return method.toLowerCase();
  }
}
