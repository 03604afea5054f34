/** What `promtool check metrics` says of an exposition. Use inside `describeWith([PROMTOOL], …)`. */
import { PEER_NAMES } from "../../src/metrics/peer-names.ts";
import { find, PROMTOOL } from "./debian.ts";

/** What promtool finds beside the names that are kept for drop-in's sake; empty where all is well. */
export async function promtoolFindings(exposition: Uint8Array | string): Promise<readonly string[]> {
  const known = new Set(PEER_NAMES.map(({ name, objection }) => `${name} ${objection}`));
  return (await promtoolLines(exposition)).filter((line) => !known.has(line));
}

/** Each line that promtool prints about an exposition in the text format. */
export async function promtoolLines(exposition: Uint8Array | string): Promise<readonly string[]> {
  const promtool = Bun.spawn([find(PROMTOOL) ?? PROMTOOL.command, "check", "metrics"], {
    stdin: typeof exposition === "string" ? new TextEncoder().encode(exposition) : exposition,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(promtool.stdout).text(),
    new Response(promtool.stderr).text(),
    promtool.exited,
  ]);
  const lines = `${stdout}${stderr}`.split("\n").filter((line) => line !== "");
  return exitCode === 0 || lines.length > 0 ? lines : [`promtool ended with ${exitCode}`];
}
