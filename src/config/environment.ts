/** The only place that reads the environment of the process. */
import type { Environment } from "./load.ts";

export function environment(): Environment {
  return process.env;
}
