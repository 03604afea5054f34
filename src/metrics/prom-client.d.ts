/**
 * prom-client's parts, imported one by one: its index also loads OpenTelemetry, a push gateway and a cluster
 * registry, which costs 20 ms of every start.
 */

declare module "prom-client/lib/registry.js" {
  import { Registry } from "prom-client";
  export default Registry;
}

declare module "prom-client/lib/counter.js" {
  import { Counter as PromCounter } from "prom-client";
  export default class Counter<Label extends string = string> extends PromCounter<Label> {
    /** The series. `get()` gives the same, but only behind a promise. */
    readonly hashMap: Readonly<
      Record<string, { labels: Partial<Record<Label, string | number>>; value: number }>
    >;
  }
}

declare module "prom-client/lib/gauge.js" {
  import { Gauge as PromGauge } from "prom-client";
  export default class Gauge<Label extends string = string> extends PromGauge<Label> {
    /** The series. `get()` gives the same, but only behind a promise. */
    readonly hashMap: Readonly<
      Record<string, { labels: Partial<Record<Label, string | number>>; value: number }>
    >;
  }
}

declare module "prom-client/lib/histogram.js" {
  import { Histogram } from "prom-client";
  export default Histogram;
}
