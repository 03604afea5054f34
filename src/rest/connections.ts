/** Requests to one service, over connections that trust what the files hold at that moment. */
import ky from "ky";
import { type ClientOptions, type ClientTls, fetchWith, type Transport } from "../runtime/index.ts";
import { unanswered } from "./unanswered.ts";

/** What may change while the program runs. */
export interface TlsSource {
  /** The same object for as long as nothing has changed. Throws RestFailure("credentials"). */
  read(): ClientTls;
}

export interface Sending {
  readonly url: URL;
  /** For messages: without the query. */
  readonly where: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Default: get. */
  readonly method?: "get" | "post" | "put" | "patch" | "delete";
  /** A text is of the content type that the headers say. */
  readonly body?: URLSearchParams | string | undefined;
  readonly signal: AbortSignal;
}

interface Connection {
  readonly tls: ClientTls;
  readonly transport: Promise<Transport>;
}

export class Connections {
  readonly #source: TlsSource;
  readonly #options: ClientOptions;
  #connection: Connection | undefined;

  /** `options`: what does not change. */
  constructor(source: TlsSource, options: ClientOptions = {}) {
    this.#source = source;
    this.#options = options;
  }

  /**
   * The answer, whatever its status, its body unread; a redirect is not followed. Rejects with RestFailure, or with the
   * signal's reason.
   */
  async send({ url, where, headers, method = "get", body, signal }: Sending): Promise<Response> {
    const { tls, transport } = this.#connect();
    const { fetch } = await transport;
    const showsCertificate = url.protocol === "https:" && tls.cert !== undefined;
    return ky(url, {
      method,
      ...(body === undefined ? {} : { body }),
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
    const tls = this.#source.read();
    if (this.#connection?.tls === tls) return this.#connection;
    this.close();
    this.#connection = { tls, transport: fetchWith({ ...this.#options, ...tls }) };
    return this.#connection;
  }
}
