/** The command line: which words and flags there are, and which command they start. */

/** Runs the command that `words` (without runtime and script) ask for; the exit code. */
export declare function run(words: readonly string[]): Promise<number>;
