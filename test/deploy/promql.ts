/** The metric names of a PromQL expression, by its tokens: no parser, but strict about what it does not know. */

/** Words behind which a list of label names stands. */
const BEFORE_LABELS = new Set(["by", "without", "on", "ignoring", "group_left", "group_right"]);
const KEYWORDS = new Set([...BEFORE_LABELS, "and", "or", "unless", "bool", "offset", "inf", "nan"]);
const TOKEN =
  /"(?:[^"\\]|\\.)*"|\{(?:"(?:[^"\\]|\\.)*"|[^"}])*\}|\[[^\]]*\]|[a-zA-Z_:][a-zA-Z0-9_:]*|\d[\d.]*(?:[eE][+-]?\d+)?[a-z]*|\S/g;

/** Sorted, each once. Names inside `{__name__=…}` are not found: rules and dashboards must not use them. */
export function metricsOfExpression(expression: string): readonly string[] {
  if (expression.includes("__name__")) throw new Error(`${expression} hides a metric behind __name__`);
  const tokens = [...withoutComments(expression).matchAll(TOKEN)].map(([token]) => token);
  const names = new Set<string>();
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] ?? "";
    if (BEFORE_LABELS.has(token) && tokens[at + 1] === "(") {
      at = tokens.indexOf(")", at);
      continue;
    }
    const isWord = /^[a-zA-Z_:]/.test(token);
    const isAggregation = BEFORE_LABELS.has(tokens[at + 1] ?? "");
    const isFunction = tokens[at + 1] === "(" || (isAggregation && /^[a-z]+$/.test(token));
    if (isWord && !isFunction && !KEYWORDS.has(token.toLowerCase())) names.add(token);
  }
  return [...names].sort();
}

function withoutComments(expression: string): string {
  return expression.replaceAll(/#.*$/gm, "");
}
