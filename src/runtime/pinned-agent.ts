/**
 * Connections to a server that is known by its certificate's fingerprint and by nothing else. Node calls no
 * `checkServerIdentity` where it need not verify, so the agent compares, and hands out a connection only after that:
 * before it nothing of a request is sent.
 */
import https, { type AgentOptions, type RequestOptions } from "node:https";
import type { Duplex } from "node:stream";
import { connect } from "node:tls";
import { FINGERPRINT_MISMATCH } from "./fetch.ts";

interface PinnedOptions extends RequestOptions {
  /** Nobody waits for the connection any more: a request that ends does not end the handshake that it waits for. */
  readonly givenUp?: AbortSignal;
}

export class PinnedAgent extends https.Agent {
  readonly #fingerprint: string;

  constructor(fingerprint: string, options: AgentOptions) {
    super(options);
    this.#fingerprint = plainHex(fingerprint);
  }

  override createConnection(
    { host, port, servername, cert, key, givenUp }: PinnedOptions,
    done: (error: Error | null, socket: Duplex) => void = () => {},
  ): undefined {
    const socket = connect({
      host: host ?? "localhost",
      port: Number(port),
      ...(servername === undefined ? {} : { servername }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
      rejectUnauthorized: false,
    });
    let failure: Error = Object.assign(new Error("closed within the handshake"), { code: "ECONNRESET" });
    const failing = (error: Error) => {
      failure = error;
    };
    const giveUp = () => void socket.destroy();
    const closed = () => {
      givenUp?.removeEventListener("abort", giveUp);
      done(failure, socket);
    };
    givenUp?.addEventListener("abort", giveUp, { once: true });
    socket.once("error", failing);
    socket.once("close", closed);
    socket.once("secureConnect", () => {
      if (plainHex(socket.getPeerCertificate().fingerprint256) !== this.#fingerprint) {
        socket.destroy(mismatch());
        return;
      }
      givenUp?.removeEventListener("abort", giveUp);
      socket.off("error", failing);
      socket.off("close", closed);
      done(null, socket);
    });
    if (givenUp?.aborted === true) giveUp();
  }
}

const mismatch = (): Error =>
  Object.assign(new Error("the certificate has another fingerprint"), { code: FINGERPRINT_MISMATCH });

const plainHex = (fingerprint: string): string => fingerprint.replaceAll(/[:\s]/g, "").toLowerCase();
