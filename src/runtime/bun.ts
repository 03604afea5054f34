/** Bun's half of the seam. */
import { setTimeout as sleep } from "node:timers/promises";
import { CLOCKS, GZIP_LEVEL, type ListenAddress, MAX_BODY_BYTES, onHost, type ServePlain } from "./serve.ts";
import { clearUnixSocket, setUnixSocketMode } from "./unix-socket.ts";

const IDLE_TIMEOUT_S = CLOCKS.idleMs / 1000;

/** bcrypt looks at no more than this; Bun would hash a longer password with SHA-512 first, as nobody else does. */
const BCRYPT_BYTES = 72;

/**
 * Bun.serve answers a head of more than 16 KiB with 431, closes a connection whose head is not complete after 12 s,
 * and costs a third of what node:http costs.
 */
export const servePlain: ServePlain = async (address, handle) => {
  const common = {
    development: false,
    maxRequestBodySize: MAX_BODY_BYTES,
    // A scrape may take longer than a connection may idle, and Bun counts both with the one clock.
    async fetch(request: Request, server: Bun.Server<undefined>): Promise<Response> {
      server.timeout(request, 0);
      const response = await handle(request);
      server.timeout(request, IDLE_TIMEOUT_S);
      return response;
    },
  };
  if (address.kind === "unix") {
    await clearUnixSocket(address.path);
    const server = Bun.serve({ ...common, unix: address.path });
    setUnixSocketMode(address.path);
    return { address, stop: (graceMs) => stop(server, graceMs) };
  }
  const { host, port } = address;
  const server = await onHost(host, (hostname) =>
    // Bun shares a port by default outside of development: that hides an address that is in use.
    Bun.serve({ ...common, hostname, port, reusePort: false, idleTimeout: IDLE_TIMEOUT_S }),
  );
  const listening: ListenAddress = { kind: "tcp", host: host ?? server.hostname, port: server.port ?? port };
  return { address: listening, stop: (graceMs) => stop(server, graceMs) };
};

async function stop(server: Bun.Server<undefined>, graceMs: number): Promise<void> {
  void server.stop();
  // The promise of stop() also waits for connections on which nothing happens any more.
  const end = performance.now() + graceMs;
  while (server.pendingRequests > 0 && performance.now() < end) await sleep(10);
  void server.stop(true);
}

/** Runs on a thread of Bun's pool. */
export function verifyBcrypt(password: string, hash: string): Promise<boolean> {
  const bytes = new TextEncoder().encode(password).subarray(0, BCRYPT_BYTES);
  // Bun takes an empty password for a mistake of the caller's and says no; so do we.
  return Bun.password.verify(bytes, hash, "bcrypt");
}

/** 0.1 ms for 100 kB; node:zlib does no better, and loading it costs 4 MB. */
export const gzip = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  Bun.gzipSync(bytes, { level: GZIP_LEVEL });

/** Also hands freed pages back to the system. */
export const collectGarbage = (): void => Bun.gc(true);
