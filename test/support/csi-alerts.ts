/** The alerts about CSI volumes as a real Prometheus gives them. */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import type { Prometheus } from "./prometheus.ts";
import { seriesKey } from "./series.ts";

const PATIENCE_MS = 20_000;

/** As they are in the repository, but that an alert fires after two seconds instead of minutes. */
export function hastyCsiRules(): string {
  const rules = readFileSync(join(ROOT, "deploy/prometheus/csi.rules.yml"), "utf8");
  return rules.replaceAll(/^( +)for: .*$/gm, "$1for: 2s");
}

/** The series of an alert that fires, by `seriesKey`. */
export function firingAlert(
  alertname: string,
  severity: string,
  labels: Readonly<Record<string, string>>,
): string {
  return seriesKey("ALERTS", { alertname, alertstate: "firing", severity, ...labels });
}

/** Waits until these alerts fire and no others. */
export async function expectFiring(prometheus: Prometheus, ...alerts: string[]): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const firing = [...(await prometheus.query('ALERTS{alertstate="firing"}')).keys()].sort();
    if (Bun.deepEquals(firing, alerts.toSorted()) || performance.now() > deadline) {
      expect(firing).toEqual(alerts.toSorted());
      return;
    }
    await Bun.sleep(200);
  }
}
