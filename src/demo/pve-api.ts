/**
 * A Proxmox VE API that is simulated: what one node of a cluster answers at port 8006. It speaks HTTP by itself,
 * because no framework lets a server say 596 or put a sentence into the status line.
 */
import { createServer as createNetServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { gzipSync } from "node:zlib";
import { answerTo, nodeNamed } from "./pve-answers.ts";
import { drivesOn } from "./pve-answers-disks.ts";
import { Refusal } from "./pve-call.ts";
import { PVE_TEST_CERTIFICATE } from "./pve-certificate.ts";
import { chance, randomOf } from "./pve-chance.ts";
import type { PveCluster, PveState } from "./pve-cluster.ts";
import type { NodePlan } from "./pve-inventory.ts";
import { type Asker, askerOf, ticketFor } from "./pve-login.ts";
import { perlJson, type Types } from "./pve-perl.ts";
import type { PveUser } from "./pve-users.ts";
import { type Reaction, serveConnection, type WireReply, type WireRequest } from "./pve-wire.ts";
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

export interface SeenRequest {
  readonly method: string;
  /** After /api2/json, with its query. */
  readonly path: string;
  /** The node that it is for; undefined for the whole cluster. */
  readonly node: string | undefined;
  /** 0 until it is answered, and for one that never was. */
  status: number;
}

/** What has been asked so far. */
export class PveRequests {
  readonly seen: SeenRequest[] = [];
  /** By path without the query. */
  readonly counts = new Map<string, number>();
  /** Bodies that came with a request. */
  readonly bodies: string[] = [];
  /** Connections that were made. */
  connections = 0;
  /** How many requests were open at once. */
  highest = 0;
  readonly highestPerNode = new Map<string, number>();
  readonly #open = new Map<string, number>();

  /** `asked`: the node that a request without a node is for. */
  begin(request: WireRequest, path: string, asked: string): SeenRequest {
    const node = /^\/nodes\/([^/?]+)/.exec(path)?.[1];
    const seen = { method: request.method, path, node, status: 0 };
    this.seen.push(seen);
    const [plain = path] = path.split("?");
    this.counts.set(plain, (this.counts.get(plain) ?? 0) + 1);
    if (request.body !== "") this.bodies.push(request.body);
    const at = node ?? asked;
    const open = this.#move(at, 1);
    this.highestPerNode.set(at, Math.max(this.highestPerNode.get(at) ?? 0, open));
    this.highest = Math.max(
      this.highest,
      [...this.#open.values()].reduce((a, b) => a + b, 0),
    );
    return seen;
  }

  end(seen: SeenRequest, asked: string, status: number): void {
    seen.status = status;
    this.#move(seen.node ?? asked, -1);
  }

  /** Forgets all but what is open. */
  clear(): void {
    this.seen.length = 0;
    this.bodies.length = 0;
    this.counts.clear();
    this.highestPerNode.clear();
    this.highest = 0;
    this.connections = 0;
  }

  #move(node: string, by: number): number {
    const open = (this.#open.get(node) ?? 0) + by;
    this.#open.set(node, open);
    return open;
  }
}

const PREFIX = "/api2/json";

export class PveApi implements AsyncDisposable {
  readonly cluster: PveCluster;
  readonly knobs: PveApiKnobs;
  readonly requests = new PveRequests();
  /** How often a sleeping drive was woken, by `NODE/DEVPATH`: `pve1//dev/sda`. */
  readonly wakeups = new Map<string, number>();
  readonly #options: PveApiOptions;
  readonly #asked: NodePlan;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #stopping = new AbortController();
  readonly #cache: AnswerCache;
  readonly #workers = new Map<string, Workers>();
  /** When a woken drive falls asleep again. */
  readonly #awakeUntil = new Map<string, number>();
  #replicationLocked = false;
  #served = 0;

  constructor(cluster: PveCluster, options: PveApiOptions) {
    this.cluster = cluster;
    this.#options = options;
    this.knobs = { ...KNOBS, ...options.knobs };
    this.#cache = new AnswerCache(options.types ?? "loose", cluster.size.seed ?? 1);
    this.#asked = nodeNamed(options.node ?? "pve1", { state: cluster.at() });
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
      (request) => this.#react(request),
      () => this.knobs,
    );
  }

  async #react(request: WireRequest): Promise<Reaction> {
    const path = request.target.startsWith(PREFIX) ? request.target.slice(PREFIX.length) : request.target;
    const seen = this.requests.begin(request, path, this.#asked.name);
    const reaction = await this.#reactionTo(request, path).catch((): Reaction => "silence");
    this.requests.end(seen, this.#asked.name, typeof reaction === "string" ? 0 : reaction.status);
    return reaction;
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
    const url = new URL(path, "http://localhost");
    const query = url.searchParams;
    if (url.pathname.endsWith("/disks/list") && query.get("skipsmart") !== "1") await this.#readDrives(node);
    const locked = /^\/nodes\/[^/]+\/replication$/.test(url.pathname);
    if (locked) await this.#lockReplication(node);
    try {
      const state = this.cluster.at();
      const code = `${node.release} ${url.pathname.replaceAll(/\/(pve)?\d+(?=\/)/g, "")}`;
      return this.#cache.get(state, code, `${name} ${path}`, (random) =>
        answerTo(url.pathname, { state, asked: this.#asked, rights, query, random }),
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
      phrase: this.#bodies(this.#asked) === "new" ? "Authentication failed!" : phrase,
      headers: headersOf(state),
    };
  }

  /** By the node of this name, if it is one. */
  #refused(state: PveState, { status, message, errors }: Refusal, by = this.#asked.name): WireReply {
    const node = state.inventory.nodes.find(({ name }) => name === by) ?? this.#asked;
    const body = {
      data: null,
      ...(this.#bodies(node) === "new" && { message: `${message}\n` }),
      ...(errors !== undefined && { errors }),
    };
    return { status, phrase: message, headers: headersOf(state), body: JSON.stringify(body) };
  }

  #bodies({ release }: NodePlan): "old" | "new" {
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

/** So many calls at a time; the others wait in their order. */
class Workers {
  readonly #count: () => number;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(count: () => number) {
    this.#count = count;
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#busy < this.#count()) this.#busy++;
    else await new Promise<void>((go) => this.#waiting.push(go));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy--;
      else next();
    }
  }
}

class Body {
  readonly plain: Buffer;
  #packed: Buffer | undefined;

  constructor(text: string) {
    this.plain = Buffer.from(text);
  }

  get packed(): Buffer {
    this.#packed ??= gzipSync(this.plain, { level: 1 });
    return this.#packed;
  }
}

/** The bodies of one moment: the same call gets the same text, so that a bench measures who asks. */
class AnswerCache {
  readonly #types: Types;
  readonly #seed: number;
  readonly #bodies = new Map<string, Body>();
  #state: PveState | undefined;

  constructor(types: Types, seed: number) {
    this.#types = types;
    this.#seed = seed;
  }

  /** `code`: what makes the answer; which numbers are texts depends on it. */
  get(state: PveState, code: string, key: string, answer: (random: () => number) => unknown): Body {
    if (this.#state !== state) this.#bodies.clear();
    this.#state = state;
    const known = this.#bodies.get(key);
    if (known !== undefined) return known;
    const random = randomOf(this.#seed, `${state.unix} ${key}`);
    const body = new Body(perlJson({ data: answer(random) }, this.#typesOf(code), random));
    this.#bodies.set(key, body);
    return body;
  }

  #typesOf(code: string): (key: string) => boolean {
    if (this.#types === "usual") return () => false;
    const known = new Map<string, boolean>();
    return (key) => {
      const isText = known.get(key) ?? chance(this.#seed, code, key) < TEXTS;
      known.set(key, isText);
      return isText;
    };
  }
}

/** The share of keys whose numbers are texts. */
const TEXTS = 0.25;
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
