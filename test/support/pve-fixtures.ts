/** The answers in fixtures/pve. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const FIXTURES = join(import.meta.dir, "../../fixtures/pve");

/** `data` of "cluster-status/two-nodes". */
export function pveFixture(name: string): unknown {
  return JSON.parse(readFileSync(join(FIXTURES, `${name}.json`), "utf8")).data;
}
