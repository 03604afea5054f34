/** One scrape of one target: what its collectors ask, how long they are waited for, and who could not be asked. */
import type { FaultLog } from "../log/faults.ts";
import type { Log, LogFields } from "../log/log.ts";
import type { ScrapeContext } from "../metrics/collector.ts";
import type { Samples } from "../metrics/samples.ts";
import { adviceFor } from "./advice.ts";
import {
  type CallOptions,
  type CollectorOptions,
  type PveCollector,
  type Round,
  SKIP_REASONS,
  type SkipReason,
} from "./contract.ts";
import { MAX_BYTES, type Opening } from "./endpoints.ts";
import { PveFailure } from "./failure.ts";
import type { ClusterStatus, Resources } from "./model.ts";
import { CollectorReport } from "./report.ts";
import { RESOURCES_PATH, releaseOf, resourcesOf, STATUS_PATH, VERSION_PATH } from "./shared-calls.ts";
import type { Site } from "./site.ts";
import type { SlowRound } from "./slow.ts";

/** Whether a host was named in a URL, or the target stands in the configuration. */
export type Way = "pve" | "metrics";

export interface CollectorResult {
  readonly collector: PveCollector;
  readonly samples: Samples;
  readonly success: boolean;
  readonly seconds: number;
  /** Non-zero only. */
  readonly skipped: ReadonlyMap<SkipReason, number>;
  /** The first of each reason. */
  readonly failures: ReadonlyMap<SkipReason, PveFailure>;
}

export interface TargetHealth {
  /** Some call was answered 200 and understood. */
  readonly isUp: boolean;
  readonly endpoint: string;
  readonly cluster: string | undefined;
  /** Of the nodes that are known: whether they are online, and no call ended because they were not there. */
  readonly nodes: ReadonlyMap<string, boolean>;
  /** Of the first call. */
  readonly failure: PveFailure | undefined;
}

export interface Surroundings {
  readonly way: Way;
  readonly options: CollectorOptions;
  readonly faults: FaultLog;
  /** Is told of every call, as the caller of /pve wanted. */
  readonly trace?: Log | undefined;
}

/** What is left of the scrape's time when all calls have ended: what arrived is handed in. */
const RESERVE_MS = 200;
/** What a collector has to hand in once its calls have ended. */
const GRACE_MS = 100;
const MAX_RESOURCES_BYTES = 32 * 1024 * 1024;

export class TargetRound {
  /** On the clock of `performance.now()`. */
  readonly end: number;
  /** What came of the first call. Rejects only where nobody waits for the scrape any more. */
  readonly opening: Promise<Opening>;
  readonly #site: Site;
  readonly #around: Surroundings;
  readonly #slow: SlowRound;
  readonly #over = new AbortController();
  /** One for each node that is asked, which is aborted as soon as one call to it shows that it cannot be reached. */
  readonly #nodes = new Map<string, AbortController>();
  readonly #unreachable = new Set<string>();
  readonly #heard = new Set<string>();
  /** Failures of the whole target or of a node, which are logged as such and not once more for each collector. */
  readonly #told = new WeakSet<PveFailure>();
  readonly #endTimer: ReturnType<typeof setTimeout>;
  readonly #handIn = Promise.withResolvers<"late">();
  readonly #handInTimer: ReturnType<typeof setTimeout>;
  readonly #stopWaiting: () => void;
  #understood = false;
  #isLate = false;
  #opened: Opening | undefined;
  #resources: Promise<Resources> | undefined;
  #version: Promise<unknown> | undefined;

  constructor(site: Site, { signal, deadline }: ScrapeContext, around: Surroundings) {
    this.#site = site;
    this.#around = around;
    const leftMs = deadline - performance.now();
    const mostMs = Math.max(0, leftMs - Math.min(RESERVE_MS, leftMs / 2));
    this.end = performance.now() + mostMs;
    const late = new PveFailure(
      "timeout",
      "/",
      `the time of the scrape was over before ${this.#name} had answered`,
    );
    this.#endTimer = setTimeout(() => this.#endLate(late), mostMs);
    this.#handInTimer = setTimeout(() => this.#handIn.resolve("late"), mostMs + GRACE_MS);
    const giveUp = () => this.#endAll(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    this.#stopWaiting = () => signal.removeEventListener("abort", giveUp);
    if (signal.aborted) giveUp();
    this.opening = this.#open();
    this.opening.catch(() => {});
    this.#slow = site.slow.begin({ getLasting: this.#getLasting, end: this.end });
  }

