/** What the documents about Kubernetes give to be copied is what this version takes. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { ObjectSchema } from "../../src/kubernetes/object.ts";
import { parsePlumbline } from "../../src/kubernetes/resource/plumbline.ts";
import { describeWithKustomize, type Rendered, renderOverlay, renderOwn } from "../support/kustomize.ts";
import { ROOT } from "./files.ts";

const KUBERNETES = "docs/kubernetes.md";
const MIGRATION = "docs/migrating-from-ebs-metrics-exporter-operator.md";

const textOf = (document: string) => readFileSync(join(ROOT, document), "utf8");

/** In the order of the document. */
function yamlBlocks(document: string): string[] {
  return [...textOf(document).matchAll(/^( *)```yaml\n(.*?)^ *```$/gms)].map(([, indent = "", block = ""]) =>
    block.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  );
}

const ofKind = (document: string, kind: string) =>
  yamlBlocks(document).filter((block) => block.includes(`\nkind: ${kind}\n`));

describe.each([KUBERNETES, MIGRATION])("in %s", (document) => {
  test("each Plumbline is valid", () => {
    const plumblines = ofKind(document, "Plumbline");
    expect(plumblines.length).toBeGreaterThan(1);
    for (const block of plumblines) {
      const parsed = parsePlumbline(v.parse(ObjectSchema, parse(block)));
      expect({ block, problems: "problems" in parsed ? parsed.problems : [] }).toEqual({
        block,
        problems: [],
      });
    }
  });

  test("each block of YAML is one", () => {
    for (const block of yamlBlocks(document)) expect(parse(block)).toBeObject();
  });

  test("what is below deploy/kubernetes exists", () => {
    const named = [...textOf(document).matchAll(/\b((?:overlays|components)\/[a-z-]+)/g)];
    expect(named.length).toBeGreaterThan(2);
    for (const [, path = ""] of named)
      expect([path, existsSync(join(ROOT, "deploy/kubernetes", path))]).toEqual([path, true]);
  });
});

describeWithKustomize("the overlays in the documents", () => {
  const NAMES = v.object({ metadata: v.object({ name: v.string() }) });
  const IMAGES = /registry\.example\/plumbline:0\.1\.0/;

  test.each([...ofKind(KUBERNETES, "Kustomization"), ...ofKind(MIGRATION, "Kustomization")])(
    "%#: renders, with the user's image",
    (block) => {
      const objects = renderOwn(block);
      expect(JSON.stringify(objects)).toMatch(IMAGES);
      expect(JSON.stringify(objects)).not.toContain("ghcr.io");
    },
  );

  test("the table of the operator's rights has each resource that its roles name", () => {
    const ROLE = v.looseObject({ rules: v.array(v.object({ resources: v.array(v.string()) })) });
    const [table = ""] = /^\*\*The operator\*\*.*?\n\n.*?\n\n/ms.exec(textOf(KUBERNETES)) ?? [];
    const resources = renderOverlay("operator-openshift")
      .filter(({ kind, metadata }) => kind.endsWith("Role") && metadata.name.startsWith("plumbline-operator"))
      .flatMap((role) => v.parse(ROLE, role).rules.flatMap((rule) => rule.resources));
    expect(resources).not.toContain("secrets");
    const words: Readonly<Record<string, string>> = {
      "plumblines/status": "their `status`",
      clusterversions: "ClusterVersion",
      customresourcedefinitions: "CRDs of the Prometheus operator",
      namespaces: "namespace `kube-system`",
    };
    for (const resource of resources) expect(table).toContain(words[resource] ?? `\`${resource}\``);
  });

  test("the one for the aggregate alone lets the nodes' series in", () => {
    const [, , block = ""] = ofKind(KUBERNETES, "Kustomization");
    expect(JSON.stringify(renderOverlay("operator"))).toContain("metricRelabelings");
    expect(JSON.stringify(renderOwn(block))).not.toContain("metricRelabelings");
  });

  test("the one that keeps the old namespace has nothing left in the new one", () => {
    const [block = ""] = ofKind(MIGRATION, "Kustomization");
    const objects: readonly Rendered[] = renderOwn(block);
    expect(JSON.stringify(objects)).not.toContain('"namespace":"plumbline"');
    const subjects = v.parse(
      v.array(v.looseObject({ subjects: v.array(v.object({ name: v.string(), namespace: v.string() })) })),
      objects
        .filter(({ kind }) => kind.endsWith("RoleBinding"))
        .map((object) => v.parse(v.looseObject(NAMES.entries), object)),
    );
    expect(
      subjects
        .flatMap(({ subjects }) => subjects.map(({ name, namespace }) => `${namespace}/${name}`))
        .sort(),
    ).toEqual(
      [...Array.from({ length: 3 }, () => "openshift-sre-ebs-metrics/plumbline-operator")]
        .concat("openshift-monitoring/prometheus-k8s")
        .sort(),
    );
  });
});
