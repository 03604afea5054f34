/**
 * Asks exporters over connections that are kept: one for each, as each is asked one thing at a time. Straight on
 * sockets, because node:http, on which src/runtime's transport stands, costs more than all that is done with the answers.
 */
import { connect, type Socket } from "node:net";
import { codeOf } from "../../host/system-error.ts";
import { AskFailure } from "./failure.ts";
import { type AnswerHead, HttpAnswer, type Receive } from "./http-answer.ts";

export interface Question {
  /** Of plain HTTP. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  onHead(head: AnswerHead): Receive;
}

export class Connections {
  /** By host and port. */
  readonly #idle = new Map<string, Connection>();

  /**
   * Until the answer has ended. Rejects with AskFailure, with what `onHead` or its receiver threw, or with the signal's
   * reason.
   */
  async ask(question: Question): Promise<void> {
    const { host } = question.url;
    const kept = this.#idle.get(host);
    if (kept === undefined) return this.#askOn(new Connection(question.url), question);
    this.#idle.delete(host);
    try {
      return await this.#askOn(kept, question);
    } catch (error) {
      // It may have been closed, for being idle, in the moment in which it was used again: nothing has failed by that.
      if (error !== kept.closedUnanswered) throw error;
      return this.#askOn(new Connection(question.url), question);
    }
  }

  /** Closes the connections to all others, which nobody will ask again. */
  keepOnly(hosts: ReadonlySet<string>): void {
    for (const [host, connection] of this.#idle) {
      if (hosts.has(host)) continue;
      this.#idle.delete(host);
      connection.close();
    }
  }

  close(): void {
    this.keepOnly(new Set());
  }

  async #askOn(connection: Connection, question: Question): Promise<void> {
    await connection.ask(question);
    const { host } = question.url;
    if (!connection.isUsable) return;
    // Another scrape may have kept one in the meantime.
    if (this.#idle.has(host)) return connection.close();
    this.#idle.set(host, connection);
    connection.onceClosed(() => {
      if (this.#idle.get(host) === connection) this.#idle.delete(host);
    });
  }
}

class Connection {
  readonly closedUnanswered = new AskFailure("connect", "the connection was closed before an answer came");
  readonly #socket: Socket;
  /** What happens to the question that is being asked; nothing is asked of an idle connection. */
  #exchange: Exchange | undefined;
  #keeps = true;
  #closed: () => void = () => {};

  constructor({ hostname, port }: URL) {
    const host = hostname.replace(/^\[(.*)\]$/, "$1");
    this.#socket = connect({ host, port: Number(port || 80), noDelay: true, keepAlive: true });
    this.#socket.on("data", (bytes) => this.#received(bytes));
    this.#socket.on("error", (error) => this.#ended(failureOf(error)));
    this.#socket.on("end", () => this.#ended());
    this.#socket.on("close", () => this.#ended());
  }

  /** Whether another question can be asked on it. */
  get isUsable(): boolean {
    return this.#keeps;
  }

  onceClosed(act: () => void): void {
    this.#closed = act;
  }

  close(): void {
    this.#keeps = false;
    this.#socket.destroy();
    this.#closed();
  }

  async ask(question: Question): Promise<void> {
    const { signal } = question;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#exchange = { answer: new HttpAnswer(question.onHead), resolve, reject };
    const giveUp = () => this.#fail(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    this.#socket.ref();
    if (signal.aborted) giveUp();
    else this.#socket.write(requestText(question));
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
      this.#socket.unref();
    }
  }

  #received(bytes: Uint8Array | string): void {
    const exchange = this.#exchange;
    if (exchange === undefined || typeof bytes === "string") {
      this.close();
      return;
    }
    try {
      exchange.answer.push(bytes);
      if (exchange.answer.isDone) this.#succeed(exchange);
    } catch (error) {
      this.#fail(error);
    }
  }

  #ended(failure: AskFailure = this.closedUnanswered): void {
    const exchange = this.#exchange;
    if (exchange?.answer.endsHere) this.#succeed(exchange);
    else if (exchange?.answer.hasBegun) this.#fail(new AskFailure("http", "its answer was cut off"));
    else this.#fail(failure);
  }

  #succeed({ answer, resolve }: Exchange): void {
    this.#exchange = undefined;
    if (!answer.keepsConnection) this.close();
    resolve();
  }

  #fail(reason: unknown): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.close();
    exchange?.reject(reason);
  }
}

interface Exchange {
  readonly answer: HttpAnswer;
  resolve(): void;
  reject(reason: unknown): void;
}

const requestText = ({ url, headers }: Question): string =>
  [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    `host: ${url.host}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    "\r\n",
  ].join("\r\n");

const REFUSED: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ETIMEDOUT: "the connection timed out",
  EMFILE: "too many files are open",
};
const CLOSED: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE"]);

/** Undefined where the connection was just closed. */
function failureOf(error: Error): AskFailure | undefined {
  const code = codeOf(error) ?? "";
  return CLOSED.has(code) ? undefined : new AskFailure("connect", REFUSED[code] ?? "no connection");
}
