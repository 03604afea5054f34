/** Requests to one service, over connections that trust what the files hold at that moment. */
import ky from "ky";
import { type ClientOptions, fetchWith, type Transport } from "../runtime/index.ts";
import { TlsCredentials, type TlsFiles } from "./credentials.ts";
import { unanswered } from "./unanswered.ts";

export interface Trust extends TlsFiles, Pick<ClientOptions, "fingerprint" | "sendsAgain"> {
  readonly insecureSkipVerify: boolean;
}

export interface Sending {
  readonly url: URL;
  /** For messages: without the query. */
  readonly where: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Makes it a POST. */
  readonly form?: URLSearchParams;
  readonly signal: AbortSignal;
}

interface Connection {
  readonly tls: ReturnType<TlsCredentials["read"]>;
  readonly transport: Promise<Transport>;
}

export class Connections {
  readonly #trust: Trust;
  readonly #credentials: TlsCredentials;
  #connection: Connection | undefined;

  constructor(trust: Trust) {
    this.#trust = trust;
    this.#credentials = new TlsCredentials(trust);
  }

  /**
   * The answer, whatever its status, its body unread; a redirect is not followed. Rejects with RestFailure, or with the
   * signal's reason.
   */
  async send({ url, where, headers, form, signal }: Sending): Promise<Response> {
    const { tls, transport } = this.#connect();
    const { fetch } = await transport;
    const showsCertificate = url.protocol === "https:" && tls.cert !== undefined;
    return ky(url, {
      ...(form === undefined ? { method: "get" } : { method: "post", body: form }),
      headers: { accept: "application/json", "accept-encoding": "identity", ...headers },
      redirect: "manual",
      retry: 0,
      throwHttpErrors: false,
      timeout: false,
      signal,
      fetch: (input, init) =>
        fetch(input instanceof Request ? input : new Request(input, init)).catch((error) => {
          throw unanswered(error, where, showsCertificate);
        }),
    });
  }

  /** Closes idle connections. */
  close(): void {
    void this.#connection?.transport.then((transport) => transport.close());
    this.#connection = undefined;
  }

  /** Connections of other certificates than the files hold now are not used again. */
  #connect(): Connection {
    const tls = this.#credentials.read();
    if (this.#connection?.tls === tls) return this.#connection;
    this.close();
    const { insecureSkipVerify, fingerprint, sendsAgain } = this.#trust;
    const options = { ...tls, insecureSkipVerify, fingerprint, ...(sendsAgain && { sendsAgain }) };
    this.#connection = { tls, transport: fetchWith(options) };
    return this.#connection;
  }
}
