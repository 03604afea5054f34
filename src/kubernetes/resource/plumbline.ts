/** A `Plumbline` as somebody wrote it, checked: either what it asks for, or each wrong field by its path. */
import type { KubernetesObject } from "../object.ts";
import type { PlumblineSpec } from "./spec-schema.ts";

export interface SpecProblem {
  /** `spec.config.mayastor.timeout`. */
  readonly path: string;
  /** A whole sentence that begins with the path. */
  readonly message: string;
}

export type Parsed = { readonly spec: PlumblineSpec } | { readonly problems: readonly SpecProblem[] };

export function parsePlumbline(object: KubernetesObject): Parsed {
  throw new Error(`cannot read ${object.metadata.name} yet`);
}
