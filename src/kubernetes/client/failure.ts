/** Why a request to the API server gave nothing, in words that hold nothing of what the server answered. */
import * as v from "valibot";
import type { RestFailure, FailureReason as RestReason } from "../../rest/failure.ts";

export const API_REASONS = [
  "unauthorized",
  "forbidden",
  "not_found",
  "conflict",
  "gone",
  "invalid",
  "too_many_requests",
  "server_error",
  "http",
  "redirect",
  "connect",
  "tls",
  "timeout",
  "bad_body",
  "too_large",
  "credentials",
] as const;
export type ApiReason = (typeof API_REASONS)[number];

export interface ApiAnswer {
  /** HTTP status. */
  readonly status?: number | undefined;
  /** What the server asks to wait before the next request. */
  readonly retryAfterMs?: number | undefined;
}

/** `message` is for the log, for conditions and for people: what failed and why, never a body, a header or a token. */
export class ApiFailure extends Error {
  override readonly name = "ApiFailure";
  readonly reason: ApiReason;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(reason: ApiReason, message: string, { status, retryAfterMs }: ApiAnswer = {}) {
    super(message);
    this.reason = reason;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** What was asked, as RBAC has it. */
export interface Asked {
  readonly verb: "get" | "list" | "watch" | "create" | "patch" | "update" | "delete";
  /** "" for the core group. */
  readonly group: string;
  /** `daemonsets`, `plumblines/status`. */
  readonly resource: string;
  readonly name: string | undefined;
  readonly namespace: string | undefined;
}

/** `body`: the Status that came with it, if any; `retryAfter`: the header of that name. */
export function refusal(asked: Asked, status: number, body: unknown, retryAfter: string | null): ApiFailure {
  const reason = reasonOf(status);
  const parsed = v.safeParse(StatusSchema, body);
  const told = parsed.success ? parsed.output : {};
  const message = `${sentence(asked)} (${status}): ${why(asked, reason, told)}`;
  return new ApiFailure(reason, message, { status, retryAfterMs: waitMs(retryAfter, told) });
}

/** What a watch says when it cannot go on: a Status, whose code stands for that of an answer. */
export function refusedWatch(asked: Asked, body: unknown): ApiFailure {
  const parsed = v.safeParse(StatusSchema, body);
  return refusal(asked, (parsed.success ? parsed.output.code : undefined) ?? 500, body, null);
}

/** No answer came, or none that could be read. */
export function unanswered(asked: Asked, { reason, message, status }: RestFailure): ApiFailure {
  return new ApiFailure(REASONS[reason] ?? "http", `${sentence(asked)}: ${message}`, { status });
}

/** https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
const StatusSchema = v.object({
  code: v.optional(v.number()),
  reason: v.optional(v.string()),
  message: v.optional(v.string()),
  details: v.optional(
    v.object({
      kind: v.optional(v.string()),
      retryAfterSeconds: v.optional(v.number()),
      causes: v.optional(
        v.array(v.object({ reason: v.optional(v.string()), field: v.optional(v.string()) })),
      ),
    }),
  ),
});
type Status = v.InferOutput<typeof StatusSchema>;

const REASONS: Readonly<Partial<Record<RestReason, ApiReason>>> = {
  timeout: "timeout",
  connect: "connect",
  tls: "tls",
  bad_body: "bad_body",
  too_large: "too_large",
  credentials: "credentials",
};

function reasonOf(status: number): ApiReason {
  if (status < 400) return "redirect";
  return OF_STATUS[status] ?? (status < 500 ? "http" : "server_error");
}

const OF_STATUS: Readonly<Record<number, ApiReason>> = {
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  409: "conflict",
  410: "gone",
  422: "invalid",
  429: "too_many_requests",
};

/** `cannot patch daemonsets plumbline-a in namespace plumbline` */
const sentence = ({ verb, resource, name, namespace }: Asked): string =>
  [`cannot ${verb} ${resource}`, name, namespace && `in namespace ${namespace}`].filter(Boolean).join(" ");

function why(asked: Asked, reason: ApiReason, told: Status): string {
  switch (reason) {
    case "unauthorized":
      return "the API server does not know who asks; the token or the certificate is wrong, or has expired";
    case "forbidden":
      return lackingRight(asked, told.message ?? "");
    case "conflict":
      return told.reason === "AlreadyExists" ? "it exists already" : "it has changed meanwhile";
    case "gone":
      return "so old a version is not kept any more";
    case "not_found":
      if (told.details?.kind === "namespaces" && asked.resource !== "namespaces")
        return "the namespace does not exist; make it, or name another one";
      return "it does not exist, or the server does not know the kind";
    case "invalid":
      return `the API server finds it invalid${fields(told)}`;
    case "too_many_requests":
      return "the API server has too much to do";
    case "redirect":
      return "redirects are not followed; give the address of the API server itself";
    default:
      return `the API server could not, or would not${WORD.test(told.reason ?? "") ? `: ${told.reason}` : ""}`;
  }
}

/** `User "system:serviceaccount:…" cannot patch resource "daemonsets" in API group "apps" in the namespace "…"` */
const RBAC = / cannot (create|get|list|watch|patch|update|delete) resource "/;
/** All that is said where a patch would have created what is not there, which is another right. */
const RBAC_OF_CREATION = / is forbidden: *(?:RBAC: .*)?$/;

function lackingRight({ verb, group, resource, namespace }: Asked, message: string): string {
  const lacking = RBAC_OF_CREATION.test(message) ? "create" : RBAC.exec(message)?.[1];
  if (lacking === undefined && message.includes("blockOwnerDeletion"))
    return "an owner is named whose finalizers may not be set; grant update on plumblines/finalizers of plumbline.dev";
  if (lacking === undefined && message !== "")
    return "not for lack of a right, but by a policy, a quota or an admission webhook of the cluster";
  const role = namespace === undefined ? "ClusterRole" : `Role in namespace ${namespace}`;
  const rule = { apiGroups: [group], resources: [resource], verbs: [lacking ?? verb] };
  return `the operator's ${role} lacks the rule ${JSON.stringify(rule)}`;
}

/** What reasons look like: `InternalError`, `FieldValueInvalid`. */
const WORD = /^[A-Za-z]{1,40}$/;
const MAX_FIELDS = 5;

/** Which fields, and in what way; their values are in no answer that is kept. */
function fields({ details }: Status): string {
  const named = (details?.causes ?? []).flatMap(({ field = "", reason = "" }) => {
    if (!/^[\w.[\]/-]{1,200}$/.test(field)) return [];
    return [WORD.test(reason) ? `${field} (${reason})` : field];
  });
  const distinct = [...new Set(named)].slice(0, MAX_FIELDS);
  return distinct.length === 0 ? "" : `: ${distinct.join(", ")}`;
}

/** Nobody is told to stay away for longer. */
const MAX_WAIT_MS = 5 * 60_000;

function waitMs(header: string | null, { details }: Status): number | undefined {
  const seconds = header === null ? details?.retryAfterSeconds : secondsOf(header.trim());
  return seconds !== undefined && seconds >= 0 ? Math.min(seconds * 1000, MAX_WAIT_MS) : undefined;
}

/** A number of seconds, or a date; RFC 9110, 10.2.3. */
function secondsOf(retryAfter: string): number | undefined {
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter);
  const date = Date.parse(retryAfter);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now()) / 1000;
}
