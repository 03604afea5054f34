/** Which events a reconcile is worth: what is different from before, and nothing that only goes on. */
import { match } from "ts-pattern";
import { DAEMON_SET } from "../object.ts";
import type { Transition } from "./events.ts";
import type { FailingNode } from "./health.ts";
import type { Change } from "./keeper.ts";
import { rolloutOf } from "./kept.ts";
import { nameAndWhy, type PlumblineStatus, several } from "./status.ts";

export interface Step {
  /** Undefined where the Plumbline has never had a status. */
  readonly before: PlumblineStatus | undefined;
  readonly after: PlumblineStatus;
  readonly changes: readonly Change[];
  readonly failing: readonly FailingNode[];
  readonly failedBefore: ReadonlySet<string>;
}

export const transitions = (step: Step): readonly Transition[] =>
  [created(step), configRolled(step), ...driftRepaired(step), degraded(step), nodeFailing(step)].filter(
    (transition) => transition !== undefined,
  );

function created({ changes }: Step): Transition | undefined {
  const made = changes.filter(({ how }) => how === "created").map(({ manifest }) => manifest);
  if (!made.some(({ kind }) => kind === DAEMON_SET.kind)) return undefined;
  const message = `Made ${made.map(({ kind, metadata }) => `${kind} ${metadata.name}`).join(", ")}`;
  return { type: "Normal", reason: "Created", message };
}

function configRolled({ changes }: Step): Transition | undefined {
  const change = changes.find(({ manifest, how }) => manifest.kind === DAEMON_SET.kind && how === "changed");
  if (change?.before === undefined) return undefined;
  const [before, after] = [rolloutOf(change.before).configHash, rolloutOf(change.after).configHash];
  if (before === undefined || before === after) return undefined;
  const message = "The configuration has changed; the DaemonSet rolls its pods";
  return { type: "Normal", reason: "ConfigRolled", message };
}

function driftRepaired({ changes }: Step): Transition[] {
  return changes.flatMap(({ manifest, how }) => {
    const done = match(how)
      .with("put back", () => "changed")
      .with("made again", () => "deleted")
      .with("created", "changed", () => undefined)
      .exhaustive();
    if (done === undefined) return [];
    const message = `${manifest.kind} ${manifest.metadata.name} had been ${done}, and is as declared again`;
    return [{ type: "Warning", reason: "DriftRepaired", message } as const];
  });
}

/** Failing nodes have an event of their own. */
function degraded({ before, after }: Step): Transition | undefined {
  const now = after.conditions.find(({ type }) => type === "Degraded");
  if (now?.status !== "True" || now.reason === "NodesFailing") return undefined;
  const then = before?.conditions.find(({ type }) => type === "Degraded");
  const isNews =
    then?.status !== "True" ||
    then.reason !== now.reason ||
    (then.observedGeneration !== now.observedGeneration && then.message !== now.message);
  return isNews ? { type: "Warning", reason: now.reason, message: now.message } : undefined;
}

function nodeFailing({ failing, failedBefore }: Step): Transition | undefined {
  const anew = failing.filter(({ node }) => !failedBefore.has(node));
  if (anew.length === 0) return undefined;
  const message = `The exporter fails on ${several(anew.map(nameAndWhy))}`;
  return { type: "Warning", reason: "NodeFailing", message };
}
