/** Lets work go on until it ends, its time is over, or the caller gives it up, whichever comes first. */

/** What a timer can wait at most. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * `deadline` is on the clock of `performance.now()`. Rejects with `late()` when it comes, with the signal's reason when
 * that aborts; nothing waits for the work any more then. However it fails, the signal that the work got is aborted: what
 * was begun for it ends.
 */
export async function within<T>(
  { signal, deadline }: { readonly signal: AbortSignal; readonly deadline: number },
  work: (signal: AbortSignal) => Promise<T>,
  late: () => Error,
): Promise<T> {
  signal.throwIfAborted();
  const leftMs = Math.min(deadline - performance.now(), MAX_DELAY_MS);
  if (!(leftMs > 0)) throw late();
  const end = new AbortController();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const stop = (reason: unknown) => {
    reject(reason);
    end.abort(reason);
  };
  const giveUp = () => stop(signal.reason);
  const timer = setTimeout(() => stop(late()), leftMs);
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    return await Promise.race([work(end.signal), ended]);
  } catch (error) {
    end.abort(error);
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", giveUp);
  }
}
