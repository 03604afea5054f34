/** What a person does about a failed call: the sentence that a log, `check` and the answer of /pve end with. */
import type { PveEndpoint } from "./endpoint.ts";
import type { PveFailure } from "./failure.ts";

/** Undefined where the message says it all. `entries`: paths of access control lists, as /access/permissions has them. */
export function adviceFor(
  failure: PveFailure,
  endpoint: PveEndpoint,
  entries: readonly string[] = [],
): string | undefined {
  void [failure, endpoint, entries];
  return undefined;
}
