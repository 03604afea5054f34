/** The rules as Prometheus' own tool sees them, their runbooks, and how the documents say to deploy them. */
import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { load } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/settings.ts";
import { PVE_COLLECTORS } from "../../src/pve/collectors.ts";
import { COLLECTORS } from "../../src/scrape/sources.ts";
import { describeWith, find, PROMTOOL } from "../support/debian.ts";
import { ALERTS, PROMETHEUS_DIRECTORY, RECORDINGS, ROOT, RULE_FILES } from "./files.ts";

const TESTS = join(PROMETHEUS_DIRECTORY, "tests");
const DOCUMENTS = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".md"))
  .map((name) => `docs/${name}`)
  .sort();

/** What a document tells its reader to run. */
function shellBlocks(document: string): string[] {
  const text = readFileSync(join(ROOT, document), "utf8");
  return [...text.matchAll(/^( *)```sh\n(.*?)^ *```$/gms)].map(([, indent = "", block = ""]) =>
    block.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  );
}
const RUNBOOKS = join(ROOT, "docs/runbooks");

function promtool(...args: string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([find(PROMTOOL) ?? PROMTOOL.command, ...args]);
  return { exitCode, output: `${stdout}${stderr}` };
}

describeWith([PROMTOOL], "promtool", () => {
  test.each(RULE_FILES)("accepts %s, also with its lint", (file) => {
    const { exitCode, output } = promtool("check", "rules", "--lint-fatal", join(PROMETHEUS_DIRECTORY, file));
    expect(output).toContain("SUCCESS");
    expect(exitCode).toBe(0);
  });

  test.each(readdirSync(TESTS))(
    "the unit tests in %s pass",
    (file) => {
      const { exitCode, output } = promtool("test", "rules", join(TESTS, file));
      expect(output).not.toContain("FAILED");
      expect(exitCode).toBe(0);
    },
    60_000,
  );
});

/** The YAML that a document gives, by its kind or else its first word; of several alike the last. */
const examplesOf = (document: string) =>
  new Map(
    [...readFileSync(join(ROOT, document), "utf8").matchAll(/^( *)```yaml\n(.*?)^ *```$/gms)].map(
      ([, indent = "", block = ""]) => {
        const text = block.replaceAll(new RegExp(`^${indent}`, "gm"), "");
        return [/^kind: (\w+)$/m.exec(text)?.[1] ?? text.slice(0, text.indexOf(":")), text];
      },
    ),
  );
const EXAMPLES = examplesOf("docs/csi.md");
/** docs/kubernetes.md, docs/mayastor.md and docs/proxmox-ve.md name the others, and those of plumbline itself. */
const OTHER_RULE_FILES = ["mayastor.rules.yml", "operator.rules.yml", "pve.rules.yml"];
const RULE_FILES_OF_CSI = RULE_FILES.filter((file) => !OTHER_RULE_FILES.includes(file));

