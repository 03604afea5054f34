/** Opens the listen addresses, over TLS and with basic auth where the web configuration file says so. */
import type { Settings } from "../config/settings.ts";
import type { Log } from "../log/log.ts";
import type { App } from "./app.ts";

export interface WebServer {
  /** As printed to the user: `http://[::]:9847`, `https://127.0.0.1:9847`, `unix:///run/plumbline.sock`. */
  readonly addresses: readonly string[];
  /** Stops accepting, lets running requests end for at most `graceMs`, then closes what is left. */
  stop(graceMs: number): Promise<void>;
}

/** Rejects with a sentence for the user where an address cannot be had or the web configuration file is wrong. */
export function listen(_app: App, _web: Settings["web"], _log: Log): Promise<WebServer> {
  throw new Error("not written yet");
}
