/** The same calls as a scrape makes, with node:https alone, and nothing made of what is answered: the first, then four at a time. */
import { Agent } from "node:https";
import { ask } from "../support/pve-asking.ts";

const AT_ONCE = 4;

/** How long it takes, in ms. */
export async function replay(url: string, paths: readonly string[]): Promise<number> {
  const agent = new Agent({ keepAlive: true });
  const started = performance.now();
  const [first = "", ...others] = paths;
  await ask(url, first, { agent });
  const left = others.values();
  const worker = async () => {
    for (const path of left) await ask(url, path, { agent });
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const took = performance.now() - started;
  agent.destroy();
  return took;
}
