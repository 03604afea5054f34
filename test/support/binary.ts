/** The compiled binary under test: the one PLUMBLINE_BINARY names, or built from the sources once for each test run. */
import { build } from "../../.ci/build.ts";

let built: Promise<string> | undefined;

/** The path of a compiled plumbline for this machine. */
export function plumblineBinary(): Promise<string> {
  const given = process.env["PLUMBLINE_BINARY"];
  if (given !== undefined) return Promise.resolve(given);
  built ??= build(process.arch === "arm64" ? "arm64" : "x64", "node_modules/.cache/plumbline/binary");
  return built;
}