describe("the examples of docs/csi.md", () => {
  const manifest = v.object({
    spec: v.object({
      template: v.object({
        metadata: v.object({ labels: v.record(v.string(), v.string()) }),
        spec: v.object({
          automountServiceAccountToken: v.literal(false),
          containers: v.tuple([
            v.object({
              command: v.array(v.string()),
              env: v.array(v.object({ name: v.string(), value: v.optional(v.string()) })),
              ports: v.tuple([v.object({ name: v.string(), containerPort: v.literal(9847) })]),
              securityContext: v.strictObject({
                runAsUser: v.literal(0),
                privileged: v.literal(false),
                allowPrivilegeEscalation: v.literal(false),
                readOnlyRootFilesystem: v.literal(true),
                capabilities: v.strictObject({
                  drop: v.tuple([v.literal("ALL")]),
                  add: v.tuple([v.literal("DAC_READ_SEARCH")]),
                }),
                seccompProfile: v.strictObject({ type: v.literal("RuntimeDefault") }),
              }),
              volumeMounts: v.array(
                v.object({
                  name: v.string(),
                  mountPath: v.string(),
                  readOnly: v.literal(true),
                  mountPropagation: v.optional(v.literal("HostToContainer")),
                }),
              ),
            }),
          ]),
          volumes: v.array(
            v.object({
              name: v.string(),
              hostPath: v.object({ path: v.string(), type: v.literal("Directory") }),
            }),
          ),
        }),
      }),
    }),
  });

  test("are the ones that are looked at here", () => {
    expect([...EXAMPLES.keys()]).toEqual([
      "DaemonSet",
      "SecurityContextConstraints",
      "scrape_configs",
      "PodMonitor",
    ]);
    for (const text of EXAMPLES.values()) expect(parse(text)).toBeObject();
  });

  test("the DaemonSet has the least rights, no token, and the kubelet root at its own path", () => {
    const { containers, volumes } = v.parse(manifest, parse(EXAMPLES.get("DaemonSet") ?? "")).spec.template
      .spec;
    const [{ volumeMounts, command, env }] = containers;
    const kubelet = volumeMounts.find(({ name }) => name === "kubelet");
    expect(kubelet?.mountPropagation).toBe("HostToContainer");
    expect(kubelet?.mountPath).toBe(volumes.find(({ name }) => name === "kubelet")?.hostPath.path ?? "");
    // What `kubectl exec` starts in the pod has the settings of the service, for there are none but these.
    expect(command).toEqual(["plumbline", "serve"]);
    expect(Object.fromEntries(env.map(({ name, value }) => [name, value]))).toEqual({
      NODE_NAME: undefined,
      PLUMBLINE_COLLECTOR_DISABLE_DEFAULTS: "true",
      PLUMBLINE_COLLECTOR_CSI: "true",
      PLUMBLINE_PATH_SYSFS: volumeMounts.find(({ name }) => name === "sys")?.mountPath,
    });
    const configuration = readFileSync(join(ROOT, "docs/configuration.md"), "utf8");
    expect(env.filter(({ name }) => !configuration.includes(`\`${name}\``))).toEqual([]);
  });

  test("the PodMonitor finds the pods of the DaemonSet, and gives their series the job and node of the rules", () => {
    const { template } = v.parse(manifest, parse(EXAMPLES.get("DaemonSet") ?? "")).spec;
    const monitor = {
      spec: {
        selector: { matchLabels: template.metadata.labels },
        podMetricsEndpoints: [
          {
            port: template.spec.containers[0].ports[0].name,
            honorLabels: true,
            relabelings: [
              { sourceLabels: ["__meta_kubernetes_pod_node_name"], targetLabel: "node" },
              { targetLabel: "job", replacement: "plumbline" },
            ],
          },
        ],
      },
    };
    expect(parse(EXAMPLES.get("PodMonitor") ?? "")).toMatchObject(monitor);
  });

  test("the loop over the files of rules makes a PrometheusRule of each", () => {
    const loop = shellBlocks("docs/csi.md").find((block) => block.includes("PrometheusRule")) ?? "";
    const { stdout } = Bun.spawnSync(["bash", "-ec", `kubectl() { cat; echo ---; }\n${loop}`], { cwd: ROOT });
    const made = stdout
      .toString()
      .split(/^---\n/m)
      .slice(0, -1);
    expect(made.map((text) => parse(text))).toEqual(
      RULE_FILES_OF_CSI.toSorted(
        (a, b) => loop.indexOf(a.split(".")[0] ?? "") - loop.indexOf(b.split(".")[0] ?? ""),
      ).map((file) => ({
        apiVersion: "monitoring.coreos.com/v1",
        kind: "PrometheusRule",
        metadata: { name: `plumbline-${file.split(".")[0]}`, namespace: "plumbline" },
        spec: parse(readFileSync(join(PROMETHEUS_DIRECTORY, file), "utf8")),
      })),
    );
  });

  describeWith([PROMTOOL], "with promtool", () => {
    test("the configuration of Prometheus is valid, and the files of rules that it names are those about a node", () => {
      expect(ruleFilesOf(EXAMPLES)).toEqual(RULE_FILES_OF_CSI);
    });
  });
});

