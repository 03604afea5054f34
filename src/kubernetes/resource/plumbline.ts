/** A `Plumbline` as somebody wrote it, checked: either what it asks for, or each wrong field by its path. */
import * as v from "valibot";
import { ConfigError, type Problem } from "../../config/error.ts";
import { type Path, pathText, type ReadFile } from "../../config/file.ts";
import { mayastorSettings } from "../../config/load.ts";
import { pveSettings } from "../../config/pve-settings.ts";
import { problemsAt } from "../../config/validate.ts";
import type { KubernetesObject } from "../object.ts";
import { listenPorts } from "./listen-ports.ts";
import { MAX_NAME_LENGTH, NOT_IN_CONFIG, type PlumblineSpec, SPEC } from "./spec-schema.ts";

export interface SpecProblem {
  /** `spec.config.mayastor.timeout`. */
  readonly path: string;
  /** A whole sentence that names the field; it never holds a secret. */
  readonly message: string;
}

export type Parsed = { readonly spec: PlumblineSpec } | { readonly problems: readonly SpecProblem[] };

export function parsePlumbline(object: KubernetesObject): Parsed {
  const written = object["spec"] ?? {};
  const problems = [
    ...nameProblems(object.metadata.name),
    ...notInConfig(written),
    ...[...problemsAt(written, SPEC, ["spec"], PLACES)].map(specProblem),
  ];
  if (problems.length > 0) return { problems: onePerField(problems) };
  const spec = v.parse(SPEC, written);
  const disagreements = [...listenProblems(spec.config.web.listen_addresses), ...remoteProblems(spec.config)];
  if (disagreements.length > 0) return { problems: disagreements };
  return { spec: { ...spec, config: v.parse(WRITTEN_CONFIG, written).config } };
}

const WRITTEN_CONFIG = v.object({ config: v.optional(v.record(v.string(), v.unknown()), {}) });

/** A place in an object is the path itself. */
const placesBelow = (...above: Path): Pick<ReadFile, "place"> => ({
  place: (path) => ({ file: pathText([...above, ...path]) }),
});
const PLACES = { ...placesBelow(), value: undefined };

const specProblem = ({ text, file = "spec" }: Problem): SpecProblem => ({ path: file, message: text });

/** What stands where nothing may stand is told once, with what to do. */
const onePerField = (problems: readonly SpecProblem[]): SpecProblem[] =>
  [...new Map(problems.toReversed().map((problem) => [problem.path, problem])).values()].toReversed();

function nameProblems(name: string): SpecProblem[] {
  if (name === "operator") {
    const message =
      "metadata.name must not be operator: what belongs to it would take the place of plumbline-operator, which is the operator's own";
    return [{ path: "metadata.name", message }];
  }
  if (name.length <= MAX_NAME_LENGTH && /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(name)) return [];
  const message = `metadata.name must be of lower-case letters, digits and "-" and have at most ${MAX_NAME_LENGTH} characters: what belongs to it is called plumbline-NAME`;
  return [{ path: "metadata.name", message }];
}

function notInConfig(written: unknown): SpecProblem[] {
  return NOT_IN_CONFIG.flatMap(([setting, instead]) =>
    found(at(written, "config"), setting.split(/\.|(?=\[\])/), ["spec", "config"]).map((path) => ({
      path: pathText(path),
      message: `${pathText(path)} ${instead}`,
    })),
  );
}

/** Where the setting stands in the value: for a list possibly in several of its items. */
function found(value: unknown, [key, ...rest]: readonly string[], path: Path): Path[] {
  if (value === undefined) return [];
  if (key === undefined) return [path];
  if (key !== "[]") return found(at(value, key), rest, [...path, key]);
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown, index) => found(item, rest, [...path, index]));
}

const at = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? Reflect.get(value, key)
    : undefined;

function listenProblems(addresses: readonly string[]): SpecProblem[] {
  if (listenPorts(addresses).length > 0) return [];
  const path = "spec.config.web.listen_addresses";
  return [{ path, message: `${path} must hold one at which the pod's own address answers, such as :9847` }];
}

type ParsedConfig = v.InferOutput<typeof SPEC>["config"];

/** What the exporter would refuse although each setting by itself is right: settings that do not go together. */
function remoteProblems({ mayastor, pve }: ParsedConfig): SpecProblem[] {
  // The files are the pods': here they are neither there nor read.
  const targets = pve.targets.map(({ token_file, password_file, ...target }) => ({
    ...target,
    ...(token_file === undefined ? {} : { token_value: "in a file" }),
    ...(password_file === undefined ? {} : { password: "in a file" }),
  }));
  const file = { ...placesBelow("spec", "config"), value: undefined, path: "spec.config", isOpen: false };
  const sources = { file, directory: "/", modules: undefined, environment: {}, warn: () => {} };
  return [
    ...refusals("spec.config.mayastor", () => mayastorSettings(mayastor)),
    ...refusals("spec.config.pve", () => pveSettings({ ...pve, targets }, sources)),
  ];
}

function refusals(path: string, use: () => unknown): SpecProblem[] {
  try {
    use();
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ text, file = path }) => ({ path: file, message: `spec.config.${text}` }));
  }
}
