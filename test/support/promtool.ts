/** What `promtool check metrics` says of an exposition. Use inside `describeWith([PROMTOOL], …)`. */
import { PEER_NAMES } from "../../src/metrics/peer-names.ts";
import { find, PROMTOOL } from "./debian.ts";

export interface Verdict {
  /** Lines that promtool printed and that no entry of PEER_NAMES explains; empty where all is well. */
  readonly objections: readonly string[];
  /** Names of PEER_NAMES that promtool objected to. */
  readonly peerNames: readonly string[];
}

/** `exposition` in the text format. */
export function checkMetrics(exposition: Uint8Array | string): Verdict {
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    [find(PROMTOOL) ?? PROMTOOL.command, "check", "metrics"],
    {
      stdin: typeof exposition === "string" ? new TextEncoder().encode(exposition) : exposition,
    },
  );
  const lines = `${stdout}${stderr}`.split("\n").filter((line) => line !== "");
  if (exitCode !== 0 && lines.length === 0) lines.push(`promtool ended with ${exitCode}`);
  const known = new Map(PEER_NAMES.map(({ name, objection }) => [`${name} ${objection}`, name]));
  return {
    objections: lines.filter((line) => !known.has(line)),
    peerNames: lines.flatMap((line) => known.get(line) ?? []),
  };
}
