import { expect, test } from "bun:test";
import { systemdEnvironment } from "../../src/config/systemd.ts";

const NOTIFY_SOCKET = "/run/systemd/notify";

test("without a socket nobody wants to be notified", () => {
  expect(systemdEnvironment({}, 7)).toBeUndefined();
  expect(systemdEnvironment({ NOTIFY_SOCKET: "", WATCHDOG_USEC: "1000" }, 7)).toBeUndefined();
});

test("the watchdog's time is in ms, and only for the process it is meant for", () => {
  const watchdog = (more: Record<string, string>) =>
    systemdEnvironment({ NOTIFY_SOCKET, ...more }, 7)?.watchdogMs;
  expect(watchdog({ WATCHDOG_USEC: "60000000" })).toBe(60_000);
  expect(watchdog({ WATCHDOG_USEC: "60000000", WATCHDOG_PID: "7" })).toBe(60_000);
  expect(watchdog({ WATCHDOG_USEC: "60000000", WATCHDOG_PID: "8" })).toBeUndefined();
});

test.each(["", "0", "-1", "soon", "NaN"])("a watchdog time of %j is none", (WATCHDOG_USEC) => {
  expect(systemdEnvironment({ NOTIFY_SOCKET, WATCHDOG_USEC }, 7)).toEqual({
    notifySocket: NOTIFY_SOCKET,
    watchdogMs: undefined,
  });
});
