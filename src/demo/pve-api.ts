/**
 * A Proxmox VE API that is simulated: what one node of a cluster answers at port 8006. It speaks HTTP by itself,
 * because no framework lets a server say 596 or put a sentence into the status line.
 */
import { createServer as createNetServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { answerTo, nodeNamed } from "./pve-answers.ts";
import { drivesOn } from "./pve-answers-disks.ts";
import { Bodies, Body } from "./pve-bodies.ts";
import { Refusal } from "./pve-call.ts";
import { PVE_TEST_CERTIFICATE } from "./pve-certificate.ts";
import type { PveCluster, PveState } from "./pve-cluster.ts";
import type { NodePlan } from "./pve-inventory.ts";
import { type Asker, askerOf, ticketFor } from "./pve-login.ts";
import type { Types } from "./pve-perl.ts";
import { PveRequests } from "./pve-requests.ts";
import type { PveUser } from "./pve-users.ts";
import { type Reaction, serveConnection, type WireReply, type WireRequest } from "./pve-wire.ts";
import { Workers } from "./pve-workers.ts";
import { isDown, isQuorate, sees } from "./pve-world.ts";

export interface PveApiOptions {
  readonly users: readonly PveUser[];
  /** The node that is asked; the others are asked by it. Default: pve1. */
  readonly node?: string;
  /** Texts in PEM. Default: a certificate for localhost (PVE_TEST_CERTIFICATE); false: plain HTTP. */
  readonly tls?: { readonly key: string; readonly cert: string } | false;
  readonly port?: number;
  /** Numbers as texts and falsehood as "", as chance has it (`loose`, the default), or as most often (`usual`). */
  readonly types?: Types;
  /** Whether the text of an error stands in its body too. Default: as the release of the asked node has it. */
  readonly errorBodies?: "old" | "new";
  /** What is done instead of answering a request for this path, which stands after /api2/json and has its query. */
  readonly fault?: (path: string) => Reaction | undefined;
  /** What can be changed while it runs. */
  readonly knobs?: Partial<PveApiKnobs>;
}

export interface PveApiKnobs {
  /** Of every answer. */
  latencyMs: number;
  /** On top of it, where another node is asked. */
  proxiedLatencyMs: number;
  /** A 401 is late (3000). */
  unauthorizedDelayMs: number;
  /** How long a node waits for another one, or for its own daemon, before it says 596 (30,000). */
  hangMs: number;
  /** How late a slow node is (3000). */
  slowMs: number;
  /** smartctl on one drive (0), and so much more on one that sleeps (0). */
  smartMs: number;
  spinUpMs: number;
  /** By the cluster's clock: how long a drive that was woken stays awake (20 min). */
  standbyAfterMs: number;
  /** How long a call for replication jobs keeps their lock (0). */
  replicationMs: number;
  /** A loser of the replication lock tries again so often (1000), so long (10,000). */
  lockRetryMs: number;
  lockTimeoutMs: number;
  /** The connection is reset instead of every n-th answer; 0: never. */
  resetEvery: number;
  ticketLifetimeMs: number;
  idleMs: number;
  requestsPerConnection: number;
  /** Calls that one node works on at the same time (3); the others wait. */
  workersPerNode: number;
}

const PREFIX = "/api2/json";

export class PveApi implements AsyncDisposable {
  readonly cluster: PveCluster;
  readonly knobs: PveApiKnobs;
  readonly requests: PveRequests;
  /** How often a sleeping drive was woken, by `NODE/DEVPATH`: `pve1//dev/sda`. */
  readonly wakeups = new Map<string, number>();
  readonly #options: PveApiOptions;
  readonly #asked: NodePlan;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #stopping = new AbortController();
  readonly #bodies: Bodies;
  readonly #workers = new Map<string, Workers>();
  /** When a woken drive falls asleep again. */
  readonly #awakeUntil = new Map<string, number>();
  #replicationLocked = false;
  #served = 0;

  constructor(cluster: PveCluster, options: PveApiOptions) {
    this.cluster = cluster;
    this.#options = options;
    this.knobs = { ...KNOBS, ...options.knobs };
    this.#bodies = new Bodies(options.types ?? "loose", cluster.size.seed ?? 1);
    this.#asked = nodeNamed(options.node ?? "pve1", { state: cluster.at() });
    this.requests = new PveRequests(this.#asked.name);
    const { tls = PVE_TEST_CERTIFICATE } = options;
    const serve = (socket: Socket) => this.#serve(socket);
    this.#server = tls === false ? createNetServer() : createTlsServer(tls, serve);
    this.#server.on("connection", (socket: Socket) => this.#meet(socket));
    if (tls === false) this.#server.on("connection", serve);
    this.#server.on("tlsClientError", () => {});
  }

  /** Answers `https://127.0.0.1:PORT`. Rejects with the system's error where it cannot listen. */
  start(): Promise<string> {
    const { port = 0, tls } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", () => {
        const address = this.#server.address();
        const listening = typeof address === "object" && address !== null ? address.port : port;
        resolve(`${tls === false ? "http" : "https"}://127.0.0.1:${listening}`);
      });
    });
  }

  /** Ends every connection, answered or not. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** A connection, before TLS. */
  #meet(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#sockets.delete(socket));
    const here = this.cluster.at().nodes.get(this.#asked.name);
    if (here === undefined || isDown(here)) socket.destroy();
  }

  #serve(socket: Socket): void {
    if (socket.destroyed) return;
    socket.on("error", () => socket.destroy());
    this.requests.connections++;
    serveConnection(
      socket,
      (request) => this.#react(request, socket),
      () => this.knobs,
    );
  }

  async #react(request: WireRequest, socket: Socket): Promise<Reaction> {
    const path = request.target.startsWith(PREFIX) ? request.target.slice(PREFIX.length) : request.target;
    const seen = this.requests.begin(request, path);
    const gone = () => this.requests.end(seen);
    socket.once("close", gone);
    try {
      const reaction = await this.#reactionTo(request, path);
      this.requests.end(seen, typeof reaction === "string" ? 0 : reaction.status);
      return reaction;
    } catch (error) {
      if (this.#stopping.signal.aborted) return "silence";
      throw error;
    } finally {
      socket.off("close", gone);
    }
  }

  async #reactionTo(request: WireRequest, path: string): Promise<Reaction> {
    this.#served++;
    const { resetEvery, latencyMs, unauthorizedDelayMs, ticketLifetimeMs } = this.knobs;
    if (resetEvery > 0 && this.#served % resetEvery === 0) return "reset";
    const fault = this.#options.fault?.(path);
    if (fault !== undefined) return fault;
    await this.#pause(latencyMs);

    const state = this.cluster.at();
    const { method, target, headers, body } = request;
    if (!target.startsWith(`${PREFIX}/`))
      return this.#refused(state, new Refusal(404, `no such file '${path}'`));
    if (method === "GET" && body !== "") {
      return this.#refused(state, new Refusal(501, "Unexpected content for method 'GET'"));
    }
    const door = { users: this.#options.users, unix: state.unix, ticketSeconds: ticketLifetimeMs / 1000 };
    if (method === "POST" && path === "/access/ticket") {
      const ticket = ticketFor(new URLSearchParams(body), door);
      if (ticket !== undefined) return reply(state, new Body(JSON.stringify({ data: ticket })), headers);
      await this.#pause(unauthorizedDelayMs);
      return this.#unauthorized(state, "authentication failure");
    }
    const asker = askerOf(headers, door);
    if ("phrase" in asker) {
      await this.#pause(unauthorizedDelayMs);
      return this.#unauthorized(state, asker.phrase);
    }
    if (method !== "GET") {
      return this.#refused(state, new Refusal(501, `Method '${method} ${path}' not implemented`));
    }
    return await this.#answer(path, asker, headers);
  }

  /** Asks the node that it is about, as pveproxy does: for 30 seconds. */
  async #answer(path: string, asker: Asker, headers: WireRequest["headers"]): Promise<Reaction> {
    const { hangMs, slowMs, proxiedLatencyMs } = this.knobs;
    const state = this.cluster.at();
    const name = /^\/nodes\/([^/?]+)/.exec(path)?.[1];
    try {
      const node = name === undefined ? this.#asked : nodeNamed(name, { state });
      if (!sees(state.nodes, this.#asked.name, node.name)) return this.#refused(state, NO_ROUTE);
      // What is about the cluster needs no daemon that could hang.
      const condition = name === undefined ? "online" : state.nodes.get(node.name)?.condition;
      if (condition === "hung") await this.#pause(hangMs);
      if (condition === "hung") return this.#refused(state, TIMED_OUT);
      if (condition === "cut") return this.#refused(state, new Refusal(597, "Connection reset by peer"));
      if (condition === "slow") await this.#pause(slowMs);
      const proxied = node.name !== this.#asked.name;
      if (proxied) await this.#pause(proxiedLatencyMs);
      const work = this.#workersOf(node).run(() => this.#work(path, asker, node));
      const body = await (proxied ? this.#within(hangMs, work) : work);
      return body === undefined ? this.#refused(state, TIMED_OUT) : reply(this.cluster.at(), body, headers);
    } catch (error) {
      if (error instanceof Refusal) return this.#refused(state, error, name);
      throw error;
    }
  }

  async #work(path: string, { name, rights }: Asker, node: NodePlan): Promise<Body> {
    const [plain = path, text] = path.split("?");
    const query = new URLSearchParams(text);
    if (plain.endsWith("/disks/list") && query.get("skipsmart") !== "1") await this.#readDrives(node);
    const locked = /^\/nodes\/[^/]+\/replication$/.test(plain);
    if (locked) await this.#lockReplication(node);
    try {
      const state = this.cluster.at();
      const code = `${node.release} ${plain.replaceAll(/\/(pve)?\d+(?=\/)/g, "")}`;
      return this.#bodies.get(state, code, `${name} ${path}`, (random) =>
        answerTo(plain, { state, asked: this.#asked, rights, query, random }),
      );
    } finally {
      if (locked) this.#replicationLocked = false;
    }
  }

  async #readDrives({ name }: NodePlan): Promise<void> {
    for (const { devpath, sleeps } of drivesOn(this.cluster.at(), name)) {
      const key = `${name}/${devpath}`;
      const now = this.cluster.elapsedMs;
      const asleep = sleeps && (this.#awakeUntil.get(key) ?? Number.NEGATIVE_INFINITY) <= now;
      if (asleep) this.wakeups.set(key, (this.wakeups.get(key) ?? 0) + 1);
      if (sleeps) this.#awakeUntil.set(key, now + this.knobs.standbyAfterMs);
      await this.#pause(this.knobs.smartMs + (asleep ? this.knobs.spinUpMs : 0));
    }
  }

  async #lockReplication(node: NodePlan): Promise<void> {
    const { lockRetryMs, lockTimeoutMs, replicationMs } = this.knobs;
    const cannot = () => this.#replicationLocked || !isQuorate(this.cluster.at().nodes, node.name);
    for (let waited = 0; cannot(); waited += lockRetryMs) {
      if (waited >= lockTimeoutMs) {
        throw new Refusal(
          500,
          "error during cfs-locked 'file-replication_cfg' operation: got lock request timeout",
        );
      }
      await this.#pause(lockRetryMs);
    }
    this.#replicationLocked = true;
    await this.#pause(replicationMs);
  }

  #workersOf({ name }: NodePlan): Workers {
    const known = this.#workers.get(name);
    if (known !== undefined) return known;
    const workers = new Workers(() => this.knobs.workersPerNode);
    this.#workers.set(name, workers);
    return workers;
  }

  #unauthorized(state: PveState, phrase: string): WireReply {
    return {
      status: 401,
      phrase: this.#ageOf(this.#asked) === "new" ? "Authentication failed!" : phrase,
      headers: headersOf(state),
    };
  }

  /** By the node of this name, if it is one. */
  #refused(state: PveState, { status, message, errors }: Refusal, by = this.#asked.name): WireReply {
    const node = state.inventory.nodes.find(({ name }) => name === by) ?? this.#asked;
    const body = {
      data: null,
      ...(this.#ageOf(node) === "new" && { message: `${message}\n` }),
      ...(errors !== undefined && { errors }),
    };
    return { status, phrase: message, headers: headersOf(state), body: JSON.stringify(body) };
  }

  #ageOf({ release }: NodePlan): "old" | "new" {
    return this.#options.errorBodies ?? (release === 9 ? "new" : "old");
  }

  async #pause(ms: number): Promise<void> {
    if (ms > 0) await sleep(ms, undefined, { signal: this.#stopping.signal });
  }

  /** Undefined when it takes longer; the work goes on. */
  async #within<Result>(ms: number, work: Promise<Result>): Promise<Result | undefined> {
    work.catch(() => {});
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, this.#stopping.signal]);
    try {
      return await Promise.race([work, sleep(ms, undefined, { signal })]);
    } finally {
      over.abort();
    }
  }
}

