/** The socket file of a server: what a dead one left behind is cleared away, that of a living one is not. */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { errorCode, UNIX_SOCKET_MODE } from "./serve.ts";

/** Makes sure that `path` is free. Rejects with EADDRINUSE if somebody listens there, EEXIST if it is no socket. */
export async function clearUnixSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw systemError("EEXIST", "a file that is no socket is in the way");
  if (await answers(path)) throw systemError("EADDRINUSE", "another process listens there");
  unlinkSync(path);
}

export function setUnixSocketMode(path: string): void {
  chmodSync(path, UNIX_SOCKET_MODE);
}

/** Nobody listens on a socket that refuses the connection; any other answer leaves the file alone. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => end(true));
    socket.once("error", (error) => end(!["ECONNREFUSED", "ENOENT"].includes(errorCode(error) ?? "")));
  });
}

function systemError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
