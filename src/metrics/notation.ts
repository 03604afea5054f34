/** Where the two exposition formats differ. */
import type { Descriptor, MetricType } from "./descriptor.ts";
import { boundText, canonicalBoundText } from "./number-text.ts";

export interface Title {
  /** The family's name, which is not always that of its samples. */
  readonly name: string;
  readonly type: MetricType | "unknown";
}

export interface Notation {
  /** `isTaken`: whether another family is called so. */
  title(descriptor: Descriptor, isTaken: (name: string) => boolean): Title;
  /** The lines before the family's first sample. */
  metadata(title: Title, help: string): string;
  /** The value of `le`. */
  bound(bound: number): string;
  /** Whether a histogram without a sum has a count. */
  readonly countWithoutSum: boolean;
  readonly end: string;
}

/** Prometheus' text format 0.0.4. */
export const TEXT: Notation = {
  title: ({ name, type }) => ({ name, type }),
  metadata: ({ name, type }, help) => `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`,
  bound: boundText,
  countWithoutSum: true,
  end: "",
};

/** OpenMetrics 1.0.0. */
export const OPENMETRICS: Notation = {
  title({ name, type }, isTaken) {
    if (type !== "counter") return { name, type };
    // A counter's sample is called like its family with "_total"; one that is not has no type here.
    const family = name.replace(/_total$/, "");
    return family === name || family === "" || isTaken(family)
      ? { name, type: "unknown" }
      : { name: family, type };
  },
  metadata({ name, type }, help) {
    const unit = UNITS.find((suffix) => name.endsWith(`_${suffix}`));
    return [
      `# HELP ${name} ${escapeHelp(help).replaceAll('"', '\\"')}\n`,
      `# TYPE ${name} ${type}\n`,
      unit === undefined ? "" : `# UNIT ${name} ${unit}\n`,
    ].join("");
  },
  bound: canonicalBoundText,
  countWithoutSum: false,
  end: "# EOF\n",
};

/** https://prometheus.io/docs/practices/naming/#base-units */
const UNITS: readonly string[] = [
  "seconds",
  "celsius",
  "meters",
  "bytes",
  "ratio",
  "volts",
  "amperes",
  "joules",
  "grams",
];

function escapeHelp(help: string): string {
  return help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
