/** The HTTP side of plumbline: the exposition, health, lifecycle and the status page, as one Elysia app. */
import type { Settings } from "../config/settings.ts";
import type { Log } from "../log/log.ts";
import type { BuildInfo, OwnMetrics } from "../metrics/own.ts";
import type { Scraper } from "../scrape/scraper.ts";

export interface Readiness {
  readonly ready: boolean;
  /** Collectors whose first collection has not ended yet. */
  readonly waitingFor: readonly string[];
}

export interface AppParts {
  settings(): Settings;
  scraper(): Scraper;
  readonly own: OwnMetrics;
  readonly log: Log;
  readiness(): Readiness;
  /** Rejects with the message that the operator shall read; the old configuration then stays in force. */
  reload(): Promise<void>;
  quit(): void;
  readonly build: BuildInfo;
}

export interface App {
  handle(request: Request): Promise<Response>;
}

export function createApp(_parts: AppParts): App {
  throw new Error("not written yet");
}
