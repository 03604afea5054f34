/** The rules as Prometheus' own tool sees them, their runbooks, and how docs/csi.md says to deploy them. */
import { describe, expect, test } from "bun:test";
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
import { join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { describeWith, find, PROMTOOL } from "../support/debian.ts";
import { ALERTS, PROMETHEUS_DIRECTORY, RECORDINGS, ROOT, RULE_FILES } from "./files.ts";

const TESTS = join(PROMETHEUS_DIRECTORY, "tests");
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

  test.each(readdirSync(TESTS))("the unit tests in %s pass", (file) => {
    const { exitCode, output } = promtool("test", "rules", join(TESTS, file));
    expect(output).not.toContain("FAILED");
    expect(exitCode).toBe(0);
  });
});

/** The YAML that docs/csi.md gives, by its kind or else its first word. */
const EXAMPLES = new Map(
  [...readFileSync(join(ROOT, "docs/csi.md"), "utf8").matchAll(/^( *)```yaml\n(.*?)^ *```$/gms)].map(
    ([, indent = "", block = ""]) => {
      const text = block.replaceAll(new RegExp(`^${indent}`, "gm"), "");
      return [/^kind: (\w+)$/m.exec(text)?.[1] ?? text.slice(0, text.indexOf(":")), text];
    },
  ),
);

describe("the examples of docs/csi.md", () => {
  const manifest = v.object({
    spec: v.object({
      template: v.object({
        spec: v.object({
          automountServiceAccountToken: v.literal(false),
          containers: v.tuple([
            v.object({
              command: v.array(v.string()),
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
      "spec",
    ]);
    for (const text of EXAMPLES.values()) expect(parse(text)).toBeObject();
  });

  test("the DaemonSet has the least rights, no token, and the kubelet root at its own path", () => {
    const { containers, volumes } = v.parse(manifest, parse(EXAMPLES.get("DaemonSet") ?? "")).spec.template
      .spec;
    const [{ volumeMounts, command }] = containers;
    const kubelet = volumeMounts.find(({ name }) => name === "kubelet");
    expect(kubelet?.mountPropagation).toBe("HostToContainer");
    expect(kubelet?.mountPath).toBe(volumes.find(({ name }) => name === "kubelet")?.hostPath.path ?? "");
    expect(command.slice(1)).toEqual([
      "serve",
      "--collector.disable-defaults",
      "--collector.csi",
      `--path.sysfs=${volumeMounts.find(({ name }) => name === "sys")?.mountPath}`,
    ]);
  });

  describeWith([PROMTOOL], "with promtool", () => {
    test("the configuration of Prometheus is valid, and the files of rules that it names are all there are", () => {
      const directory = mkdtempSync(join(tmpdir(), "plumbline-rules-"));
      try {
        for (const file of RULE_FILES) copyFileSync(join(PROMETHEUS_DIRECTORY, file), join(directory, file));
        // Debian's Prometheus is built without the discovery of Kubernetes.
        const config = (EXAMPLES.get("scrape_configs") ?? "").replaceAll(
          /kubernetes_sd_configs: \[.*\]$/gm,
          'static_configs: [{ targets: ["localhost:9847"] }]',
        );
        writeFileSync(join(directory, "prometheus.yml"), config);
        const { exitCode, output } = promtool("check", "config", join(directory, "prometheus.yml"));
        expect(output).not.toContain("FAILED");
        expect(exitCode).toBe(0);
        expect(
          v.parse(v.object({ rule_files: v.array(v.string()) }), parse(config)).rule_files.toSorted(),
        ).toEqual([...RULE_FILES]);
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  });
});

describe("the rules", () => {
  test("every file of rules has unit tests", () => {
    expect(RULE_FILES.map((file) => file.replace(".rules.yml", ".test.yml"))).toEqual(
      readdirSync(TESTS).sort(),
    );
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

  test.each(files.filter((file) => file.startsWith("CSIVolume")))(
    "%s needs kubectl and public images, and nothing else",
    (file) => {
      const text = readFileSync(join(RUNBOOKS, file), "utf8");
      const blocks = [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) => block);
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
    },
  );
});
