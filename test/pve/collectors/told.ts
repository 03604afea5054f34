/** Runs a collector and gives what it told, to be compared as a whole. */
import type { PveCollector, Round } from "../../../src/pve/contract.ts";
import { type Collected, collect } from "../../support/pve-round.ts";

export async function told(collector: PveCollector, round: Round): Promise<Omit<Collected, "report">> {
  const { series, leftOut, lost } = await collect(collector, round);
  return { series, leftOut, lost };
}