const NO_ROUTE = new Refusal(595, "No route to host");
const TIMED_OUT = new Refusal(596, "Connection timed out");

const GZIP_FROM_BYTES = 1024;

function reply(state: PveState, body: Body, asked: WireRequest["headers"]): WireReply {
  const packs = body.plain.length >= GZIP_FROM_BYTES && /\bgzip\b/.test(asked.get("accept-encoding") ?? "");
  const headers = { ...headersOf(state), ...(packs && { "Content-Encoding": "gzip" }) };
  return { status: 200, phrase: "OK", headers, body: packs ? body.packed : body.plain };
}

const headersOf = ({ unix }: PveState) => ({
  "Cache-Control": "max-age=0",
  Date: new Date(unix * 1000).toUTCString(),
  Expires: new Date(unix * 1000).toUTCString(),
  Pragma: "no-cache",
  Server: "pve-api-daemon/3.0",
  "Content-Type": "application/json;charset=UTF-8",
});

const KNOBS: PveApiKnobs = {
  latencyMs: 0,
  proxiedLatencyMs: 0,
  unauthorizedDelayMs: 3000,
  hangMs: 30_000,
  slowMs: 3000,
  smartMs: 0,
  spinUpMs: 0,
  standbyAfterMs: 20 * 60_000,
  replicationMs: 0,
  lockRetryMs: 1000,
  lockTimeoutMs: 10_000,
  resetEvery: 0,
  ticketLifetimeMs: 2 * 3600 * 1000,
  idleMs: 5000,
  requestsPerConnection: 100,
  workersPerNode: 3,
};
