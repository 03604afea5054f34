/** The alerting and recording rules of deploy/prometheus that go with what a Plumbline collects. */
import * as v from "valibot";
import { parse } from "yaml";
import csi from "../../../deploy/prometheus/csi.rules.yml" with { type: "text" };
import ebs from "../../../deploy/prometheus/ebs.rules.yml" with { type: "text" };
import mayastor from "../../../deploy/prometheus/mayastor.rules.yml" with { type: "text" };
import nvme from "../../../deploy/prometheus/nvme.rules.yml" with { type: "text" };
import plumbline from "../../../deploy/prometheus/plumbline.rules.yml" with { type: "text" };
import pve from "../../../deploy/prometheus/pve.rules.yml" with { type: "text" };
import type { PlumblineSpec } from "./spec-schema.ts";

export type RuleGroup = Readonly<Record<string, unknown>>;

export function ruleGroups({ collectors, config }: PlumblineSpec): readonly RuleGroup[] {
  const texts = [
    ...(collectors.csi ? [csi] : []),
    ...(collectors.nvme ? [nvme] : []),
    ...(collectors.ebs || collectors.instance_store ? [ebs] : []),
    ...(v.is(WITH_MAYASTOR, config) ? [mayastor] : []),
    ...(v.is(WITH_PVE, config) ? [pve] : []),
    plumbline,
  ];
  return texts.flatMap(groupsOf);
}

const WITH_MAYASTOR = v.object({ mayastor: v.object({ endpoint: v.string() }) });
const WITH_PVE = v.object({ pve: v.object({ targets: v.pipe(v.array(v.unknown()), v.minLength(1)) }) });

const FILE = v.object({ groups: v.array(v.record(v.string(), v.unknown())) });
const parsed = new Map<string, readonly RuleGroup[]>();

/** Reading YAML takes a while: each file is read when it is wanted for the first time. */
function groupsOf(text: string): readonly RuleGroup[] {
  const groups = parsed.get(text) ?? v.parse(FILE, parse(text)).groups;
  parsed.set(text, groups);
  return groups;
}
