/** The calls of a scrape with node:https alone, and nothing made of what is answered: the first, then four at a time. */
import { Agent } from "node:https";
import { ask } from "../support/pve-asking.ts";

const AT_ONCE = 4;
/** Keeps its connections from one time to the next, as plumbline does. */
const agent = new Agent({ keepAlive: true });

/** How long it takes, in ms. */
export async function replay(url: string, paths: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  const [first = "/", ...others] = paths;
  await ask(url, first, { agent });
  const left = others.values();
  const askOthers = async () => {
    for (const path of left) await ask(url, path, { agent });
  };
  await Promise.all(Array.from({ length: AT_ONCE }, askOthers));
  return performance.now() - startedAt;
}
