/** Opens the listen addresses, over TLS and with basic auth where the web configuration file says so. */
import { parseListenAddress } from "../config/listen-address.ts";
import type { Settings } from "../config/settings.ts";
import type { Log } from "../log/log.ts";
import { errorCode, type ListenAddress, type Listening, servePlain } from "../runtime/index.ts";
import type { Guarded } from "./guarded.ts";
import type { App } from "./router.ts";
import type { KeyPair } from "./web-config.ts";

export interface WebServer {
  /** As printed to the user: `http://[::]:9847`, `https://127.0.0.1:9847`, `unix:///run/plumbline.sock`. */
  readonly addresses: readonly string[];
  /** Stops accepting, lets running requests end for at most `graceMs`, then closes what is left. */
  stop(graceMs: number): Promise<void>;
}

/** The address cannot be had; the message is for the user. */
export class ListenError extends Error {
  override readonly name = "ListenError";

  constructor(address: string, flag: string, cause: unknown) {
    super(`cannot listen on ${address}: ${whyNot(cause, flag)}`, { cause });
  }
}

/** `flag` names the addresses. Rejects with `ListenError` where an address cannot be had, with `WebConfigError` where that file is wrong. */
export async function listen(
  app: App,
  web: Pick<Settings["web"], "listenAddresses" | "configFile" | "keyPair">,
  log: Log,
  flag = "--web.listen-address",
): Promise<WebServer> {
  const { scheme, serve } = await server(app, web.configFile ?? web.keyPair, log);
  const listening: Listening[] = [];
  const stop = async (graceMs: number) => void (await Promise.all(listening.map((one) => one.stop(graceMs))));
  for (const address of web.listenAddresses) {
    try {
      const parsed = parseListenAddress(address);
      if (parsed === undefined) throw new Error("not an address");
      listening.push(await serve(parsed));
    } catch (error) {
      await stop(0);
      throw new ListenError(address, flag, error);
    }
  }
  return { addresses: listening.map(({ address }) => printable(address, scheme)), stop };
}

async function server({ handle }: App, source: string | KeyPair | undefined, log: Log): Promise<Guarded> {
  if (source === undefined) return { scheme: "http", serve: (address) => servePlain(address, handle) };
  const { guarded } = await import("./guarded.ts");
  return guarded(source, handle, log);
}

function printable(address: ListenAddress, scheme: string): string {
  if (address.kind === "unix") return `unix://${address.path}`;
  const { host = "", port } = address;
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

const WHY_NOT: Readonly<Record<string, string>> = {
  EADDRINUSE: "address already in use; stop the other process or choose another FLAG",
  EACCES:
    "permission denied; a port below 1024 needs CAP_NET_BIND_SERVICE, a socket file a directory that may be written; or choose another FLAG",
  EADDRNOTAVAIL: "no interface of this host has this address",
  ENOTFOUND: "no such host name",
  EAI_AGAIN: "the host name cannot be resolved",
  ENOENT: "the directory of the socket file does not exist",
  EEXIST: "a file that is no socket is in the way",
};

function whyNot(cause: unknown, flag: string): string {
  const why = WHY_NOT[errorCode(cause) ?? ""]?.replace("FLAG", flag);
  return why ?? (cause instanceof Error ? cause.message : String(cause));
}
