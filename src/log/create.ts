/** The logger that the whole program shares: LogTape underneath, one line an event, written before the call returns. */
import {
  configureSync,
  getConfig,
  getLogger,
  type LogRecord,
  type LogLevel as TapeLevel,
} from "@logtape/logtape";
import { type Event, jsonLine, logfmtLine } from "./format.ts";
import type { Log, LogFields, LogLevel } from "./log.ts";
import { writeStandardError } from "./standard-error.ts";

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "logfmt" | "json";
}

export interface AdjustableLog extends Log {
  setLevel(level: LogLevel): void;
}

const SEVERITY: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const TAPE_LEVEL = { debug: "debug", info: "info", warn: "warning", error: "error" } as const;

/** `write` gets a whole line with its newline. */
export function createLog(
  options: LogOptions,
  write: (line: string) => void = writeStandardError,
): AdjustableLog {
  const format = options.format === "json" ? jsonLine : logfmtLine;
  const logger = getLogger(openCategory((event) => write(`${format(event)}\n`)));
  let lowest = SEVERITY[options.level];
  const log = (level: LogLevel, message: string, fields: LogFields = {}) => {
    if (SEVERITY[level] < lowest) return;
    logger.emit({
      level: TAPE_LEVEL[level],
      message: [message],
      rawMessage: message,
      timestamp: Date.now(),
      properties: fields,
    });
  };
  return {
    debug: (message, fields) => log("debug", message, fields),
    info: (message, fields) => log("info", message, fields),
    warn: (message, fields) => log("warn", message, fields),
    error: (message, fields) => log("error", message, fields),
    setLevel: (level) => {
      lowest = SEVERITY[level];
    },
  };
}

const ROOT = "plumbline";

/** LogTape's configuration is one for the process: each log is a category below ours, with its own output here. */
const outputs = new Map<string, (event: Event) => void>();

function openCategory(output: (event: Event) => void): [string, string] {
  if (getConfig() === null) {
    configureSync({
      sinks: { lines: dispatch },
      loggers: [
        { category: [ROOT], sinks: ["lines"], lowestLevel: "trace" },
        { category: ["logtape", "meta"], sinks: [], lowestLevel: null },
      ],
    });
  }
  const name = String(outputs.size);
  outputs.set(name, output);
  return [ROOT, name];
}

function dispatch(record: LogRecord): void {
  outputs.get(record.category[1] ?? "")?.({
    level: levelOf(record.level),
    time: new Date(record.timestamp),
    message: typeof record.rawMessage === "string" ? record.rawMessage : record.rawMessage.join(""),
    fields: record.properties,
  });
}

function levelOf(level: TapeLevel): LogLevel {
  switch (level) {
    case "trace":
    case "debug":
      return "debug";
    case "info":
      return "info";
    case "warning":
      return "warn";
    case "error":
    case "fatal":
      return "error";
  }
}
