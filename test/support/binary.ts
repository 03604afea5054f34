/** The compiled binary under test: the one PLUMBLINE_BINARY names, or built from the sources once for each test run. */
import { type Architecture, build } from "../../.ci/build.ts";

const HERE: Architecture = process.arch === "arm64" ? "arm64" : "x64";
const built = new Map<Architecture, Promise<string>>();

/** The path of a compiled plumbline for this machine. */
export function plumblineBinary(): Promise<string> {
  return binaryFor(HERE);
}

export function binaryFor(architecture: Architecture): Promise<string> {
  const given = process.env["PLUMBLINE_BINARY"];
  if (given !== undefined && architecture === HERE) return Promise.resolve(given);
  const binary = built.get(architecture) ?? build(architecture, "node_modules/.cache/plumbline/binary");
  built.set(architecture, binary);
  return binary;
}