/** Those that the document's configuration of Prometheus names, which promtool finds to be valid. */
function ruleFilesOf(examples: ReadonlyMap<string, string>): string[] {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-rules-"));
  try {
    for (const file of RULE_FILES) copyFileSync(join(PROMETHEUS_DIRECTORY, file), join(directory, file));
    // Debian's Prometheus is built without the discovery of Kubernetes.
    const config = (examples.get("scrape_configs") ?? "").replaceAll(
      /kubernetes_sd_configs: \[.*\]$/gm,
      'static_configs: [{ targets: ["localhost:9847"] }]',
    );
    writeFileSync(join(directory, "prometheus.yml"), config);
    const { exitCode, output } = promtool("check", "config", join(directory, "prometheus.yml"));
    expect(output).not.toContain("FAILED");
    expect(exitCode).toBe(0);
    return v.parse(v.object({ rule_files: v.array(v.string()) }), parse(config)).rule_files.toSorted();
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describeWith([PROMTOOL], "with promtool, the examples of docs/kubernetes.md", () => {
  test("the configuration of Prometheus is valid and names the rules", () => {
    const names = ["csi", "ebs", "nvme", "operator", "plumbline"];
    expect(ruleFilesOf(examplesOf("docs/kubernetes.md"))).toEqual(names.map((name) => `${name}.rules.yml`));
  });
});

describe("the examples of docs/mayastor.md", () => {
  const examples = examplesOf("docs/mayastor.md");
  const text = readFileSync(join(ROOT, "docs/mayastor.md"), "utf8");
  const deployment = v.object({
    metadata: v.object({ name: v.string(), namespace: v.string() }),
    spec: v.object({
      template: v.object({
        metadata: v.object({ labels: v.record(v.string(), v.string()) }),
        spec: v.strictObject({
          automountServiceAccountToken: v.literal(false),
          containers: v.tuple([
            v.object({
              command: v.array(v.string()),
              env: v.array(v.object({ name: v.string(), value: v.string() })),
              ports: v.tuple([v.object({ name: v.string(), containerPort: v.literal(9847) })]),
              securityContext: v.strictObject({
                runAsNonRoot: v.literal(true),
                runAsUser: v.literal(65534),
                allowPrivilegeEscalation: v.literal(false),
                readOnlyRootFilesystem: v.literal(true),
                capabilities: v.strictObject({ drop: v.tuple([v.literal("ALL")]) }),
                seccompProfile: v.strictObject({ type: v.literal("RuntimeDefault") }),
              }),
            }),
          ]),
        }),
      }),
    }),
  });
  const { metadata, spec } = v.parse(deployment, parse(examples.get("Deployment") ?? ""));
  const [{ command, env, ports }] = spec.template.spec.containers;

  test("the Deployment has no rights and no token, and its settings are ones that plumbline takes", () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(ROOT, "src/main.ts"), "check", "--output=json"],
      {
        encoding: "utf8",
        env: {
          PATH: process.env["PATH"],
          ...Object.fromEntries(env.map(({ name, value }) => [name, value])),
          // Nobody is asked.
          PLUMBLINE_MAYASTOR_ENDPOINT: "http://127.0.0.1:1",
        },
      },
    );
    expect(command).toEqual(["plumbline", "serve"]);
    expect({ status, stderr }).toMatchObject({ status: 1 });
    for (const resource of ["nodes", "pools", "volumes", "replicas"])
      expect(stdout).toContain(`Mayastor's ${resource}`);
  });

  test("the additions name variables that plumbline has", () => {
    const configuration = readFileSync(join(ROOT, "docs/configuration.md"), "utf8");
    const named = [...text.matchAll(/\b((?:PLUMBLINE|MAYASTOR)_[A-Z_]+)\b/g)].map(([, name = ""]) => name);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !configuration.includes(`\`${name}\``))).toEqual([]);
  });

  test("every block of YAML is one", () => {
    for (const [, block = ""] of text.matchAll(/^```yaml\n(.*?)^```$/gms)) expect(parse(block)).toBeObject();
  });

  test("the PodMonitor and the runbooks find the Deployment", () => {
    expect(parse(examples.get("PodMonitor") ?? "")).toMatchObject({
      metadata: { namespace: metadata.namespace },
      spec: {
        selector: { matchLabels: spec.template.metadata.labels },
        podMetricsEndpoints: [{ port: ports[0].name, honorLabels: true }],
      },
    });
    const runbook = readFileSync(join(RUNBOOKS, "MayastorFetchFailing.md"), "utf8");
    expect(runbook).toContain(`NS=${metadata.namespace}\n`);
    expect(runbook).toContain(`-n $NS deployment/${metadata.name} `);
  });

  describeWith([PROMTOOL], "with promtool", () => {
    test("the configuration of Prometheus is valid and names the rules", () => {
      expect(ruleFilesOf(examples)).toEqual(["mayastor.rules.yml", "plumbline.rules.yml"]);
    });
  });
});

