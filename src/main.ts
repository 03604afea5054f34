/** The executable: the words of the command line in, one command run, its exit code out. */
import process from "node:process";
import { run } from "./commands/cli.ts";

// The process ends here even if a thread still waits for a device that does not answer.
process.exit(await run(process.argv.slice(2)));
