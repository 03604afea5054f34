/** Fetches the address on its command line, and prints the status: run with a proxy in its environment. */
import { argv, exit, stdout } from "node:process";
import { fetchWith } from "../../src/runtime/index.ts";

const { fetch } = await fetchWith({});
const { status } = await fetch(new Request(argv[2] ?? ""));
stdout.write(String(status), () => exit(0));
