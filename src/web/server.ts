/** Opens the listen addresses, over TLS and with basic auth where the web configuration file says so. */
import { parseListenAddress } from "../config/listen-address.ts";
import type { Settings } from "../config/settings.ts";
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import {
  errorCode,
  type Handle,
  type ListenAddress,
  type Listening,
  servePlain,
  serveTls,
} from "../runtime/index.ts";
import type { App } from "./app.ts";
import { guard } from "./guard.ts";
import { tlsGate } from "./tls-gate.ts";
import type { TlsSettings, WebConfig } from "./web-config.ts";
import { WebConfigFile } from "./web-config-file.ts";

export interface WebServer {
  /** As printed to the user: `http://[::]:9847`, `https://127.0.0.1:9847`, `unix:///run/plumbline.sock`. */
  readonly addresses: readonly string[];
  /** Stops accepting, lets running requests end for at most `graceMs`, then closes what is left. */
  stop(graceMs: number): Promise<void>;
}

/** The address cannot be had; the message is for the user. */
export class ListenError extends Error {
  override readonly name = "ListenError";

  constructor(address: string, cause: unknown) {
    super(`cannot listen on ${address}: ${whyNot(cause)}`, { cause });
  }
}

/** Rejects with `ListenError` where an address cannot be had, with `WebConfigError` where that file is wrong. */
export async function listen(app: App, web: Settings["web"], log: Log): Promise<WebServer> {
  const file = web.configFile === undefined ? undefined : new WebConfigFile(web.configFile, log);
  const serve = server(app, file, log);
  const listening: Listening[] = [];
  const stop = async (graceMs: number) => void (await Promise.all(listening.map((one) => one.stop(graceMs))));
  for (const address of web.listenAddresses) {
    try {
      const parsed = parseListenAddress(address);
      if (parsed === undefined) throw new Error("not an address");
      listening.push(await serve(parsed));
    } catch (error) {
      await stop(0);
      throw new ListenError(address, error);
    }
  }
  const scheme = file?.current().tls === undefined ? "http" : "https";
  return { addresses: listening.map(({ address }) => printable(address, scheme)), stop };
}

function server(
  { handle }: App,
  file: WebConfigFile | undefined,
  log: Log,
): (address: ListenAddress) => Promise<Listening> {
  if (file === undefined) return (address) => servePlain(address, handle);
  const guarded: Handle = guard(() => file.current(), handle);
  if (!hasTls(file.current())) return (address) => servePlain(address, guarded);
  const config = () => {
    const current = file.current();
    // WebConfigFile takes no file that switches TLS off.
    if (!hasTls(current)) throw new Error("TLS is off");
    return current;
  };
  const gate = tlsGate(config, new FaultLog(log));
  return (address) => serveTls(address, guarded, gate);
}

const hasTls = (config: WebConfig): config is WebConfig & { readonly tls: TlsSettings } =>
  config.tls !== undefined;

function printable(address: ListenAddress, scheme: string): string {
  if (address.kind === "unix") return `unix://${address.path}`;
  const { host = "", port } = address;
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

const WHY_NOT: Readonly<Record<string, string>> = {
  EADDRINUSE: "address already in use; stop the other process or choose another --web.listen-address",
  EACCES:
    "permission denied; a port below 1024 needs CAP_NET_BIND_SERVICE, a socket file a directory that may be written; or choose another --web.listen-address",
  EADDRNOTAVAIL: "no interface of this host has this address",
  ENOTFOUND: "no such host name",
  ENOENT: "the directory of the socket file does not exist",
  EEXIST: "a file that is no socket is in the way",
};

function whyNot(cause: unknown): string {
  return WHY_NOT[errorCode(cause) ?? ""] ?? (cause instanceof Error ? cause.message : String(cause));
}
