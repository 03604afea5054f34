/** What goes wrong in which scrape of the soak, and how it has to be counted. */
import type { Fault } from "../../../src/demo/mayastor-rest.ts";
import { RESOURCES, type Resource } from "../../../src/mayastor/model.ts";
import type { FailureReason } from "../../../src/rest/failure.ts";

/** Each fault, and the reasons under which it may be counted. */
const FAULTS: readonly (readonly [fault: Fault, ...reasons: FailureReason[]])[] = [
  [{ kind: "status", status: 503, word: "Unavailable" }, "http_5xx"],
  [{ kind: "status", status: 504, word: "DeadlineExceeded" }, "http_5xx"],
  [{ kind: "status", status: 502, html: true }, "http_5xx"],
  [{ kind: "status", status: 408, word: "Timeout" }, "http_4xx"],
  [{ kind: "status", status: 404, word: "NotFound" }, "not_found"],
  [{ kind: "status", status: 403, word: "PermissionDenied" }, "unauthorized"],
  [{ kind: "echo_token" }, "unauthorized"],
  [{ kind: "hang" }, "timeout"],
  [{ kind: "hang_in_body" }, "timeout"],
  [{ kind: "slow", ms: 50 }],
  [{ kind: "truncated" }, "bad_body"],
  // 64 MiB of replicas may take longer than there is time.
  [{ kind: "endless" }, "too_large", "timeout"],
  [{ kind: "not_json" }, "bad_body"],
  [{ kind: "reset" }, "connect"],
];

export interface Plan {
  readonly fault: Fault;
  readonly reasons: readonly FailureReason[];
  /** Which page of the volumes it strikes; the first is all there is of anything else. */
  readonly page: 1 | 2;
}

const FAULT_PROBABILITY = 0.1;
/** One resource after the other fails several times in a row, so that its circuit opens for a minute: from when on. */
const OUTAGES: readonly (readonly [scrape: number, resource: Resource])[] = [
  [500, "nodes"],
  [2900, "pools"],
  [5300, "volumes"],
  [7700, "replicas"],
];
const OUTAGE_SCRAPES = 4;

interface Circumstances {
  /** The volumes fill two pages. */
  readonly isLarge: boolean;
  /** Where redirects lead. */
  readonly elsewhere: string;
  readonly random: () => number;
}

/** What is to go wrong in scrape `i`. */
export function planFor(
  i: number,
  { isLarge, elsewhere, random }: Circumstances,
): ReadonlyMap<Resource, Plan> {
  const faults = [...FAULTS, [{ kind: "redirect", to: elsewhere }, "redirect"] as const];
  const plans = new Map<Resource, Plan>();
  for (const resource of RESOURCES) {
    const isOut = OUTAGES.some(([from, out]) => out === resource && i >= from && i < from + OUTAGE_SCRAPES);
    const chosen = random() < FAULT_PROBABILITY ? faults[Math.floor(random() * faults.length)] : undefined;
    const page = isLarge && resource === "volumes" && random() < 0.5 ? 2 : 1;
    if (isOut) plans.set(resource, { fault: { kind: "reset" }, reasons: ["connect"], page: 1 });
    else if (chosen !== undefined) {
      const [fault, ...reasons] = chosen;
      plans.set(resource, { fault, reasons, page });
    }
  }
  return plans;
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
