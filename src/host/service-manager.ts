/** Tells systemd how the service is: sd_notify(3) without its library. */
import type { Log } from "../log/log.ts";
import { uptimeMs } from "./boot.ts";

export interface ServiceManager {
  ready(): void;
  /** To be followed by `ready`, however the reload went. */
  reloading(): void;
  stopping(): void;
}

/** The resolution of <procfs>/uptime. */
const UPTIME_STEP_MS = 10;

const NOBODY: ServiceManager = { ready() {}, reloading() {}, stopping() {} };

/**
 * Speaks to `systemd.notifySocket`, and from now on shows the watchdog that the event loop turns. Without systemd
 * all of it does nothing. What cannot be sent is logged once.
 */
export async function serviceManager(
  systemd: { readonly notifySocket: string; readonly watchdogMs: number | undefined } | undefined,
  procfs: string,
  log: Log,
): Promise<ServiceManager> {
  if (systemd === undefined) return NOBODY;
  const { notifySystemd } = await import("./libc.ts");
  let complained = false;
  const notify = (...lines: string[]): void => {
    try {
      notifySystemd(systemd.notifySocket, lines.join("\n"));
    } catch (error) {
      if (!complained) log.warn("systemd cannot be notified", { err: String(error) });
      complained = true;
    }
  };
  if (systemd.watchdogMs !== undefined)
    setInterval(() => notify("WATCHDOG=1"), systemd.watchdogMs / 2).unref();
  return {
    ready: () => notify("READY=1"),
    reloading() {
      // Neither runtime shows CLOCK_MONOTONIC. systemd wants a time after its signal, so it is rounded up; that
      // <procfs>/uptime counts suspended time too only makes it later.
      const now = uptimeMs(procfs);
      const monotonic = now === undefined ? [] : [`MONOTONIC_USEC=${(now + UPTIME_STEP_MS) * 1000}`];
      notify("RELOADING=1", ...monotonic);
    },
    stopping: () => notify("STOPPING=1"),
  };
}
