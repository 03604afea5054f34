/** The server as the web configuration file wants it. Loaded only where there is one: most hosts have none. */
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import { type Handle, type ListenAddress, type Listening, servePlain, serveTls } from "../runtime/index.ts";
import { guard } from "./guard.ts";
import { tlsGate } from "./tls-gate.ts";
import type { KeyPair, TlsSettings, WebConfig } from "./web-config.ts";
import { WebConfigFile } from "./web-config-file.ts";

export interface Guarded {
  readonly scheme: "http" | "https";
  serve(address: ListenAddress): Promise<Listening>;
}

/** Throws `WebConfigError`. */
export function guarded(source: string | KeyPair, handle: Handle, log: Log): Guarded {
  const file = new WebConfigFile(source, log);
  const guardedHandle = guard(() => file.current(), handle);
  if (!hasTls(file.current()))
    return { scheme: "http", serve: (address) => servePlain(address, guardedHandle) };
  const config = () => {
    const current = file.current();
    // WebConfigFile takes no file that switches TLS off.
    if (!hasTls(current)) throw new Error("TLS is off");
    return current;
  };
  const gate = tlsGate(config, new FaultLog(log));
  return { scheme: "https", serve: (address) => serveTls(address, guardedHandle, gate) };
}

const hasTls = (config: WebConfig): config is WebConfig & { readonly tls: TlsSettings } =>
  config.tls !== undefined;
