/** What the documents name exists: metrics, flags, files, commands. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { catalogue } from "../src/config/catalogue.ts";
import { OPERATOR_METRICS } from "../src/kubernetes/reference.ts";
import { reference } from "../src/metrics/reference.ts";
import { COLLECTORS } from "../src/scrape/sources.ts";

const ROOT = join(import.meta.dir, "..");
const DOCUMENTS = [
  "README.md",
  "systemd/README.md",
  "deploy/debian/README.md",
  ...readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
  ...readdirSync(join(ROOT, "docs/runbooks")).map((name) => `docs/runbooks/${name}`),
];
const text = (document: string) => readFileSync(join(ROOT, document), "utf8");
const found = (document: string, pattern: RegExp) =>
  [...text(document).matchAll(pattern)].map(([, one]) => one ?? "");

/** Names of other exporters, which docs/migrating.md sets beside ours. */
const OF_OTHERS = new Set(["nvme_critical_warning_total", "nvme_controller_busy_time", "nvme_metrics"]);

const METRICS = new Set(
  reference(COLLECTORS, OPERATOR_METRICS)
    .flatMap(({ metrics }) => metrics)
    .flatMap(({ name, type }) =>
      type === "histogram" ? [name, `${name}_bucket`, `${name}_count`, `${name}_sum`] : [name],
    ),
);

/** The names in runbooks, where those of other exporters and of rules stand too, are the business of test/deploy. */
const ABOUT_OURS = DOCUMENTS.filter((name) => !name.startsWith("docs/runbooks/"));

test.each(ABOUT_OURS)("%s names no metric that is not exported", (document) => {
  const named = found(
    document,
    /(?<![\w/.-])((?:nvme|ebs|ec2_instance_store|csi_volume|plumbline)_[a-z0-9_]*[a-z0-9])(?![\w*…])/g,
  );
  expect(named.filter((name) => !METRICS.has(name) && !OF_OTHERS.has(name))).toEqual([]);
});

const { settings } = catalogue(COLLECTORS.map(({ name }) => name));
const FLAGS = new Set([
  ...settings.flatMap(({ flag, about, kind }) =>
    [flag, about.otherFlag ?? flag].flatMap((name) => (kind === "switch" ? [name, `no-${name}`] : [name])),
  ),
  ...["output", "raw", "once", "version", "help"],
]);
/** Of systemd's and Prometheus' programs, and stand-ins. */
const FLAGS_OF_OTHERS = new Set([
  "now",
  "create",
  "collector.nvmesubsystem",
  "collector.diskstats.device-exclude",
  ...["collector.NAME", "no-collector.NAME", "collector.pve-NAME", "no-collector.pve-NAME"],
  // pveum, pvesh, pvesm, qm, ha-manager, vzdump, curl
  ...["users", "tokens", "roles", "privs", "privsep", "comment", "all", "cacert", "content", "disk-usage"],
  ...[
    "fingerprint",
    "limit",
    "nodes",
    "onboot",
    "purge",
    "restart",
    "show",
    "state",
    "storage",
    "typefilter",
  ],
  ...["vacuum-size", "verbose", "vmid"],
  // kubectl, journalctl, aws
  ...[
    "field-selector",
    "from-file",
    "previous",
    "all-containers",
    "image",
    "profile",
    "force",
    "grace-period",
    "tail",
    "since",
    "volume-id",
    "iops",
    "throughput",
    "all",
    "as",
    "for",
    "list",
    "merge",
    "namespace",
    "platform",
    "prefix",
    "push",
    "recursive",
    "replicas",
    "show-managed-fields",
    "timeout",
    "type",
  ],
]);

test.each(DOCUMENTS)("%s names no flag that does not exist", (document) => {
  const named = found(document, /(?<![\w-])--(?:\[no-\])?([a-z][\w.-]*\w)(?![\w-])/g);
  expect(named.filter((flag) => !FLAGS.has(flag) && !FLAGS_OF_OTHERS.has(flag))).toEqual([]);
});

const VARIABLES = new Set(settings.flatMap(({ variables }) => variables.map(({ name }) => name)));
const UNITS = readdirSync(join(ROOT, "systemd"), { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(service|timer|conf|example)$/.test(name))
  .map((name) => `systemd/${name}`);

test.each([...DOCUMENTS, ...UNITS])("%s names no variable that plumbline warns of", (document) => {
  const named = found(document, /\b(PLUMBLINE_[A-Z_]*[A-Z])\b/g);
  expect(named.filter((name) => !VARIABLES.has(name))).toEqual([]);
});

test.each(DOCUMENTS)("%s links to files that exist", (document) => {
  const links = found(document, /\]\((?!https?:)([^)#]+)/g);
  expect(links.filter((link) => !existsSync(join(ROOT, dirname(document), link)))).toEqual([]);
});

test.each(DOCUMENTS)("%s names no script that package.json lacks", (document) => {
  const named = found(document, /\bbun(?:@[\d.]+)? run ([a-z]+(?::[a-z]+)?)/g);
  const scripts = new Set(Object.keys(packageJson.scripts));
  expect(named.filter((name) => !scripts.has(name))).toEqual([]);
});
