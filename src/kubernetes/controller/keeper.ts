/**
 * Keeps the objects of one Plumbline as they should be. An object is sent when it is wanted for the first time, when
 * what is wanted changes, and when somebody else has changed or deleted it; never just to be sure.
 */

import { ApiFailure } from "../client/failure.ts";
import type { KubernetesObject, Manifest } from "../object.ts";
import { Applied, manifestHash, SHOWN_WITHIN_MS } from "./drift.ts";
import { OWNED_KINDS } from "./kept.ts";
import { concernsAll, type Refusal, Refused } from "./refused.ts";
import type { Writer } from "./writer.ts";

/** An informer, as far as it is read here. */
export interface Store {
  readonly hasSynced: boolean;
  get(name: string, namespace?: string): KubernetesObject | undefined;
  list(): readonly KubernetesObject[];
}

export interface Change {
  readonly manifest: Manifest;
  readonly how: "created" | "changed" | "put back" | "made again";
  /** As it was seen before. */
  readonly before: KubernetesObject | undefined;
  readonly after: KubernetesObject;
}

export interface Outcome {
  readonly changes: readonly Change[];
  /** Of objects that are not as they should be. */
  readonly refusals: readonly Refusal[];
  /** Of the requests that were made now and failed. */
  readonly failures: readonly ApiFailure[];
  /** When to look again at what was put off; undefined where nothing was. */
  readonly againMs: number | undefined;
}

export class Keeper {
  readonly #writer: Writer;
  readonly #storeOf: (kind: string) => Store | undefined;
  readonly #kept = new Map<string, Kept>();

  /** `storeOf`: undefined for a kind that is not watched; of its objects no drift is seen. */
  constructor(writer: Writer, storeOf: (kind: string) => Store | undefined) {
    this.#writer = writer;
    this.#storeOf = storeOf;
  }

  /**
   * In the manifests' order; an object that is refused does not keep back the others. Rejects with the failure of a
   * request after which no other would fare better.
   */
  async keep(manifests: readonly Manifest[]): Promise<Outcome> {
    const round = new Round();
    for (const manifest of manifests) {
      const kept = this.#of(manifest.kind, manifest.metadata.name);
      const store = this.#storeOf(manifest.kind);
      const live = store?.get(manifest.metadata.name, manifest.metadata.namespace);
      const due = dueOf(kept, manifest, live, store);
      if (typeof due === "number") round.lookAgain(due);
      else if (due !== undefined)
        await round.attempt(kept, () => this.#apply(kept, manifest, live, due, round));
      round.report(kept);
    }
    return round;
  }

  /** Deletes what was wanted for the Plumbline before and is not among `manifests`; of what its namespace holds. */
  async prune(plumbline: KubernetesObject, manifests: readonly Manifest[]): Promise<Outcome> {
    const wanted = new Set(manifests.map(({ kind, metadata }) => keyOf(kind, metadata.name)));
    const round = new Round();
    for (const kind of OWNED_KINDS) {
      const store = this.#storeOf(kind.kind);
      if (!isCurrent(store)) continue;
      for (const { metadata } of store.list()) {
        const kept = this.#of(kind.kind, metadata.name);
        if (wanted.has(keyOf(kind.kind, metadata.name)) || !isOwnedBy(metadata, plumbline)) continue;
        if (metadata.deletionTimestamp !== undefined || kept.droppedUid === metadata.uid) continue;
        if (kept.refused.pauseMs === 0) {
          await round.attempt(kept, async () => {
            await this.#writer.delete(kind, metadata.name, metadata.namespace);
            kept.applied = undefined;
            kept.droppedUid = metadata.uid;
          });
        }
        round.report(kept);
      }
    }
    return round;
  }

  async #apply(
    kept: Kept,
    manifest: Manifest,
    before: KubernetesObject | undefined,
    how: Change["how"],
    round: Round,
  ): Promise<void> {
    const hash = manifestHash(manifest);
    kept.attemptedHash = hash;
    if (how === "put back" || how === "made again") kept.repairs.begin();
    const answer = await this.#writer.apply(manifest);
    const version = answer.metadata.resourceVersion;
    const wasSo = version === before?.metadata.resourceVersion || version === kept.applied?.version;
    kept.applied = new Applied(hash, answer, before);
    if (before === undefined) round.lookAgain(SHOWN_WITHIN_MS);
    if (!wasSo) round.changes.push({ manifest, how, before, after: answer });
  }

