/** The web configuration file while the server runs: read again when it, or a file that it names, has changed. */
import type { Log } from "../log/log.ts";
import { fileStamp } from "./file-stamp.ts";
import { type KeyPair, loadWebConfig, type WebConfig, webConfigPath } from "./web-config.ts";

/** So often the files are looked at, and only if somebody asks. */
const LOOK_EVERY_MS = 1000;

export class WebConfigFile {
  readonly #source: string | KeyPair;
  readonly #file: string;
  readonly #log: Log;
  readonly #now: () => number;
  #current: WebConfig;
  #lookedAt: number;
  /** What the log was last told is wrong. */
  #complaint: string | undefined;

  /** Reads the file; throws `WebConfigError`. `now` is a monotonic clock in ms. */
  constructor(source: string | KeyPair, log: Log, now: () => number = () => performance.now()) {
    this.#source = source;
    this.#file = webConfigPath(source);
    this.#log = log;
    this.#now = now;
    this.#lookedAt = now();
    this.#current = loadWebConfig(source);
    for (const warning of this.#current.warnings) log.warn(warning, { file: this.#file });
  }

  /** What is in force. The same object until something changes. */
  current(): WebConfig {
    const now = this.#now();
    if (now - this.#lookedAt >= LOOK_EVERY_MS) {
      this.#lookedAt = now;
      this.#look();
    }
    return this.#current;
  }

  #look(): void {
    // What a broken file names is not watched, so it is tried again until it can be used.
    const changed = [...this.#current.stamps].some(([file, stamp]) => fileStamp(file) !== stamp);
    if (!changed && this.#complaint === undefined) return;
    try {
      const read = loadWebConfig(this.#source);
      if ((read.tls === undefined) !== (this.#current.tls === undefined))
        throw new Error(`${this.#file}: TLS cannot be switched on or off while plumbline runs; restart it`);
      this.#current = read;
      this.#complaint = undefined;
      this.#log.info("the web configuration has changed and is in force", { file: this.#file });
      for (const warning of read.warnings) this.#log.warn(warning, { file: this.#file });
    } catch (error) {
      this.#complain(error instanceof Error ? error.message : "unknown error");
    }
  }

  /** Once for each thing that is wrong; the old configuration stays in force meanwhile. */
  #complain(err: string): void {
    if (this.#complaint === err) return;
    this.#complaint = err;
    this.#log.error("the changed web configuration cannot be used; the old one stays in force", { err });
  }
}
