/** Everything that one controller tells: what the collectors read, together with the pages as they came. */
import type { ScrapeContext } from "../metrics/collector.ts";
import { DeltaStore } from "./delta.ts";
import { isEbs, readEbs } from "./ebs.ts";
import { isInstanceStore, readInstanceStore } from "./instance-store.ts";
import type { AdminCommand, Answer, Controller, Devices } from "./model.ts";
import { readNvme } from "./nvme.ts";
import type { AmazonStatistics, SizeBand } from "./pages/amazon.ts";
import type { IdentifyController } from "./pages/identify-controller.ts";
import type { IdentifyNamespace } from "./pages/identify-namespace.ts";
import type { SmartLog } from "./pages/smart.ts";
import type { Problem } from "./problem.ts";

export interface Inspection {
  readonly controller: Controller;
  readonly identity: IdentifyController | undefined;
  readonly smart: SmartLog | undefined;
  /** By nsid. */
  readonly namespaces: ReadonlyMap<number, IdentifyNamespace>;
  readonly ebs: AmazonStatistics | undefined;
  readonly instanceStore:
    | { readonly statistics: AmazonStatistics; readonly bands: readonly SizeBand[] }
    | undefined;
  readonly pages: readonly RawPage[];
  readonly problems: readonly Problem[];
}

export interface RawPage {
  readonly command: AdminCommand;
  readonly bytes: Uint8Array;
}

/** Never rejects: what could not be read is among the problems. */
export async function inspect(
  controller: Controller,
  devices: Devices,
  context: ScrapeContext,
): Promise<Inspection> {
  const recorder = new Recorder(devices);
  const nvme = await readNvme(controller, recorder, context);
  const ebs = isEbs(controller) ? await readEbs(controller, recorder, context, new DeltaStore()) : undefined;
  const instanceStore = isInstanceStore(controller)
    ? await readInstanceStore(controller, recorder, context)
    : undefined;
  const problems = [nvme, ebs, instanceStore].flatMap((reading) => reading?.problems ?? []);
  return {
    controller,
    identity: nvme.identity,
    smart: nvme.smart,
    namespaces: nvme.namespaces,
    ebs: ebs?.volume?.statistics,
    instanceStore: instanceStore?.volume,
    pages: [...recorder.pages.values()],
    problems: [...new Map(problems.map((problem) => [problem.detail, problem])).values()],
  };
}

/** Hands questions on and keeps the pages that come back. */
class Recorder implements Devices {
  readonly pages = new Map<string, RawPage>();
  readonly #devices: Devices;

  constructor(devices: Devices) {
    this.#devices = devices;
  }

  list(): Controller[] {
    return this.#devices.list();
  }

  async ask(controller: Controller, command: AdminCommand, context: ScrapeContext): Promise<Answer> {
    const answer = await this.#devices.ask(controller, command, context);
    if (answer.kind === "page") {
      this.pages.set(`${command.page} ${command.nsid}`, { command, bytes: answer.bytes });
    }
    return answer;
  }
}
