/** Where the service listens: `:9847`, `127.0.0.1:9847`, `[::1]:9847`, `node-a:9847` or `unix:///run/plumbline.sock`. */

export type ListenAddress =
  | {
      readonly kind: "tcp";
      /** Without brackets; undefined for all addresses of the host. */ readonly host: string | undefined;
      readonly port: number;
    }
  | { readonly kind: "unix"; readonly path: string };

/** sockaddr_un.sun_path has 108 bytes, the last of them NUL; unix(7). */
const MAX_SOCKET_PATH_BYTES = 107;
const TCP = /^(?:\[(?<v6>[0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|(?<host>[A-Za-z0-9._-]*)):(?<port>\d{1,5})$/;

/** Undefined if the text is no such address. Port 0 asks the kernel for a free one. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  if (text.startsWith("unix://")) {
    const path = text.slice("unix://".length);
    const fits = Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES;
    return path.startsWith("/") && fits && !path.includes("\0") ? { kind: "unix", path } : undefined;
  }
  const parts = TCP.exec(text)?.groups;
  if (parts === undefined) return undefined;
  const port = Number(parts["port"]);
  const host = parts["v6"] ?? parts["host"];
  return port <= 65_535 ? { kind: "tcp", host: host === "" ? undefined : host, port } : undefined;
}
