/**
 * The log of runs that follow one another every minute: what the last run said already is said again every ten minutes,
 * and once more when it is over. Each run is a process of its own, so what was said is kept in the state directory.
 */
import type { FaultLog } from "../log/faults.ts";
import type { Log, LogFields, LogLevel } from "../log/log.ts";

export class RememberingLog implements Log {
  readonly #log: Log;
  readonly #faults: FaultLog;
  readonly #said = new Set<string>();

  /** `faults` writes to `log`, and remembers what the last run said. */
  constructor(log: Log, faults: FaultLog) {
    this.#log = log;
    this.#faults = faults;
  }

  debug(message: string, fields?: LogFields): void {
    this.#log.debug(message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#say("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#say("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#say("error", message, fields);
  }

  /** The run is at its end: what it did not say any more is over. */
  settle(): void {
    for (const key of this.#faults.failing()) {
      if (this.#said.has(key)) continue;
      const [message = "", collector, device, reason] = key.split(SEPARATOR);
      this.#faults.recover(key, `no longer: ${message}`, {
        collector: collector || undefined,
        device: device || undefined,
        reason: reason || undefined,
      });
    }
  }

  #say(level: LogLevel, message: string, fields: LogFields = {}): void {
    const parts = [fields["collector"], fields["device"], fields["reason"]];
    const key = [message, ...parts.map((part) => part ?? "")].join(SEPARATOR);
    this.#said.add(key);
    this.#faults.fail(key, message, fields, level);
  }
}

/** In no message and no name of a device. */
const SEPARATOR = "\n";