  #of(kind: string, name: string): Kept {
    const key = keyOf(kind, name);
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const kept: Kept = {
      applied: undefined,
      refused: new Refused(),
      repairs: new RepairPace(),
      attemptedHash: undefined,
      droppedUid: undefined,
    };
    this.#kept.set(key, kept);
    return kept;
  }
}

/** What is remembered of one object. */
interface Kept {
  applied: Applied | undefined;
  readonly refused: Refused;
  readonly repairs: RepairPace;
  /** Of the manifest that was sent last. */
  attemptedHash: string | undefined;
  droppedUid: string | undefined;
}

/** Why the object must be sent now; a number: in how many ms; undefined: it is as it should be. */
function dueOf(
  kept: Kept,
  manifest: Manifest,
  live: KubernetesObject | undefined,
  store: Store | undefined,
): Change["how"] | number | undefined {
  const hash = manifestHash(manifest);
  const { pauseMs } = kept.refused;
  if (pauseMs > 0 && hash === kept.attemptedHash) return pauseMs;
  if (kept.applied?.hash !== hash) return live === undefined ? "created" : "changed";
  if (!isCurrent(store)) return undefined;
  const standing = kept.applied.standing(live);
  if (standing === "as applied" || standing === "not known yet") return undefined;
  if (kept.repairs.pauseMs > 0) return kept.repairs.pauseMs;
  return standing === "deleted" ? "made again" : "put back";
}

const isCurrent = (store: Store | undefined): store is Store => store?.hasSynced === true;

const keyOf = (kind: string, name: string) => `${kind} ${name}`;

const isOwnedBy = ({ ownerReferences }: KubernetesObject["metadata"], { metadata }: KubernetesObject) =>
  ownerReferences?.some(({ uid }) => uid === metadata.uid) === true;

/** What one pass over the objects came to. */
class Round implements Outcome {
  readonly changes: Change[] = [];
  readonly refusals: Refusal[] = [];
  readonly failures: ApiFailure[] = [];
  againMs: number | undefined;

  async attempt({ refused }: Kept, request: () => Promise<void>): Promise<void> {
    try {
      await request();
      refused.clear();
    } catch (error) {
      if (!(error instanceof ApiFailure) || concernsAll(error)) throw error;
      refused.again(error);
      this.failures.push(error);
    }
  }

  report({ refused }: Kept): void {
    if (refused.refusal !== undefined) this.refusals.push(refused.refusal);
    if (refused.pauseMs > 0) this.lookAgain(refused.pauseMs);
  }

  lookAgain(inMs: number): void {
    this.againMs = Math.min(this.againMs ?? Number.POSITIVE_INFINITY, inMs);
  }
}

/** Repairs that follow each other come ever later: two managers that fight must not keep the API server busy. */
class RepairPace {
  static readonly #FIRST_PAUSE_MS = 250;
  /** Less than the 5 s within which drift is put back. */
  static readonly #MAX_PAUSE_MS = 4000;
  /** After so long without a repair the next one comes at once. */
  static readonly #PEACE_MS = 60_000;
  #count = 0;
  #at = Number.NEGATIVE_INFINITY;

  get pauseMs(): number {
    if (this.#count === 0) return 0;
    const pauseMs = Math.min(RepairPace.#MAX_PAUSE_MS, RepairPace.#FIRST_PAUSE_MS * 2 ** (this.#count - 1));
    return Math.max(0, this.#at + pauseMs - performance.now());
  }

  begin(): void {
    const now = performance.now();
    this.#count = now - this.#at > RepairPace.#PEACE_MS ? 1 : this.#count + 1;
    this.#at = now;
  }
}
