/** An answer that is no success, with the Status body that Kubernetes gives it. */

export interface Cause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

export interface StatusDetails {
  readonly name?: string | undefined;
  readonly group?: string | undefined;
  readonly kind?: string | undefined;
  readonly causes?: readonly Cause[];
  readonly retryAfterSeconds?: number;
}

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;

  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  get status() {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

/** A kind as errors name it. */
export interface Named {
  readonly group: string;
  readonly plural: string;
  readonly kind: string;
}

/** "daemonsets.apps", "pods" */
export const qualified = ({ group, plural }: Pick<Named, "group" | "plural">): string =>
  group === "" ? plural : `${plural}.${group}`;

const detailsOf = (kind: Named, name: string): StatusDetails => ({
  name,
  ...(kind.group === "" ? {} : { group: kind.group }),
  kind: kind.plural,
});

export const notFound = (kind: Named, name: string): ApiError =>
  new ApiError(404, "NotFound", `${qualified(kind)} "${name}" not found`, detailsOf(kind, name));

export const alreadyExists = (kind: Named, name: string): ApiError =>
  new ApiError(409, "AlreadyExists", `${qualified(kind)} "${name}" already exists`, detailsOf(kind, name));

export const modifiedMeanwhile = (kind: Named, name: string): ApiError =>
  new ApiError(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${qualified(kind)} "${name}": the object has been modified; please apply your changes to the latest version and try again`,
    detailsOf(kind, name),
  );

export const invalid = (kind: Named, name: string, causes: readonly Cause[]): ApiError => {
  const problems = causes.map(({ field, message }) => `${field}: ${message}`);
  const text = problems.length === 1 ? (problems[0] ?? "") : `[${problems.join(", ")}]`;
  const object = `${kind.kind}${kind.group === "" ? "" : `.${kind.group}`} "${name}"`;
  return new ApiError(422, "Invalid", `${object} is invalid: ${text}`, {
    ...detailsOf(kind, name),
    kind: kind.kind,
    causes,
  });
};

export const badRequest = (message: string): ApiError => new ApiError(400, "BadRequest", message);

/** Of a resourceVersion, or a `continue`, that the server does not remember. */
export const expired = (asked: number | string, oldest: number): ApiError =>
  new ApiError(410, "Expired", `too old resource version: ${asked} (${oldest})`);
