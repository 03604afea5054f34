/** From Amazon's latency bins to a Prometheus histogram. */
import type { HistogramValue } from "../metrics/samples.ts";
import type { LatencyHistogram } from "./pages/amazon.ts";

/** Bounds in seconds. The last bin is open-ended and so becomes `+Inf`. */
export function latencySeconds(bins: LatencyHistogram): HistogramValue {
  const upperBounds: number[] = [];
  const counts: bigint[] = [];
  let count = 0n;
  bins.forEach((bin, i) => {
    count += bin.count;
    if (i === bins.length - 1) return;
    upperBounds.push(secondsOf(bin.upperUs));
    counts.push(count);
  });
  return { upperBounds, counts, count };
}

export const secondsOf = (microseconds: bigint): number => Number(microseconds) / 1e6;