  /** Rejects only where nobody waits for the scrape any more. */
  async run(collector: PveCollector): Promise<CollectorResult> {
    const startedAt = performance.now();
    const report = new CollectorReport(collector.always);
    try {
      await this.#collect(collector, report);
    } catch (error) {
      this.#throwIfGivenUp();
      if (error instanceof PveFailure) report.failed(error);
      else this.#faultOf(collector, error, report);
    }
    this.#throwIfGivenUp();
    this.#tell(collector, report);
    const { samples, success, skipped, failures } = report;
    const seconds = (performance.now() - startedAt) / 1000;
    return { collector, samples, success, seconds, skipped, failures };
  }

  /** To be asked when all collectors have run. Rejects only where nobody waits for the scrape any more. */
  async health(): Promise<TargetHealth> {
    const { endpoint, status } = await this.opening;
    const isMade = !(status instanceof PveFailure) || this.#resources !== undefined;
    const members = isMade ? await this.#members().catch(() => []) : [];
    return {
      isUp: this.#understood,
      endpoint: endpoint.url,
      cluster: await this.cluster(),
      nodes: new Map(
        members.map(({ name, isOnline }) => [name, isOnline && !this.#unreachable.has(name)] as const),
      ),
      failure: status instanceof PveFailure ? status : undefined,
    };
  }

  /** The value of the label `cluster`: as the configuration has it, else the cluster's name, else the only node's. */
  async cluster(): Promise<string | undefined> {
    const { status } = await this.opening;
    const said =
      status instanceof PveFailure
        ? undefined
        : (status.cluster ?? status.nodes.find(({ isLocal }) => isLocal) ?? status.nodes[0]);
    return this.#site.target.cluster ?? (said?.name || undefined);
  }

  /** The scrape needs nothing more. */
  close(): void {
    clearTimeout(this.#endTimer);
    clearTimeout(this.#handInTimer);
    this.#stopWaiting();
    this.#endAll(new PveFailure("timeout", "/", "the scrape was over"));
    this.#tellRecovered();
  }

  async #open(): Promise<Opening> {
    const { endpoints } = this.#site;
    const opening = await endpoints.open({ signal: this.#over.signal, end: this.end });
    this.#opened = opening;
    const { status } = opening;
    if (!(status instanceof PveFailure)) this.#understood = true;
    if (status instanceof PveFailure && (opening.state === "silent" || status.reason === "unauthorized"))
      this.#endAll(status);
    this.#tellOpening(opening);
    return opening;
  }

  async #collect(collector: PveCollector, report: CollectorReport): Promise<void> {
    await this.opening;
    this.#over.signal.throwIfAborted();
    const collecting = collector.collect(this.#roundFor(report), report);
    if ((await Promise.race([collecting, this.#handIn.promise])) === "late") report.lose("timeout");
  }

  readonly #getLasting: Round["getLasting"] = async (path, options) =>
    this.#site.getLasting((await this.opening).connection, path, options);

  #roundFor(report: CollectorReport): Round {
    let countsOffline = true;
    return {
      release: () => this.#release(),
      status: () => this.#status(),
      resources: () => this.#allResources(),
      nodes: async () => {
        const { asked, offline } = await this.#nodesToAsk();
        if (countsOffline) report.leaveOut("node_offline", offline);
        countsOffline = false;
        return asked;
      },
      get: (path, options) => (path === VERSION_PATH ? this.#versionData() : this.#get(path, options)),
      getLasting: this.#getLasting,
      end: this.end,
      options: this.#around.options,
      slow: this.#slow,
    };
  }

  async #status(): Promise<ClusterStatus> {
    const { status } = await this.opening;
    if (status instanceof PveFailure) throw status;
    return status;
  }

  #allResources(): Promise<Resources> {
    this.#resources ??= this.#get(RESOURCES_PATH, { maxBytes: MAX_RESOURCES_BYTES }).then((data) => {
      const resources = resourcesOf(data);
      this.#tellUnseen(resources);
      return resources;
    });
    return this.#resources;
  }

  #versionData(): Promise<unknown> {
    this.#version ??= this.#get(VERSION_PATH);
    return this.#version;
  }

  async #release() {
    return releaseOf(await this.#versionData().catch(() => undefined));
  }

  async #nodesToAsk(): Promise<{ readonly asked: readonly string[]; readonly offline: number }> {
    if (this.#around.way === "pve") {
      const local = (await this.#status()).nodes.find(({ isLocal }) => isLocal);
      if (local === undefined)
        throw new PveFailure("invalid", STATUS_PATH, `${STATUS_PATH} does not say which node answers`);
      return { asked: [local.name], offline: 0 };
    }
    const members = await this.#members();
    const asked = members.filter(({ isOnline }) => isOnline).map(({ name }) => name);
    return { asked, offline: members.length - asked.length };
  }

  /** Of /cluster/status, or else of /cluster/resources. */
  async #members(): Promise<readonly { readonly name: string; readonly isOnline: boolean }[]> {
    const { status } = await this.opening;
    if (!(status instanceof PveFailure)) return status.nodes;
    const { rows } = await this.#allResources();
    return rows.flatMap(({ type, node, fields }) =>
      type === "node" && node !== undefined ? [{ name: node, isOnline: fields["status"] === "online" }] : [],
    );
  }

  async #get(path: string, options: CallOptions = {}): Promise<unknown> {
    const { node, isFirst, limitMs, maxBytes = MAX_BYTES } = options;
    const { connection, endpoint } = await this.opening;
    const { signal } = node === undefined ? this.#over : this.#node(node);
    const mostMs = Math.min(limitMs ?? Number.POSITIVE_INFINITY, endpoint.timeoutMs);
    return this.#site.schedule.run({ node, isFirst, signal }, async () => {
      const startedAt = performance.now();
      try {
        const deadline = Math.min(startedAt + mostMs, this.end);
        const data = await connection.get(path, { signal, deadline, maxBytes });
        this.#answered(node);
        this.#trace(path, "ok", startedAt);
        return data;
      } catch (error) {
        if (!(error instanceof PveFailure)) throw error;
        this.#trace(path, error.message, startedAt);
        // What has a limit of its own may be slow on a node that is well.
        const isImpatient = error.reason === "timeout" && limitMs !== undefined;
        if (error.reason === "unauthorized") this.#unauthorized(error);
        else if (node !== undefined && isOfNode(error) && !isImpatient) this.#lost(node, error);
        throw error;
      }
    });
  }

