/** One watch: what changed since its resourceVersion, what changes from now on, and bookmarks between. */
import type { Socket } from "node:net";
import type { KubernetesObject } from "../../../src/kubernetes/object.ts";
import { expired, qualified } from "./failure.ts";
import type { Selects } from "./selectors.ts";
import type { ServedKind } from "./served-kinds.ts";
import type { Change, Store } from "./store.ts";

export interface Watched {
  readonly kind: ServedKind;
  readonly namespace: string | undefined;
  readonly selects: Selects;
  /** Undefined and "0": with all objects that are there, as ADDED. */
  readonly since: string | undefined;
  readonly timeoutMs: number;
  /** Between bookmarks; undefined for none. */
  readonly bookmarkMs: number | undefined;
}

const HEAD =
  "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-cache, private\r\ntransfer-encoding: chunked\r\n\r\n";

export class Watch {
  readonly watched: Watched;
  readonly #store: Store;
  readonly #connection: Socket;
  readonly #ends: (() => void)[] = [];
  #isOpen = true;

  constructor(watched: Watched, store: Store, connection: Socket) {
    this.watched = watched;
    this.#store = store;
    this.#connection = connection;
    connection.once("close", () => this.#release());
    this.onEnd(() => clearTimeout(timeout));
    const timeout = setTimeout(() => this.end(), watched.timeoutMs);
  }

  start(): void {
    this.#connection.write(HEAD);
    const { kind, namespace, selects, since = "0", bookmarkMs } = this.watched;
    if (since === "0") {
      for (const object of this.#store.list(kind, namespace))
        if (selects(object)) this.#send("ADDED", object);
    } else if (Number(since) < this.#store.forgottenUntil) {
      this.gone();
      return;
    } else {
      for (const change of this.#store.changes)
        if (change.resourceVersion > Number(since)) this.#tell(change);
    }
    this.onEnd(this.#store.listen((change) => this.#tell(change)));
    if (bookmarkMs === undefined) return;
    const bookmarks = setInterval(() => this.#bookmark(), bookmarkMs);
    this.onEnd(() => clearInterval(bookmarks));
  }

  /** The header, and nothing after it, ever. */
  mute(): void {
    this.#release();
    this.#connection.write(HEAD);
  }

  gone(): void {
    const { since = "0" } = this.watched;
    const { status } = expired(since, this.#store.forgottenUntil);
    this.#write(`${JSON.stringify({ type: "ERROR", object: status })}\n`);
    this.end();
  }

  /** As after timeoutSeconds: the last chunk, and the connection is free for the next request. */
  end(): void {
    if (!this.#isOpen) return;
    if (this.watched.bookmarkMs !== undefined) this.#bookmark();
    this.#release();
    this.#connection.write("0\r\n\r\n");
  }

  drop(isMidLine: boolean): void {
    if (!this.#isOpen) return;
    this.#release();
    if (isMidLine) this.#connection.end('ff\r\n{"type":"MODIFIED","object":{"kind":"');
    else this.#connection.destroy();
  }

  onEnd(end: () => void): void {
    this.#ends.push(end);
  }

  #tell({ resource, before, after, resourceVersion }: Change): void {
    const { kind, namespace } = this.watched;
    if (resource !== qualified(kind)) return;
    const object = after ?? before;
    if (object === undefined || (namespace !== undefined && object.metadata.namespace !== namespace)) return;
    const { selects } = this.watched;
    const [was, is] = [before !== undefined && selects(before), after !== undefined && selects(after)];
    if (is) this.#send(was ? "MODIFIED" : "ADDED", object);
    else if (was && before !== undefined) this.#send("DELETED", before, resourceVersion);
  }

  #send(type: string, object: KubernetesObject, resourceVersion?: number): void {
    const metadata =
      resourceVersion === undefined
        ? object.metadata
        : { ...object.metadata, resourceVersion: String(resourceVersion) };
    this.#write(`${JSON.stringify({ type, object: { ...object, metadata } })}\n`);
  }

  #bookmark(): void {
    const { apiVersion, kind } = this.watched.kind;
    const metadata = { resourceVersion: String(this.#store.resourceVersion), creationTimestamp: null };
    this.#write(`${JSON.stringify({ type: "BOOKMARK", object: { apiVersion, kind, metadata } })}\n`);
  }

  #write(line: string): void {
    this.#connection.write(`${Buffer.byteLength(line).toString(16)}\r\n${line}\r\n`);
  }

  #release(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const end of this.#ends) end();
  }
}
