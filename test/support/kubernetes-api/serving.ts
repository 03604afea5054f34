/** Answers requests: from the path to the store and back, with rights, faults and the words that a real server uses. */
import type { Socket } from "node:net";
import { type Asked, answer, type Conduct, json } from "../hostile-server.ts";
import { ANONYMOUS, authorize, type User, unauthorized } from "./access.ts";
import { bodyFor, bodyOf, mergePatchOf, named } from "./bodies.ts";
import type { Fault, Requested } from "./contract.ts";
import { discovery } from "./discovery.ts";
import { ApiError, badRequest, notFound } from "./failure.ts";
import type { Faults } from "./faults.ts";
import { at, membersOf, textOf } from "./json.ts";
import type { Kinds } from "./kinds.ts";
import { inForm, Lists } from "./listing.ts";
import type { By, Registry, Where } from "./registry.ts";
import { type Route, routeOf, verbOf } from "./routes.ts";
import { nameSelected, selectorOf } from "./selectors.ts";
import { NAMESPACES, type ServedKind } from "./served-kinds.ts";
import type { Store } from "./store.ts";
import { struckBefore, truncate } from "./striking.ts";
import { Watch } from "./watching.ts";

export interface Served {
  readonly store: Store;
  readonly kinds: Kinds;
  readonly registry: Registry;
  readonly faults: Faults;
  /** Undefined: not known. */
  user(authorization: string | undefined, connection: Socket): User | undefined;
  readonly bookmarkMs: number;
}

/** How a request is answered once it has been understood. */
type Reply =
  | { readonly kind: "json"; readonly status: number; readonly body: unknown }
  | { readonly kind: "text"; readonly status: number; readonly body: string }
  | { readonly kind: "watch"; readonly watch: Watch };

interface Question {
  readonly asked: Asked;
  readonly url: URL;
  readonly route: Route | undefined;
  readonly user: User | undefined;
  readonly requested: Requested;
  readonly connection: Socket;
}

export class Serving {
  readonly requests: Requested[] = [];
  readonly watches = new Map<Watch, Requested>();
  readonly lists = new Lists();
  readonly #served: Served;

  constructor(served: Served) {
    this.#served = served;
  }

  readonly conduct: Conduct = (connection, asked) => {
    const question = this.#understood(connection, asked);
    this.requests.push(question.requested);
    void this.#answer(question).catch(() => connection.destroy());
  };

