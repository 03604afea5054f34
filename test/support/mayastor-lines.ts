/** What a list of one of Mayastor's resources becomes: the lines of the exposition, and what was counted. */
import { Tally } from "../../src/mayastor/model.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { Samples } from "../../src/metrics/samples.ts";

export const linesOf = (fill: (samples: Samples) => void): string[] => {
  const samples = new Samples();
  fill(samples);
  const { body, dropped } = expose([samples], "text");
  if (dropped > 0) throw new Error("a series was given twice");
  return new TextDecoder()
    .decode(body)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
};

/** The values of a state set or of counts by state, without those that are 0. */
export const notZero = (lines: readonly string[], family: string): string[] =>
  lines.filter((line) => line.startsWith(`${family}{`) && !line.endsWith(" 0"));

export const tallied = ({ skipped, unrecognized }: Tally): Record<string, number> =>
  Object.fromEntries([...skipped, ...unrecognized]);

export const withTally = <T>(
  read: (tally: Tally) => T,
): { read: T; counts: () => Record<string, number> } => {
  const tally = new Tally();
  return { read: read(tally), counts: () => tallied(tally) };
};
