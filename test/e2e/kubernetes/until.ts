/** Waits for what comes by itself. */

/** Asks until the answer is true, or anything that is not undefined; an error counts as a no, and is told at the end. */
export async function until<T>(
  what: string,
  limitMs: number,
  ask: () => Promise<T | undefined | false>,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (let failure: unknown; ; ) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      failure = answer;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadline)
      throw new Error(`not within ${limitMs / 1000} s: ${what}`, { cause: failure });
    await Bun.sleep(50);
  }
}