describe("the examples of docs/proxmox-ve.md", () => {
  const examples = examplesOf("docs/proxmox-ve.md");
  const settings = (config: string): Settings => {
    const directory = mkdtempSync(join(tmpdir(), "plumbline-settings-"));
    try {
      writeFileSync(join(directory, "pve-token"), "5f1c7a90-secret");
      writeFileSync(join(directory, "plumbline.yml"), config.replaceAll("/etc/plumbline", directory));
      const names = COLLECTORS.map(({ name }) => name);
      return load({ "config.file": join(directory, "plumbline.yml") }, {}, names).settings;
    } finally {
      rmSync(directory, { recursive: true });
    }
  };

  test("the configuration is one that plumbline takes", () => {
    const { pve } = settings(examples.get("pve") ?? "");
    expect(pve.targets).toMatchObject([
      { name: "home", collectors: { backups: true }, configGuestLimit: 500 },
    ]);
  });

  test("the table of collectors has each, with its defaults", () => {
    const rows = readFileSync(join(ROOT, "docs/proxmox-ve.md"), "utf8").matchAll(
      /^\| (`[a-z`, -]+`) \| (on|off) \| (on|off|–) \|/gm,
    );
    const told = [...rows].flatMap(([, names = "", metrics = "", pve = ""]) =>
      names.split(", ").map((name) => `${name.replaceAll("`", "")} ${metrics} ${pve}`),
    );
    const word = (isOn: boolean | undefined) => (isOn === undefined ? "–" : isOn ? "on" : "off");
    expect(told.toSorted()).toEqual(
      PVE_COLLECTORS.map(
        ({ name, defaults }) => `${name} ${word(defaults.metrics)} ${word(defaults.pve)}`,
      ).sort(),
    );
  });

  describeWith([PROMTOOL], "with promtool", () => {
    test("the configuration of Prometheus is valid and names the rules", () => {
      expect(ruleFilesOf(examples)).toEqual(["plumbline.rules.yml", "pve.rules.yml"]);
    });
  });
});

describe("the rules", () => {
  test("every file of rules has unit tests", () => {
    // What takes long to evaluate has a file of its own: pve-backups.test.yml.
    const tested = readdirSync(TESTS).map((file) => file.replace(/(-\w+)?\.test\.yml$/, ".rules.yml"));
    expect([...new Set(tested)].sort()).toEqual([...RULE_FILES]);
  });

  test("the alerts about CSI volumes have the names, times and severities that users know", () => {
    const csi = ALERTS.filter(({ alert }) => alert.startsWith("CSIVolume"));
    expect(csi.map(({ alert, for: wait, labels }) => [alert, wait, labels.severity])).toEqual([
      ["CSIVolumeMultipathDegraded", "5m", "warning"],
      ["CSIVolumeMultipathLost", "1m", "critical"],
      ["CSIVolumeNVMeSubsystemDegraded", "5m", "warning"],
      ["CSIVolumeNVMeSubsystemLost", "1m", "critical"],
      ["CSIVolumeDeviceGone", "2m", "critical"],
      ["CSIVolumeMultipathUnknown", "15m", "warning"],
      ["CSIVolumeDeviceExporterDown", "5m", "warning"],
    ]);
  });

  test("the alerts about Mayastor have the names, times and severities that users know", () => {
    const mayastor = ALERTS.filter(({ alert }) => alert.startsWith("Mayastor"));
    expect(mayastor.map(({ alert, for: wait, labels }) => [alert, wait, labels.severity])).toEqual([
      ["MayastorNodeDown", "5m", "critical"],
      ["MayastorNodeDrainSlow", "1h", "warning"],
      ["MayastorPoolNotOnline", "10m", "warning"],
      ["MayastorPoolNearlyFull", "15m", "warning"],
      ["MayastorVolumeDegraded", "15m", "warning"],
      ["MayastorVolumeFaulted", "2m", "critical"],
      ["MayastorVolumeUnknown", "5m", "critical"],
      ["MayastorRebuildStalled", undefined, "warning"],
      ["MayastorFetchFailing", "5m", "warning"],
    ]);
  });

  test("the alerts about the operator, its exporters and its aggregate have the names, times and severities that users know", () => {
    const operator = ALERTS.filter(({ alert }) => /^Plumbline(Aggregate|Exporter|Operator)/.test(alert));
    expect(operator.map(({ alert, for: wait, labels }) => [alert, wait, labels.severity])).toEqual([
      ["PlumblineOperatorDown", "10m", "warning"],
      ["PlumblineOperatorWithoutLeader", "10m", "warning"],
      ["PlumblineOperatorReconcileFailing", "10m", "warning"],
      ["PlumblineOperatorSpecInvalid", "5m", "warning"],
      ["PlumblineOperatorDriftFight", "10m", "warning"],
      ["PlumblineOperatorWatchFailing", "10m", "warning"],
      ["PlumblineExporterDown", "15m", "warning"],
      ["PlumblineExporterFailing", "15m", "warning"],
      ["PlumblineAggregateDown", "10m", "warning"],
      ["PlumblineAggregateIncomplete", "5m", "warning"],
      ["PlumblineAggregateNodeMissing", "5m", "warning"],
    ]);
  });

  test("no two alerts have one name", () => {
    expect(new Set(ALERTS.map(({ alert }) => alert)).size).toBe(ALERTS.length);
  });

  test.each(RECORDINGS.map(({ record }) => record))("%s is named level:metric:operations", (record) => {
    expect(record).toMatch(/^[a-z_]+:[a-z_]+:[a-z0-9_]+$/);
  });

  test.each(ALERTS.map(({ alert }) => alert))("%s has a unit test that expects it", (alert) => {
    const texts = readdirSync(TESTS).map((file) => readFileSync(join(TESTS, file), "utf8"));
    expect(texts.join("\n")).toMatch(
      new RegExp(`alertname: ${alert}\\b[^\\n]*(?:\\n +exp_alerts:[^\\[\\n]*\\n| exp_alerts: [&*])`),
    );
  });
});

describe("the runbooks", () => {
  const files = readdirSync(RUNBOOKS).filter((name) => name !== "README.md");

  test("there is one for each alert, and for nothing else", () => {
    expect(files.toSorted()).toEqual(ALERTS.map(({ alert }) => `${alert}.md`).toSorted());
  });

  test.each(ALERTS)("runbook_url of $alert is the path of its page", ({ alert, annotations }) => {
    expect(annotations.runbook_url).toBe(`docs/runbooks/${alert}.md`);
    expect(existsSync(join(ROOT, annotations.runbook_url))).toBe(true);
  });

  test.each(files)("%s bears its alert's name and says meaning, impact, diagnosis and mitigation", (file) => {
    const text = readFileSync(join(RUNBOOKS, file), "utf8");
    expect(text.match(/^#+ .*/gm)).toEqual([
      `# ${file.replace(".md", "")}`,
      "## Meaning",
      "## Impact",
      "## Diagnosis",
      "## Mitigation",
    ]);
  });

  test("the index lists every page", () => {
    const index = readFileSync(join(RUNBOOKS, "README.md"), "utf8");
    expect(files.filter((file) => !index.includes(`(${file})`))).toEqual([]);
  });

  test.each(
    files.filter((file) => /^(CSIVolume|Mayastor|Plumbline(Aggregate|Exporter|Operator))/.test(file)),
  )("%s needs kubectl and public images, and nothing else", (file) => {
    const text = readFileSync(join(RUNBOOKS, file), "utf8");
    const blocks = shellBlocks(`docs/runbooks/${file}`);
    expect(blocks.length).toBeGreaterThan(0);
    const commands = blocks
      .join("\n")
      // What a shell in the container gets, on however many lines.
      .replaceAll(/'[^']*'/g, "''")
      .replaceAll("\\\n", " ")
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "" && !/^[A-Z]+=\S+( +[A-Z]+=\S+)*$/.test(line));
    expect(commands.filter((line) => !line.startsWith("kubectl "))).toEqual([]);
    const images = [...text.matchAll(/--image=(\S+)/g)].map(([, image = ""]) => image);
    expect(
      images.filter((image) => !/^(docker\.io\/library|quay\.io|registry\.k8s\.io)\//.test(image)),
    ).toEqual([]);
  });
});

describe("the documents", () => {
  test.each(DOCUMENTS)(
    "the commands in %s are whole for a shell, also those for the shell of a container",
    (document) => {
      for (const block of shellBlocks(document)) {
        const inner = [...block.matchAll(/\bsh -e?c\s+'([^']*)'/g)].map(([, script = ""]) => script);
        for (const script of [block, ...inner]) {
          const { exitCode, stderr } = Bun.spawnSync(["bash", "-n", "-c", script]);
          expect({ script, exitCode, stderr: stderr.toString() }).toEqual({
            script,
            exitCode: 0,
            stderr: "",
          });
        }
      }
    },
  );

  /** As the pages of a Git forge name the headings of a document. */
  const anchorsOf = (text: string): string[] =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    );

  test.each(DOCUMENTS)("the links in %s lead to what is there", (document) => {
    const text = readFileSync(join(ROOT, document), "utf8");
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)];
    const broken = links.filter(([, path = "", anchor]) => {
      const target = path === "" ? join(ROOT, document) : join(ROOT, dirname(document), path);
      if (!existsSync(target)) return true;
      return anchor !== undefined && !anchorsOf(readFileSync(target, "utf8")).includes(anchor);
    });
    expect(broken.map(([link]) => link)).toEqual([]);
  });
});
