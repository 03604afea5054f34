/** Fetches the address on its command line, and prints the status or why there is none: run with a proxy in its environment. */
import { argv, exit, stdout } from "node:process";
import { errorCode, fetchWith } from "../../src/runtime/index.ts";

const [url = "", fingerprint] = argv.slice(2);
const { fetch } = await fetchWith({ fingerprint });
const outcome = await fetch(new Request(url)).then(({ status }) => String(status), errorCode);
stdout.write(outcome ?? "no code", () => exit(0));
