/** What systemd tells a service of `Type=notify` in its environment, see sd_notify(3) and sd_watchdog_enabled(3). */
import type { Environment } from "./load.ts";

export interface SystemdEnvironment {
  /** $NOTIFY_SOCKET: where to tell that the service is ready, reloads, stops and lives. */
  readonly notifySocket: string;
  /** $WATCHDOG_USEC in ms, where the watchdog is meant for this process. */
  readonly watchdogMs: number | undefined;
}

/** Undefined where nobody wants to be notified. */
export function systemdEnvironment(environment: Environment, pid: number): SystemdEnvironment | undefined {
  const { NOTIFY_SOCKET: notifySocket, WATCHDOG_USEC: micros, WATCHDOG_PID: watched } = environment;
  if (notifySocket === undefined || notifySocket === "") return undefined;
  const watchdogMs = Number(micros || Number.NaN) / 1000;
  const ours = watched === undefined || watched === "" || watched === String(pid);
  return { notifySocket, watchdogMs: ours && watchdogMs > 0 ? watchdogMs : undefined };
}
