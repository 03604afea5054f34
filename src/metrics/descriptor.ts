/**
 * Descriptors: what a metric family is called, what it means and which labels it has, declared once as a value at
 * the top of the file that emits it. The exposition, `docs/metrics.md` and the checks of rules and dashboards are
 * all made from them.
 */

export type MetricType = "counter" | "gauge" | "histogram" | "summary";

export interface Descriptor<Label extends string = string, Type extends MetricType = MetricType> {
  readonly name: string;
  /** One sentence without a full stop at its end; names the unit and, where it helps, the source of the fact. */
  readonly help: string;
  readonly type: Type;
  readonly labels: readonly Label[];
}

export const counter = <const Labels extends readonly string[]>(name: string, help: string, labels: Labels) =>
  describe("counter", name, help, labels);

export const gauge = <const Labels extends readonly string[]>(name: string, help: string, labels: Labels) =>
  describe("gauge", name, help, labels);

export const histogram = <const Labels extends readonly string[]>(
  name: string,
  help: string,
  labels: Labels,
) => describe("histogram", name, help, labels);

/** Of quantiles it has none: the sum and the count of what was observed. */
export const summary = <const Labels extends readonly string[]>(name: string, help: string, labels: Labels) =>
  describe("summary", name, help, labels);

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

function describe<Type extends MetricType, const Labels extends readonly string[]>(
  type: Type,
  name: string,
  help: string,
  labels: Labels,
): Descriptor<Labels[number], Type> {
  if (!METRIC_NAME.test(name)) throw new Error(`"${name}" is no metric name`);
  if (help === "") throw new Error(`metric ${name} has no help`);
  for (const label of labels) {
    if (!LABEL_NAME.test(label)) throw new Error(`metric ${name}: "${label}" is no label name`);
    if (type === "histogram" && label === "le")
      throw new Error(`metric ${name}: a histogram adds "le" itself`);
  }
  if (new Set(labels).size !== labels.length) throw new Error(`metric ${name} names a label twice`);
  return { name, help, type, labels };
}
