/**
 * Compares a text with the golden file of its name, byte for byte. `PLUMBLINE_UPDATE_GOLDEN=1 bun test test/golden`
 * writes the files anew; read what `git diff` then shows before you commit it.
 */
import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const GOLDEN = join(import.meta.dir, "../../fixtures/golden");

/** `name` is the file's below fixtures/golden. */
export function expectGolden(name: string, text: string): void {
  const path = join(GOLDEN, name);
  if (process.env["PLUMBLINE_UPDATE_GOLDEN"] === "1") {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return;
  }
  if (!existsSync(path)) throw new Error(`there is no ${path}; PLUMBLINE_UPDATE_GOLDEN=1 writes it`);
  expect(text).toBe(readFileSync(path, "utf8"));
}
