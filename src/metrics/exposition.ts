/** The writer of the exposition: sets of samples in, the text that Prometheus reads out. */
import type { Samples } from "./samples.ts";

export type Format = "text" | "openmetrics";

export const CONTENT_TYPE: Readonly<Record<Format, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

export interface Exposition {
  readonly body: Uint8Array<ArrayBuffer>;
  /** Lines with a value. */
  readonly samples: number;
  /** Series and families that were left out because they were there already, described; at most 20. */
  readonly duplicates: readonly string[];
}

export function expose(_sets: readonly Samples[], _format: Format): Exposition {
  throw new Error("not yet");
}

export function negotiate(_accept: string | null): Format {
  return "text";
}
