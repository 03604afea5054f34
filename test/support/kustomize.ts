/** Renders kustomizations as a user's kubectl does. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { parseAllDocuments, stringify } from "yaml";
import { ROOT } from "../../.ci/build.ts";
import { KUBECTL } from "../e2e/kubernetes/binaries.ts";
import { describeUnless } from "./debian.ts";

export const KUSTOMIZATIONS = join(ROOT, "deploy/kubernetes");
export const OVERLAYS = [
  "generic",
  "csi-only",
  "eks",
  "openshift",
  "operator",
  "operator-openshift",
] as const;
export type Overlay = (typeof OVERLAYS)[number];

const RENDERED = v.looseObject({
  apiVersion: v.string(),
  kind: v.string(),
  metadata: v.looseObject({
    name: v.string(),
    namespace: v.optional(v.string()),
    labels: v.record(v.string(), v.string()),
  }),
});
export type Rendered = v.InferOutput<typeof RENDERED>;

const NEW_ENOUGH = v.object({
  clientVersion: v.object({
    major: v.literal("1"),
    minor: v.pipe(v.string(), v.transform(Number.parseInt), v.minValue(21)),
  }),
});

/** A kubectl that knows kustomize's components (1.21 and later): that of the tests' own cluster, or the user's. */
const kubectl: string | undefined = [KUBECTL, "kubectl"].find((command) => {
  if (command === KUBECTL && !existsSync(KUBECTL)) return false;
  const { status, stdout } = spawnSync(command, ["version", "--client", "--output=json"], {
    encoding: "utf8",
  });
  return status === 0 && v.is(NEW_ENOUGH, JSON.parse(stdout));
});

/** `describe` for a body that renders. CI says itself where it could not be had in the time that CI has. */
export function describeWithKustomize(name: string, body: () => void): void {
  const reason =
    kubectl === undefined ? "no kubectl 1.21 or later: test/e2e/kubernetes/build.sh fetches one" : undefined;
  if (reason !== undefined && process.env["PLUMBLINE_WITHOUT_KUBERNETES"] === "true") {
    process.stderr.write(`LEFT OUT: ${name}: ${reason}\n`);
    return;
  }
  describeUnless(reason, name, body);
}

export const renderOverlay = (overlay: Overlay): readonly Rendered[] =>
  render(join(KUSTOMIZATIONS, "overlays", overlay));

/** The base with `components`, as an overlay of a user's own has them. */
export const renderComponents = (...components: readonly string[]): readonly Rendered[] =>
  renderOwn(
    stringify({
      apiVersion: "kustomize.config.k8s.io/v1beta1",
      kind: "Kustomization",
      resources: ["plumbline/deploy/kubernetes/base"],
      components: components.map((name) => join("plumbline/deploy/kubernetes/components", name)),
    }),
  );

/** A user's own overlay, beside whose file the repository is as `plumbline`. */
export function renderOwn(kustomization: string): readonly Rendered[] {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-overlay-"));
  try {
    symlinkSync(ROOT, join(directory, "plumbline"));
    writeFileSync(join(directory, "kustomization.yaml"), kustomization);
    return render(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Throws what kubectl complains of, its warnings as well. */
function render(directory: string): readonly Rendered[] {
  const { status, stdout, stderr } = spawnSync(kubectl ?? "kubectl", ["kustomize", directory], {
    encoding: "utf8",
  });
  if (status !== 0 || stderr !== "") throw new Error(`kubectl kustomize ${directory}: ${stderr}`);
  return parseAllDocuments(stdout).map((document) => v.parse(RENDERED, document.toJS()));
}
