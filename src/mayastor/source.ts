/** The Mayastor source as the rest of the program sees it: its collector, which needs an address to ask. */
import { ConfigError } from "../config/error.ts";
import type { Settings } from "../config/settings.ts";
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import type { Availability, Collector, CollectorDescription } from "../metrics/collector.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { MayastorClient } from "./client.ts";
import { MAYASTOR, MayastorCollector } from "./mayastor.ts";

export interface MayastorSource {
  readonly collectors: Collector[];
  /** What goes on from run to run is among the exporter's own metrics. */
  saveState(): void;
  close(): void;
}

export const MAYASTOR_COLLECTORS: readonly CollectorDescription[] = [MAYASTOR];

export function mayastorAvailability({ mayastor: { endpoint } }: Settings): Availability {
  return endpoint === undefined
    ? { available: false, reason: "mayastor.endpoint is not set" }
    : { available: true, reason: `mayastor.endpoint is ${endpoint}` };
}

/** Nothing is asked before the first scrape. Throws ConfigError where no endpoint is set. */
export function openMayastor({ mayastor }: Settings, own: OwnMetrics, log: Log): MayastorSource {
  const { endpoint, insecureSkipVerify } = mayastor;
  if (endpoint === undefined)
    throw new ConfigError({
      text: "the collector mayastor is switched on, but mayastor.endpoint is not set; set it to the address of Mayastor's REST service, such as https://mayastor-api-rest:8080, or leave the collector off",
    });
  if (insecureSkipVerify)
    log.warn(
      "whatever certificate Mayastor's REST service shows is taken: whoever is on the way may read and change all",
      {
        collector: MAYASTOR.name,
        endpoint,
        remedy: "set mayastor.ca_file instead of mayastor.insecure_skip_verify",
      },
    );
  const client = new MayastorClient(endpoint, mayastor);
  return {
    collectors: [new MayastorCollector(client, mayastor, own, new FaultLog(log))],
    saveState() {},
    close: () => client.close(),
  };
}
