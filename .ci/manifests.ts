/**
 * Makes the PrometheusRules of deploy/kubernetes from deploy/prometheus: `bun .ci/manifests.ts`. They stand in the
 * repository, so that `kubectl apply -k` needs nothing else; a test fails where they are stale.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./build.ts";

/** Where each one belongs, what it is for, and whose rules it holds. */
const PRODUCTS = [
  ["base/prometheus-rule.yaml", "exporter", ["plumbline"]],
  ["components/csi-only/prometheus-rule.yaml", "exporter", ["csi"]],
  ["components/nvme/prometheus-rules.yaml", "exporter", ["nvme", "ebs"]],
  ["components/mayastor/prometheus-rule.yaml", "mayastor", ["mayastor"]],
  ["overlays/operator/prometheus-rule.yaml", "operator", ["operator"]],
] as const;

/** Content by path in the repository. */
export function prometheusRules(): ReadonlyMap<string, string> {
  return new Map(
    PRODUCTS.map(([path, component, sources]) => [
      join("deploy/kubernetes", path),
      sources.map((source) => manifest(source, component)).join("---\n"),
    ]),
  );
}

/** The rules as they stand, comments as well, two columns further to the right. */
function manifest(source: string, component: string): string {
  const file = `deploy/prometheus/${source}.rules.yml`;
  const rules = readFileSync(join(ROOT, file), "utf8").replaceAll(/^(?=.)/gm, "  ");
  return `# Made by .ci/manifests.ts from ${file}.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: ${source === "plumbline" ? source : `plumbline-${source}`}
  namespace: plumbline
  labels:
    app.kubernetes.io/name: plumbline
    app.kubernetes.io/component: ${component}
    app.kubernetes.io/instance: plumbline
spec:
${rules}`;
}

if (import.meta.main)
  for (const [path, content] of prometheusRules()) writeFileSync(join(ROOT, path), content);