  #node(name: string): AbortController {
    let node = this.#nodes.get(name);
    if (node === undefined) {
      node = new AbortController();
      if (this.#over.signal.aborted) node.abort(this.#over.signal.reason);
      this.#nodes.set(name, node);
    }
    return node;
  }

  #answered(node: string | undefined): void {
    this.#understood = true;
    if (node === undefined) return;
    this.#heard.add(node);
    this.#site.schedule.heard(node, "answer");
  }

  /** Whatever else it was to be asked in this scrape has failed as well. */
  #lost(node: string, failure: PveFailure): void {
    this.#site.schedule.heard(node, "nothing");
    if (this.#unreachable.has(node)) return;
    this.#unreachable.add(node);
    this.#told.add(failure);
    this.#node(node).abort(failure);
    const fields = { ...this.#fieldsOf(failure), node };
    this.#around.faults.fail(this.#key(`node ${node}`), "cannot ask a node of Proxmox VE", fields, "warn");
  }

  #unauthorized(failure: PveFailure): void {
    if (this.#over.signal.aborted) return;
    this.#endAll(failure);
    this.#told.add(failure);
    const fields = this.#fieldsOf(failure);
    this.#around.faults.fail(this.#key("target"), "Proxmox VE does not answer our calls any more", fields);
  }

  #endLate(failure: PveFailure): void {
    this.#endAll(failure);
    this.#isLate = true;
    this.#told.add(failure);
    const remedy = "look at the API's answering time, or give the scrape more time or fewer collectors";
    const fields = { target: this.#name, remedy };
    this.#around.faults.fail(
      this.#key("late"),
      "the scrape of Proxmox VE was not done in time",
      fields,
      "warn",
    );
  }

  #endAll(reason: unknown): void {
    this.#over.abort(reason);
    for (const node of this.#nodes.values()) node.abort(reason);
  }

  #throwIfGivenUp(): void {
    const { signal } = this.#over;
    if (signal.aborted && !(signal.reason instanceof PveFailure)) throw signal.reason;
  }

  #tellOpening({ endpoint, state, status }: Opening): void {
    const { trace, faults } = this.#around;
    const fields = { target: this.#name, endpoint: endpoint.url };
    const result = status instanceof PveFailure ? status.message : "ok";
    trace?.debug("asked Proxmox VE", { ...fields, path: STATUS_PATH, result });
    if (!(status instanceof PveFailure) || (state === "answered" && status.reason !== "unauthorized")) {
      faults.recover(this.#key("target"), "Proxmox VE answers again", fields);
      return;
    }
    this.#told.add(status);
    faults.fail(this.#key("target"), "cannot ask Proxmox VE", this.#fieldsOf(status));
  }

  /** An answer is filtered by what the user may see: nothing looks like none. */
  #tellUnseen({ rows }: Resources): void {
    if (!rows.some(({ type }) => type === "node")) return;
    const unseen = (what: string, privilege: string, isSeen: boolean) => {
      const fields = { target: this.#name };
      const key = this.#key(`unseen ${what}`);
      if (isSeen) this.#around.faults.recover(key, `Proxmox VE shows ${what} again`, fields);
      else {
        const remedy = `if there are ${what}, grant ${privilege} on / to the user and to its token, as PVEAuditor does`;
        this.#around.faults.fail(key, `Proxmox VE shows no ${what}`, { ...fields, remedy }, "warn");
      }
    };
    unseen(
      "guests",
      "VM.Audit",
      rows.some(({ vmid }) => vmid !== undefined),
    );
    unseen(
      "storages",
      "Datastore.Audit",
      rows.some(({ type }) => type === "storage"),
    );
  }

  #tellRecovered(): void {
    if (!this.#isLate)
      this.#around.faults.recover(this.#key("late"), "Proxmox VE is asked in time again", {
        target: this.#name,
      });
    for (const node of this.#heard) {
      if (this.#unreachable.has(node)) continue;
      const fields = { target: this.#name, node };
      this.#around.faults.recover(this.#key(`node ${node}`), "the node answers again", fields);
    }
  }

  #tell({ name }: PveCollector, { skipped, failures, lost }: CollectorReport): void {
    for (const reason of SKIP_REASONS) {
      const key = this.#key(`${name} ${reason}`);
      const count = skipped.get(reason) ?? 0;
      const failure = failures.get(reason);
      const fields = { target: this.#name, collector: `pve-${name}`, reason, left_out: count };
      if (count === 0 || !(lost.has(reason) || REMARKABLE.has(reason)))
        this.#around.faults.recover(key, "nothing of Proxmox VE is left out any more", fields);
      else if (failure === undefined)
        this.#around.faults.fail(key, "something of Proxmox VE is left out", fields, "warn");
      else if (!this.#told.has(failure))
        this.#around.faults.fail(
          key,
          "something of Proxmox VE is left out",
          { ...this.#fieldsOf(failure), ...fields },
          "warn",
        );
    }
  }

  /** A mistake of ours costs one collector, not the others. */
  #faultOf({ name }: PveCollector, error: unknown, report: CollectorReport): void {
    const err = error instanceof Error ? error.message : "threw what is no error";
    const failure = new PveFailure("error", "/", err);
    this.#told.add(failure);
    report.failed(failure);
    const fields = { target: this.#name, collector: `pve-${name}`, err };
    this.#around.faults.fail(
      this.#key(`${name} bug`),
      "a collector of Proxmox VE broke, which is a bug",
      fields,
    );
  }

  #trace(path: string, result: string, startedAt: number): void {
    const ms = Math.round(performance.now() - startedAt);
    this.#around.trace?.debug("asked Proxmox VE", { target: this.#name, path, result, ms });
  }

  #fieldsOf(failure: PveFailure): LogFields {
    const { reason, path, status, message } = failure;
    const endpoint = this.#opened?.endpoint;
    const remedy = endpoint && adviceFor(failure, endpoint);
    const { url } = endpoint ?? {};
    return { target: this.#name, endpoint: url, reason, path, status, err: message, remedy };
  }

  #key(fault: string): string {
    return `pve ${this.#name} ${fault}`;
  }

  get #name(): string {
    return this.#site.target.name;
  }
}

/** Left out without a failure, and yet worth a line. */
const REMARKABLE: ReadonlySet<SkipReason> = new Set(["invalid", "duplicate", "limit"]);

/** The endpoint could not hand the call on to the node, or no answer came: nothing else will come from there. */
const isOfNode = ({ reason, status, network }: PveFailure): boolean =>
  network === undefined &&
  (reason === "timeout" || reason === "unreachable" || (status !== undefined && status >= 595));
