/** What `promtool check metrics` says of an exposition, less the names that are kept for drop-in's sake. */
import { PEER_NAMES } from "../../src/metrics/peer-names.ts";

export interface Verdict {
  /** Lines that promtool printed and that no entry of PEER_NAMES explains; empty where all is well. */
  readonly objections: readonly string[];
  /** Names of PEER_NAMES that promtool objected to. */
  readonly peerNames: readonly string[];
}

/** `exposition` in the text format. Use inside `describeWith([PROMTOOL], …)`. */
export function checkMetrics(exposition: Uint8Array | string): Verdict {
  const stdin = typeof exposition === "string" ? new TextEncoder().encode(exposition) : exposition;
  const { exitCode, stdout, stderr } = Bun.spawnSync(["promtool", "check", "metrics"], { stdin });
  const lines = `${stdout}${stderr}`.split("\n").filter((line) => line !== "");
  const known = new Map(PEER_NAMES.map(({ name, objection }) => [`${name} ${objection}`, name]));
  const peerNames = lines.flatMap((line) => known.get(line) ?? []);
  const objections = lines.filter((line) => !known.has(line));
  // 0 is silence, 3 a remark about a name; anything else means that the text could not be read.
  if (exitCode !== 0 && exitCode !== 3) objections.push(`promtool ended with ${exitCode}`);
  return { objections, peerNames };
}
