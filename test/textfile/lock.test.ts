import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitForLock } from "../../src/textfile/lock.ts";

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), "plumbline-lock-")), ".plumbline.prom.lock");
});
afterEach(() => rmSync(join(path, ".."), { recursive: true }));

test("the second waits until the first is done", async () => {
  const first = await waitForLock(path, 0);
  const second = waitForLock(path, 10_000);
  await Bun.sleep(60);
  first?.unlock();
  expect(await second).toBeDefined();
  (await second)?.unlock();
});

test("the second waits no longer than it may, also when the clock jumps back meanwhile", async () => {
  const first = await waitForLock(path, 0);
  const clock = Date.now;
  try {
    const second = waitForLock(path, 120);
    Date.now = () => clock() - 86_400_000;
    expect(await second).toBeUndefined();
  } finally {
    Date.now = clock;
    first?.unlock();
  }
});

test("a lock file in a directory that is missing is an error, not a lock", () => {
  expect(waitForLock(join(path, "none", "lock"), 1000)).rejects.toThrow("cannot open the lock file");
});
