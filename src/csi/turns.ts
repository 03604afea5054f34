/** Long work in short steps, between which whatever else waits has its turn. */
import { setImmediate as nextTurn } from "node:timers/promises";

/** How long others may have to wait. */
const TURN_MS = 4;

export interface Limits {
  readonly signal: AbortSignal;
  /** On the clock of `performance.now()`, in ms. */
  readonly deadline: number;
}

/** Throws what `late` makes where the deadline has passed, and the signal's reason where it is aborted. */
export async function inTurns(
  steps: Iterator<void, void>,
  { signal, deadline }: Limits,
  late: () => Error,
): Promise<void> {
  let turn = performance.now();
  for (let now = turn; ; now = performance.now()) {
    if (now >= deadline) throw late();
    signal.throwIfAborted();
    if (now - turn >= TURN_MS) {
      await nextTurn();
      turn = performance.now();
    } else if (steps.next().done) return;
  }
}
