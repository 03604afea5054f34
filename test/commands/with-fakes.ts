/**
 * Run by the tests of this folder as a process of its own: `serve` or `textfile` with collectors that do as they are
 * told. Its one argument is a `FakeRun` in JSON.
 */

import type { FlagValues } from "../../src/config/load.ts";
import { load } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/settings.ts";
import type { Log } from "../../src/log/log.ts";
import type { Collection } from "../../src/metrics/collector.ts";
import { counter, gauge } from "../../src/metrics/descriptor.ts";
import type { OwnMetrics } from "../../src/metrics/own.ts";
import { Samples } from "../../src/metrics/samples.ts";
import type { OpenCollectors } from "../../src/scrape/sources.ts";
import { FakeCollector } from "../scrape/fakes.ts";

export interface FakeRun {
  readonly command: "serve" | "textfile";
  readonly flags: FlagValues;
  /** By name; in what way each behaves. */
  readonly collectors: Readonly<Record<string, Behaviour>>;
}

/** `slow` takes a second; `stray` leaves a promise behind that rejects; `big` has 2,000 series. */
export type Behaviour = "works" | "fails" | "throws a string" | "hangs" | "slow" | "stray" | "part" | "big";

const VALUE = gauge("fake_value", "A value, by the node that the settings name", [
  "collector",
  "node",
  "item",
]);
const READINGS = counter("fake_readings_total", "How often the collector ran, kept by the exporter", [
  "collector",
]);
const PROCESS = gauge("process_fake", "A name that node_exporter might have", []);

export function openFakes(
  collectors: FakeRun["collectors"],
): (settings: Settings, own: OwnMetrics, log: Log) => OpenCollectors {
  return ({ nodeName }, own, log) => ({
    collectors: Object.entries(collectors).map(
      ([name, behaviour]) =>
        new FakeCollector(name, () => {
          own.counter(READINGS).inc({ collector: name });
          return behave(name, behaviour, nodeName);
        }),
    ),
    settled: async () => log.debug("collectors settled"),
    saveState: () => log.debug("state saved"),
    close: () => log.info("collectors closed", { node: nodeName }),
  });
}

function behave(name: string, behaviour: Behaviour, node: string): Promise<Collection> {
  const samples = new Samples();
  const items = behaviour === "big" ? 2000 : 1;
  for (let item = 0; item < items; item++) samples.add(VALUE, { collector: name, node, item: `${item}` }, 42);
  if (behaviour === "works") samples.add(PROCESS, {}, 1);
  const collection = { samples, success: behaviour !== "part" };
  switch (behaviour) {
    case "fails":
      return Promise.reject(new Error("no such node"));
    case "throws a string":
      throw "boom";
    case "hangs":
      return new Promise(() => {});
    case "slow":
      return new Promise((resolve) => setTimeout(resolve, 1000, collection));
    case "stray":
      void Promise.reject(new Error("left behind"));
      return Promise.resolve(collection);
    case "works":
    case "part":
    case "big":
      return Promise.resolve(collection);
  }
}

if (import.meta.main) {
  const { command, flags, collectors }: FakeRun = JSON.parse(process.argv[2] ?? "");
  const reload = () => load(flags, {}, Object.keys(collectors));
  const open = openFakes(collectors);
  const code =
    command === "serve"
      ? await (await import("../../src/commands/serve.ts")).run(reload(), reload, open)
      : await (await import("../../src/commands/textfile.ts")).run(reload(), open);
  process.exit(code);
}
