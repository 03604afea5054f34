/** Asks what the JSON on its command line says, one after the other, and prints how each ended: run under Deno. */
import { argv, exit, stdout } from "node:process";
import { ask } from "./asking.ts";

const outcomes = [];
for (const asking of JSON.parse(argv[2] ?? "[]")) outcomes.push(await ask(asking));
stdout.write(JSON.stringify(outcomes), () => exit(0));
