/** What requests carry: objects that say the same as their path, and patches. */
import { parse } from "yaml";
import { ApiError, badRequest, qualified } from "./failure.ts";
import { isMembers, type Members, membersOf } from "./json.ts";
import type { Where } from "./registry.ts";

export function bodyOf(text: string): Members {
  const body = parsed(text);
  if (!isMembers(body)) throw badRequest("the object provided is unrecognized (must be of type Object)");
  return body;
}

/** JSON, and for server-side apply YAML. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    try {
      return parse(text);
    } catch {
      throw badRequest("the body is not JSON");
    }
  }
}

export function mergePatchOf(text: string, type: string): Members {
  if (type.startsWith("application/merge-patch+json")) return bodyOf(text);
  throw new ApiError(
    415,
    "UnsupportedMediaType",
    `the body of the request was in an unknown format - accepted media types include: application/merge-patch+json, application/apply-patch+yaml`,
  );
}

/** The body says the same as the path. */
export function bodyFor(where: Where, text: string): Members {
  const body = bodyOf(text);
  const { name } = membersOf(body["metadata"]);
  if (name !== undefined && name !== where.name)
    throw badRequest(
      `the name of the object (${String(name)}) does not match the name on the URL (${where.name})`,
    );
  return named(body, where);
}

/** With its name; its namespace and kind are those of the path. */
export function named(body: Members, { kind, name, namespace }: Where): Members {
  const metadata = membersOf(body["metadata"]);
  if (metadata["namespace"] !== undefined && metadata["namespace"] !== namespace)
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
  const isOther = (member: string, wanted: string) => body[member] !== undefined && body[member] !== wanted;
  if (isOther("kind", kind.kind) || isOther("apiVersion", kind.apiVersion))
    throw badRequest(
      `${String(body["kind"])} in version "${String(body["apiVersion"])}" cannot be handled as a ${kind.kind} (${qualified(kind)})`,
    );
  return { ...body, metadata: { ...metadata, name } };
}
