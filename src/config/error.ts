/** What is wrong with the configuration, said so that a person can put it right. */

export interface Problem {
  /** A whole sentence without a full stop: what is wrong and what to do. */
  readonly text: string;
  /** In a file: 1-based. */
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  /** True where a flag is wrong, which is a wrong use of the command line and no fault of the configuration. */
  readonly usage?: boolean;
}

/** `message` is the first problem in full; `problems` has all of them, in the order of the file. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly [Problem, ...Problem[]];

  constructor(...problems: [Problem, ...Problem[]]) {
    const more = problems.length - 1;
    const rest = more === 0 ? "" : ` (and ${more} more ${more === 1 ? "problem" : "problems"})`;
    super(problemText(problems[0]) + rest);
    this.problems = problems;
  }

  get usage(): boolean {
    return this.problems.some((problem) => problem.usage);
  }
}

/** `plumbline.yaml:3:5: unknown key …`, as compilers and editors write it. */
export function problemText(problem: Problem): string {
  const place = [problem.file, problem.line, problem.column].filter((part) => part !== undefined).join(":");
  return place === "" ? problem.text : `${place}: ${problem.text}`;
}
