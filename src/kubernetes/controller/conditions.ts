/** Conditions of a resource's status, as Kubernetes's API conventions have them. */
import * as v from "valibot";

export type ConditionStatus = "True" | "False" | "Unknown";

export interface Judgement {
  readonly type: string;
  readonly status: ConditionStatus;
  /** One word in CamelCase, for programs. */
  readonly reason: string;
  /** A sentence, for people. */
  readonly message: string;
}

export interface Condition extends Judgement {
  readonly observedGeneration: number;
  /** When `status` last changed; RFC 3339, in seconds. */
  readonly lastTransitionTime: string;
}

export const ConditionSchema = v.object({
  type: v.string(),
  status: v.picklist(["True", "False", "Unknown"]),
  reason: v.fallback(v.optional(v.string(), ""), ""),
  message: v.fallback(v.optional(v.string(), ""), ""),
  observedGeneration: v.fallback(v.optional(v.number(), 0), 0),
  lastTransitionTime: v.fallback(v.optional(v.string(), ""), ""),
});

/** The time of the last transition stays as long as the status does. */
export function conditionsFrom(
  judgements: readonly Judgement[],
  before: readonly Condition[],
  generation: number,
): readonly Condition[] {
  return judgements.map((judgement) => {
    const known = before.find(({ type }) => type === judgement.type);
    const isSame = known?.status === judgement.status && known.lastTransitionTime !== "";
    return {
      ...judgement,
      message: shortened(judgement.message, MAX_MESSAGE),
      observedGeneration: generation,
      lastTransitionTime: isSame ? known.lastTransitionTime : rfc3339(),
    };
  });
}

/** The API takes 32,768 characters; nobody reads as many. */
const MAX_MESSAGE = 2000;

export const shortened = (message: string, most: number): string =>
  message.length <= most ? message : `${message.slice(0, most - 1)}…`;

/** As `metav1.Time` is written: without fractions of a second. */
export const rfc3339 = (date = new Date()): string => date.toISOString().replace(/\.\d+Z$/, "Z");
