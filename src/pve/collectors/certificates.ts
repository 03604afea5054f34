/** When the certificates of each node end, from /nodes/NODE/certificates/info, which is read every six hours. */
import * as v from "valibot";
import { type PveCollector, pveGauge, type Report } from "../contract.ts";
import { forEachNode } from "../each.ts";
import { PveFailure } from "../failure.ts";
import { type SlowGet, SlowKind } from "../slow.ts";
import { addNumber, isRow, labelOf, rowsOf } from "../values.ts";

const LABELS = ["node", "filename"] as const;

const NOT_AFTER = pveGauge(
  "pve_certificate_not_after_timestamp_seconds",
  "When the certificate ends, as Unix time",
  LABELS,
);
const INFO = pveGauge("pve_certificate_info", "Who the certificate is for, and who issued it; always 1", [
  ...LABELS,
  "issuer",
  "subject",
]);

const INTERVAL_MS = 6 * 3_600_000;
const READING = new SlowKind("certificates", v.array(v.unknown()));

export const CERTIFICATES: PveCollector = {
  name: "certificates",
  help: "When the certificates of nodes end",
  scope: "node",
  defaults: { pve: false, metrics: true },
  descriptors: [NOT_AFTER, INFO],
  always: [],
  collect: (round, report) =>
    forEachNode(round, report, async (node) => {
      const path = `/nodes/${node}/certificates/info`;
      const read = async (get: SlowGet) => withoutKeys(await get(path, { node }), path);
      const rows = await round.slow.read(READING, node, { intervalMs: INTERVAL_MS, read }, report);
      if (rows !== undefined) addCertificates(report, node, path, rows);
    }),
};

/** The list as it came, less what is not exported: a certificate is some KB of PEM. */
function withoutKeys(data: unknown, path: string): unknown[] {
  if (!Array.isArray(data)) throw new PveFailure("invalid", path, `the answer of ${path} is no list`);
  return data.map((row: unknown) => {
    if (!isRow(row)) return null;
    const { filename, notafter, issuer, subject } = row;
    return { filename, notafter, issuer, subject };
  });
}

function addCertificates(report: Report, node: string, path: string, data: readonly unknown[]): void {
  const seen = new Set<string>();
  for (const row of rowsOf(data, path, report)) {
    const filename = labelOf(report, row["filename"]);
    if (filename === "") report.lose("invalid");
    else if (seen.has(filename)) report.leaveOut("duplicate");
    else {
      const [issuer, subject] = [labelOf(report, row["issuer"]), labelOf(report, row["subject"])];
      addNumber(report, NOT_AFTER, { node, filename }, row["notafter"]);
      report.add(INFO, { node, filename, issuer, subject }, 1);
    }
    seen.add(filename);
  }
}
