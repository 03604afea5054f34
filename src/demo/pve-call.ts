/** A call of the simulated API, and how it is refused. */
import type { PveState } from "./pve-cluster.ts";
import type { NodePlan } from "./pve-inventory.ts";
import type { Rights } from "./pve-users.ts";

export interface Call {
  readonly state: PveState;
  /** The node that was asked. */
  readonly asked: NodePlan;
  readonly rights: Rights;
  readonly query: URLSearchParams;
  /** In [0, 1); the same for the same call at the same moment. */
  readonly random: () => number;
}

export interface NodeCall extends Call {
  /** The node that the call is for. */
  readonly node: NodePlan;
}

/** Becomes the reason phrase. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  /** What is wrong with which parameter. */
  readonly errors: Readonly<Record<string, string>> | undefined;

  constructor(status: number, phrase: string, errors?: Readonly<Record<string, string>>) {
    super(phrase);
    this.status = status;
    this.errors = errors;
  }
}

/** One of the privileges suffices. */
export function demand({ rights }: Call, path: string, ...privileges: readonly string[]): void {
  if (privileges.some((privilege) => rights.can(privilege, path))) return;
  throw new Refusal(403, `Permission check failed (${path}, ${privileges.join("|")})`);
}

/** On one of the paths; which one is missing is not said. */
export function demandOnAny({ rights }: Call, paths: readonly string[], privilege: string): void {
  if (paths.some((path) => rights.can(privilege, path))) return;
  throw new Refusal(403, "Permission check failed");
}
