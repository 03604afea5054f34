/** Brings flags, environment, file and defaults together into the settings that the program runs with. */
import type { Settings } from "./settings.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** By flag name without its dashes; `--no-x` is `x: false`, a repeated flag is a list. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[]>>;

/** Where the value of one setting came from. */
export interface Origin {
  /** As in the configuration file: `web.telemetry_path`. */
  readonly name: string;
  /** As text; `<set>` for a secret, empty where nothing is set. */
  readonly value: string;
  readonly from: "flag" | "environment" | "file" | "default";
  /** The flag, the variable, or `file:line:column`. */
  readonly detail?: string;
}

export interface Loaded {
  readonly settings: Settings;
  readonly origins: readonly Origin[];
  readonly warnings: readonly string[];
}

/** `collectors`: the names of all collectors that exist. Throws ConfigError. */
export declare function load(
  flags: FlagValues,
  environment: Environment,
  collectors: readonly string[],
): Loaded;
