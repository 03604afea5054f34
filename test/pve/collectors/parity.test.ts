/** The collectors of the default as a whole, against what prometheus-pve-exporter is known to make of the same answers. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expose } from "../../../src/metrics/exposition.ts";
import { BACKUP_INFO } from "../../../src/pve/collectors/backup-info.ts";
import { CLUSTER } from "../../../src/pve/collectors/cluster.ts";
import { CONFIG } from "../../../src/pve/collectors/config.ts";
import { NODE } from "../../../src/pve/collectors/node.ts";
import { QDEVICE } from "../../../src/pve/collectors/qdevice.ts";
import { REPLICATION } from "../../../src/pve/collectors/replication.ts";
import { RESOURCES } from "../../../src/pve/collectors/resources.ts";
import { STATUS } from "../../../src/pve/collectors/status.ts";
import { SUBSCRIPTION } from "../../../src/pve/collectors/subscription.ts";
import { VERSION } from "../../../src/pve/collectors/version.ts";
import { CollectorReport } from "../../../src/pve/report.ts";
import { clusterStatusOf } from "../../../src/pve/shared-calls.ts";
import { FakeRound, failure } from "../../support/pve-round.ts";
import { seriesOfExposition } from "../../support/series.ts";

const DEFAULTS = [
  STATUS,
  NODE,
  CLUSTER,
  RESOURCES,
  VERSION,
  BACKUP_INFO,
  QDEVICE,
  SUBSCRIPTION,
  REPLICATION,
  CONFIG,
];

const EXPECTED = join(import.meta.dir, "../../../fixtures/pve/expected");
const read = (file: string): string => readFileSync(join(EXPECTED, file), "utf8");

describe.each(["cluster", "standalone", "degraded"])("the case %s", (name) => {
  const expected = read(`${name}.prom`);

  test("gives the same series with the same values", async () => {
    const { text } = await exposed(roundOf(name));
    expect(Object.fromEntries(seriesOfExposition(text))).toEqual(
      Object.fromEntries(seriesOfExposition(expected)),
    );
  });

  test("gives the same families with the same HELP and TYPE, also those without a series", async () => {
    const { text } = await exposed(roundOf(name));
    expect(metadataOf(text)).toEqual(metadataOf(expected));
  });

  test("asks each path once, and no path of another node", async () => {
    const round = roundOf(name);
    await exposed(round);
    const paths = Object.keys(JSON.parse(read(`${name}.json`)));
    const asked = ["/cluster/status", "/cluster/resources", ...round.asked];
    expect(asked.sort()).toEqual(paths.sort());
  });

  test("leaves nothing out", async () => {
    const { reports } = await exposed(roundOf(name));
    expect(reports.flatMap(({ skipped }) => [...skipped])).toEqual([]);
  });
});

test("when every call fails, HELP and TYPE are there all the same, but for the four families that are left out", async () => {
  const refused = failure("error");
  const paths = Object.keys(JSON.parse(read("cluster.json")));
  const answers = Object.fromEntries(paths.map((path) => [path, refused]));
  const { text } = await exposed(
    new FakeRound(answers, { status: refused, resources: refused, nodes: refused }),
  );
  const names = (metadata: readonly string[]) => metadata.map((line) => line.split(" ")[2] ?? "");
  const missing = names(metadataOf(read("cluster.prom"))).filter(
    (family) => !names(metadataOf(text)).includes(family),
  );
  expect([...new Set(missing)].sort()).toEqual([
    "pve_cluster_info",
    "pve_node_info",
    "pve_qdevice_info",
    "pve_qdevice_up",
  ]);
});

/** As /pve asks: the local node alone. */
function roundOf(name: string): FakeRound {
  const answers: Record<string, unknown> = JSON.parse(read(`${name}.json`));
  const status = clusterStatusOf(answers["/cluster/status"]);
  const nodes = status.nodes.filter(({ isLocal }) => isLocal).map((node) => node.name);
  return new FakeRound(answers, { status, resources: answers["/cluster/resources"], nodes });
}

async function exposed(round: FakeRound) {
  const reports = await Promise.all(
    DEFAULTS.map(async (collector) => {
      const report = new CollectorReport(collector.always);
      await collector.collect(round, report).catch((error: unknown) => report.failed(error));
      return report;
    }),
  );
  const { body } = expose(
    reports.map(({ samples }) => samples),
    "text",
  );
  return { text: new TextDecoder().decode(body), reports };
}

const metadataOf = (text: string): string[] =>
  text
    .split("\n")
    .filter((line) => line.startsWith("#"))
    .sort();
