/** What prometheus-pve-exporter counts of its own work, under its names, of what /pve does. */
import type { PveSettings } from "../config/pve.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import {
  PVE_API_BUCKETS,
  PVE_COLLECTION_DURATION_SECONDS,
  PVE_REQUEST_ERRORS_TOTAL,
  PVE_SCRAPE_API_DURATION_SECONDS,
  PVE_SCRAPE_API_ERRORS_TOTAL,
  PVE_SCRAPE_TARGET_DURATION_SECONDS,
  PVE_SCRAPE_TARGET_ERRORS_TOTAL,
  PVE_TARGET_BUCKETS,
} from "../metrics/own-descriptors.ts";
import type { Connect } from "../pve/endpoints.ts";
import { PveFailure } from "../pve/failure.ts";

interface Asked {
  readonly target: string;
  readonly module: string;
  readonly cluster: boolean;
  readonly node: boolean;
}

export class PveHostMetrics {
  readonly #own: OwnMetrics;
  readonly #settings: PveSettings;

  constructor(own: OwnMetrics, settings: PveSettings) {
    this.#own = own;
    this.#settings = settings;
  }

  /** Each module is there from the start, with nothing counted. */
  begin(): void {
    for (const module of this.#settings.modules.keys()) {
      this.#own.summary(PVE_COLLECTION_DURATION_SECONDS).zero({ module });
      this.#own.counter(PVE_REQUEST_ERRORS_TOTAL).inc({ module }, 0);
    }
  }

  /** Names that no module has are the caller's, and could be any number: they are not counted. */
  ended({ target, module, cluster, node }: Asked, how: "answered" | "refused", seconds: number): void {
    if (!this.#settings.modules.has(module)) return;
    if (how === "answered") this.#own.summary(PVE_COLLECTION_DURATION_SECONDS).observe({ module }, seconds);
    else this.#own.counter(PVE_REQUEST_ERRORS_TOTAL).inc({ module });
    if (!this.#settings.targetMetrics) return;
    const labels = { target, cluster: cluster ? "1" : "0", node: node ? "1" : "0" };
    this.#own.histogram(PVE_SCRAPE_TARGET_DURATION_SECONDS, PVE_TARGET_BUCKETS).observe(labels, seconds);
    this.#own.counter(PVE_SCRAPE_TARGET_ERRORS_TOTAL).inc(labels, how === "answered" ? 0 : 1);
  }
}

/** Connections of which every call is told. */
export const measured =
  (connect: Connect, own: OwnMetrics): Connect =>
  (endpoint) => {
    const durations = own.histogram(PVE_SCRAPE_API_DURATION_SECONDS, PVE_API_BUCKETS);
    const errors = own.counter(PVE_SCRAPE_API_ERRORS_TOTAL);
    const connection = connect(endpoint);
    return {
      get serverDate() {
        return connection.serverDate;
      },
      close: () => connection.close(),
      async get(path, limits) {
        const labels = { method: "GET", url: `${endpoint.url}/api2/json${path}` };
        const startedAt = performance.now();
        errors.inc(labels, 0);
        try {
          return await connection.get(path, limits);
        } catch (error) {
          if (error instanceof PveFailure) errors.inc(labels);
          throw error;
        } finally {
          durations.observe(labels, (performance.now() - startedAt) / 1000);
        }
      },
    };
  };