  #understood(connection: Socket, asked: Asked): Question {
    const url = new URL(asked.path, "https://kubernetes");
    const route = routeOf(url.pathname);
    const user = this.#served.user(asked.headers.get("authorization"), connection);
    const isWatch = ["1", "true"].includes(url.searchParams.get("watch") ?? "");
    const type = typeOf({ asked });
    const requested: Requested = {
      method: asked.method,
      verb: route === undefined ? asked.method.toLowerCase() : verbOf(asked.method, route, isWatch, type),
      resource: route?.plural ?? "",
      subresource: route?.subresource,
      namespace: route?.namespace,
      name: route?.name,
      path: asked.path,
      accept: asked.headers.get("accept") ?? "",
      user: user?.name,
      body: Buffer.from(asked.body, "latin1").toString(),
      at: performance.now(),
      status: undefined,
    };
    return { asked, url, route, user, requested, connection };
  }

  async #answer(question: Question): Promise<void> {
    const { connection, requested, asked } = question;
    const fault = this.#served.faults.strike(requested);
    if (fault !== undefined && (await struckBefore(fault, question))) return;
    const reply = this.#reply(question);
    if (connection.destroyed) return;
    if (fault?.kind === "reset") {
      connection.resetAndDestroy();
      return;
    }
    requested.status = reply.kind === "watch" ? 200 : reply.status;
    if (reply.kind === "watch") this.#open(reply.watch, requested, fault);
    else if (fault?.kind === "truncated") truncate(connection, reply.body, fault.isLengthTrue === true);
    else if (reply.kind === "json") json(reply.body, reply.status)(connection, asked);
    else answer(reply.status, reply.body, { "content-type": "text/plain; charset=utf-8" })(connection, asked);
  }

  #open(watch: Watch, requested: Requested, fault: Fault | undefined): void {
    this.watches.set(watch, requested);
    watch.onEnd(() => this.watches.delete(watch));
    if (fault?.kind === "mute-watch") watch.mute();
    else watch.start();
    if (fault?.kind === "gone-watch") watch.gone();
    if (fault?.kind === "truncated") watch.drop(true);
  }

  #reply(question: Question): Reply {
    try {
      return this.#carryOut(question);
    } catch (error) {
      // A mistake of the kit itself is told, as the 500 that it would be.
      const failure = error instanceof ApiError ? error : new ApiError(500, "InternalError", String(error));
      return { kind: "json", status: failure.code, body: failure.status };
    }
  }

  #carryOut(question: Question): Reply {
    const { route, user, url, requested } = question;
    if (user === undefined) throw unauthorized();
    if (route === undefined) return this.#outside(url, user);
    const { kinds } = this.#served;
    const kind = kinds.at(route.group, route.version, route.plural);
    this.#authorize(question, requested.verb === "apply" ? "patch" : requested.verb, user, route);
    if (kind === undefined && !kinds.hasGroup(route.group, route.version)) return PAGE_NOT_FOUND;
    const isServed =
      route.subresource === undefined || (route.subresource === "status" && kind?.hasStatus === true);
    if (kind === undefined || !isServed)
      throw new ApiError(404, "NotFound", "the server could not find the requested resource", {});
    return this.#on(kind, route, question, user);
  }

  #outside({ pathname }: URL, user: User): Reply {
    if (["/healthz", "/livez", "/readyz"].includes(pathname))
      return { kind: "text", status: 200, body: "ok" };
    if (pathname === "/version") return { kind: "json", status: 200, body: VERSION };
    if (user === ANONYMOUS)
      throw new ApiError(
        403,
        "Forbidden",
        `forbidden: User "${user.name}" cannot get path "${pathname}"`,
        {},
      );
    const body = discovery(pathname, this.#served.kinds.all());
    return body === undefined ? PAGE_NOT_FOUND : { kind: "json", status: 200, body };
  }

  #authorize({ url }: Question, verb: string, user: User, route: Route): void {
    const { group, plural, subresource, name, namespace } = route;
    const isAboutNamespace = group === "" && plural === "namespaces";
    authorize(user, {
      verb,
      group,
      resource: subresource === undefined ? plural : `${plural}/${subresource}`,
      namespace: isAboutNamespace ? name : namespace,
      name: name ?? nameSelected(url.searchParams.get("fieldSelector") ?? ""),
    });
  }

  #on(kind: ServedKind, route: Route, question: Question, user: User): Reply {
    const { registry } = this.#served;
    const { requested, url } = question;
    const { namespace, name = "" } = route;
    const where: Where = { kind, name, namespace };
    const ok = (body: unknown, status = 200): Reply => ({ kind: "json", status, body });
    switch (requested.verb) {
      case "get":
        return ok(registry.get(where));
      case "list":
        return ok(inForm(requested.accept, this.#list(kind, namespace, url.searchParams)));
      case "watch":
        return { kind: "watch", watch: this.#watch(kind, route, question) };
      case "create":
        return ok(this.#create(kind, namespace, question), 201);
      case "update":
        return ok(registry.replace(where, bodyFor(where, requested.body), byOf(question)));
      case "patch":
        return ok(registry.mergePatch(where, mergePatchOf(requested.body, typeOf(question)), byOf(question)));
      case "apply":
        return this.#apply(where, route, question, user);
      case "delete":
        return ok(this.#delete(where, question));
      case "deletecollection":
        return ok(this.#deleteAll(kind, namespace, url.searchParams));
      default:
        throw new ApiError(
          405,
          "MethodNotAllowed",
          "the server does not allow this method on the requested resource",
        );
    }
  }

  #list(kind: ServedKind, namespace: string | undefined, query: URLSearchParams): unknown {
    const limit = Number(query.get("limit") ?? 0);
    const token = query.get("continue") ?? "";
    if (token !== "") return this.lists.next(kind, token, limit);
    const { store } = this.#served;
    return this.lists.first(kind, this.#selected(kind, namespace, query), store.resourceVersion, limit);
  }

  #selected(kind: ServedKind, namespace: string | undefined, query: URLSearchParams) {
    return this.#served.store.list(kind, namespace).filter(selectsOf(query));
  }

  #watch(kind: ServedKind, { namespace, name }: Route, { url, connection }: Question): Watch {
    const query = url.searchParams;
    const since = query.get("resourceVersion") ?? undefined;
    if (since !== undefined && !/^\d*$/.test(since)) throw badRequest(`invalid resource version "${since}"`);
    const selects = selectsOf(query);
    const watched = {
      kind,
      namespace,
      selects:
        name === undefined
          ? selects
          : ({ metadata }: { metadata: { name: string } }) => metadata.name === name,
      since: since === "" ? undefined : since,
      timeoutMs: Number(query.get("timeoutSeconds") ?? 1800) * 1000,
      bookmarkMs: query.get("allowWatchBookmarks") === "true" ? this.#served.bookmarkMs : undefined,
    };
    return new Watch(watched, this.#served.store, connection);
  }

  #create(kind: ServedKind, namespace: string | undefined, question: Question): unknown {
    const body = bodyOf(question.requested.body);
    const { name, generateName } = membersOf(body["metadata"]);
    const given = textOf(name) ?? (generateName === undefined ? "" : `${generateName}${suffix()}`);
    if (given === "") throw badRequest("name or generateName is required");
    const where = { kind, name: given, namespace };
    this.#checkNamespace(kind, namespace);
    return this.#served.registry.create(where, named(body, where), byOf(question));
  }

  #apply(where: Where, route: Route, question: Question, user: User): Reply {
    const query = question.url.searchParams;
    if ((query.get("fieldManager") ?? "") === "")
      throw badRequest(
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
      );
    const { store, registry } = this.#served;
    const isNew = store.get(where.kind, where.name, where.namespace) === undefined;
    const body = registry.apply(
      where,
      bodyFor(where, question.requested.body),
      byOf(question),
      query.get("force") === "true",
      () => {
        this.#authorize(question, "create", user, route);
        this.#checkNamespace(where.kind, where.namespace);
      },
    );
    return { kind: "json", status: isNew ? 201 : 200, body };
  }

  #delete(where: Where, question: Question): unknown {
    const options = question.requested.body === "" ? {} : bodyOf(question.requested.body);
    const preconditions = {
      uid: textOf(at(options, "preconditions", "uid")),
      resourceVersion: textOf(at(options, "preconditions", "resourceVersion")),
    };
    const { uid } = this.#served.registry.get(where).metadata;
    const left = this.#served.registry.delete(where, preconditions, isDryRun(question.url));
    const { group, plural } = where.kind;
    const details = { name: where.name, ...(group === "" ? {} : { group }), kind: plural, uid };
    return left ?? { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details };
  }

  #deleteAll(kind: ServedKind, namespace: string | undefined, query: URLSearchParams): unknown {
    const objects = this.#selected(kind, namespace, query);
    for (const { metadata } of objects)
      this.#served.registry.delete({ kind, name: metadata.name, namespace: metadata.namespace });
    return this.lists.first(kind, objects, this.#served.store.resourceVersion, 0);
  }

  #checkNamespace(kind: ServedKind, namespace: string | undefined): void {
    if (!kind.isNamespaced || namespace === undefined) return;
    const found = this.#served.store.get(NAMESPACES, namespace, undefined);
    if (found === undefined) throw notFound(NAMESPACES, namespace);
    if (found.metadata.deletionTimestamp !== undefined) {
      const message = `unable to create new content in namespace ${namespace} because it is being terminated`;
      throw new ApiError(403, "Forbidden", message, { kind: kind.plural });
    }
  }
}

const VERSION = { major: "1", minor: "33", gitVersion: "v1.33.0", platform: "linux/amd64" };
const PAGE_NOT_FOUND: Reply = { kind: "text", status: 404, body: "404 page not found\n" };

function selectsOf(query: URLSearchParams) {
  return selectorOf(query.get("labelSelector") ?? "", query.get("fieldSelector") ?? "");
}

function byOf({ url, asked, route }: Question): By {
  const agent = (asked.headers.get("user-agent") ?? "unknown").split("/")[0] ?? "unknown";
  return {
    manager: url.searchParams.get("fieldManager") ?? agent,
    part: route?.subresource === "status" ? "status" : "main",
    isDryRun: isDryRun(url),
  };
}

const typeOf = ({ asked }: Pick<Question, "asked">): string => asked.headers.get("content-type") ?? "";

const isDryRun = (url: URL): boolean => url.searchParams.get("dryRun") === "All";

const suffix = (): string => crypto.randomUUID().slice(0, 5);
