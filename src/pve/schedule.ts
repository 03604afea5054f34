/** In which order the calls to a target go out, and how many of them at a time: it has few workers, and each blocks. */

export interface Turn {
  /** Undefined for a call that is about the cluster: these go first. */
  readonly node: string | undefined;
  /** Further calls wait for it: it goes before the others to nodes. */
  readonly isFirst?: boolean | undefined;
  /** It may take a minute, and waits until nobody else does. */
  readonly isLasting?: boolean;
  /** Aborted: the call does not go out any more, and `run` rejects with the reason. */
  readonly signal: AbortSignal;
}

const MOST_AT_ONCE = 4;
const MOST_TO_A_NODE = 2;
/** So that nodes that hang leave one call for those that answer. */
const MOST_TO_DOUBTFUL_NODES = 3;

interface Waiting extends Turn {
  readonly go: () => void;
}

export class Schedule {
  readonly #clusterWide: Waiting[] = [];
  readonly #first: Waiting[] = [];
  /** The node whose turn it is stands first. */
  readonly #nodes = new Map<string, Waiting[]>();
  readonly #lasting: Waiting[] = [];
  readonly #open: Turn[] = [];
  /** Nodes of which the last that was heard was an answer. All others are asked one thing at a time. */
  readonly #answering = new Set<string>();

  /** Does the work when its turn has come. Rejects as it does, or with the signal's reason where it has not begun. */
  async run<T>(turn: Turn, work: () => Promise<T>): Promise<T> {
    await this.#turnOf(turn);
    try {
      return await work();
    } finally {
      this.#open.splice(this.#open.indexOf(turn), 1);
      this.#next();
    }
  }

  heard(node: string, what: "answer" | "nothing"): void {
    if (what === "answer") this.#answering.add(node);
    else this.#answering.delete(node);
  }

  #turnOf(turn: Turn): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (turn.signal.aborted) return Promise.reject(turn.signal.reason);
    const queue = this.#queueOf(turn);
    const giveUp = () => {
      queue.splice(queue.indexOf(waiting), 1);
      reject(turn.signal.reason);
    };
    const waiting: Waiting = {
      ...turn,
      go: () => {
        turn.signal.removeEventListener("abort", giveUp);
        this.#open.push(turn);
        resolve();
      },
    };
    turn.signal.addEventListener("abort", giveUp, { once: true });
    queue.push(waiting);
    this.#next();
    return promise;
  }

  #queueOf({ node, isFirst, isLasting }: Turn): Waiting[] {
    if (isLasting === true) return this.#lasting;
    if (node === undefined) return this.#clusterWide;
    if (isFirst === true) return this.#first;
    const queue = this.#nodes.get(node) ?? [];
    this.#nodes.set(node, queue);
    return queue;
  }

  /** Lets go out whatever may. */
  #next(): void {
    while (this.#open.length < MOST_AT_ONCE) {
      const waiting =
        this.#clusterWide.shift() ?? this.#nextFirst() ?? this.#nextToANode() ?? this.#nextLasting();
      if (waiting === undefined) return;
      waiting.go();
    }
  }

  #nextFirst(): Waiting | undefined {
    const index = this.#first.findIndex(({ node }) => node !== undefined && this.#mayBeAsked(node));
    return index < 0 ? undefined : this.#first.splice(index, 1)[0];
  }

  /** The node that was asked goes to the end. */
  #nextToANode(): Waiting | undefined {
    for (const [node, queue] of this.#nodes) {
      if (queue.length > 0 && !this.#mayBeAsked(node)) continue;
      this.#nodes.delete(node);
      const waiting = queue.shift();
      if (queue.length > 0) this.#nodes.set(node, queue);
      if (waiting !== undefined) return waiting;
    }
    return undefined;
  }

  #nextLasting(): Waiting | undefined {
    const index = this.#lasting.findIndex(({ node }) => this.#openTo(node) < MOST_TO_A_NODE);
    return index < 0 ? undefined : this.#lasting.splice(index, 1)[0];
  }

  #mayBeAsked(node: string): boolean {
    if (this.#openTo(node) >= MOST_TO_A_NODE) return false;
    if (this.#answering.has(node)) return true;
    const doubtful = this.#open.filter((turn) => turn.isLasting !== true && this.#isDoubtful(turn.node));
    return doubtful.length < MOST_TO_DOUBTFUL_NODES && doubtful.every((turn) => turn.node !== node);
  }

  #isDoubtful(node: string | undefined): boolean {
    return node !== undefined && !this.#answering.has(node);
  }

  #openTo(node: string | undefined): number {
    return this.#open.filter((turn) => turn.node === node).length;
  }
}
