/** The reference of the configuration for people, `docs/configuration.md`, made from the schema. */
import * as v from "valibot";
import { aboutOf, catalogue, choicesOf, entriesOf, type Setting } from "./catalogue.ts";
import { targetSchema } from "./pve-schema.ts";

/** A collector as far as its switch needs it. */
interface CollectorHelp {
  readonly name: string;
  readonly help: string;
}

export function configurationMarkdown(collectors: readonly CollectorHelp[]): string {
  const { settings } = catalogue(collectors.map(({ name }) => name));
  const help = new Map(collectors.map((collector) => [`collectors.${collector.name}`, collector.help]));
  const sections = [...new Set(settings.map(({ section }) => section))];
  return [
    INTRODUCTION,
    ...sections.map((section) =>
      sectionMarkdown(
        section,
        settings.filter((setting) => setting.section === section),
        help,
      ),
    ),
    exampleMarkdown(settings),
    targetsMarkdown(),
  ].join("\n\n");
}

const INTRODUCTION = `# Configuration

<!-- Made from src/config/schema.ts by \`bun run docs\`; change that file, not this one. -->

plumbline runs without any configuration. What is set is taken from, in this order:

1. the flag,
2. the environment variable (an empty one counts as not set),
3. the configuration file that \`--config.file\` names,
4. the environment variables that are marked as standing behind the file,
5. the default.

\`plumbline check\` prints every setting with its value and where it came from.

Switches are turned off by \`--no-\` before the name: \`--no-collector.nvme\`. Durations are written \`10s\`, \`500ms\`,
\`1m30s\`, or as a number of seconds.

The file is YAML, at most 1 MiB. A key without a value counts as not set, an empty file as none; an unknown key, a key
that stands twice or a value of the wrong type is an error that names file, line and column.
[plumbline.schema.json](plumbline.schema.json) describes the file to editors: begin it with
\`# yaml-language-server: $schema=plumbline.schema.json\`. SIGHUP and \`POST /-/reload\` read it again; if it is wrong, what
was in force stays in force.

The format of \`--web.config.file\` (TLS, client certificates, basic authentication, headers) is that of Prometheus'
[exporter-toolkit](https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md).`;

function sectionMarkdown(
  title: string,
  settings: readonly Setting[],
  help: ReadonlyMap<string, string>,
): string {
  return [
    `## ${title}`,
    "",
    "| in the file | flag | variables | default | meaning |",
    "|---|---|---|---|---|",
    ...settings.map((setting) => row(setting, help.get(setting.name))),
  ].join("\n");
}

function row(
  { path, name, flag, kind, variables, about, fallback }: Setting,
  help: string | undefined,
): string {
  const cells = [
    path.length === 0 ? "" : code(name),
    code(kind === "switch" ? `--[no-]${flag}` : `--${flag}`) + (kind === "list" ? " (repeatable)" : ""),
    variables.map(({ name, afterFile }) => code(name) + (afterFile ? " (behind the file)" : "")).join(", "),
    fallback === undefined ? (about.defaultText ?? "") : code(String(fallback)),
    help ?? about.description,
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

const code = (text: string) => `\`${text}\``;

/** What each item of `pve.targets` holds; it has neither flags nor variables. */
function targetsMarkdown(): string {
  return [
    "## Targets of Proxmox VE",
    "",
    "The file alone names them, as the list `pve.targets`; each is one cluster. Bold keys must be there, and with them",
    "`token_name` and the token's secret, or a password.",
    "",
    "| key | default | meaning |",
    "|---|---|---|",
    ...targetRows(targetSchema([]), ""),
    "| `collectors.NAME` | as for all targets | `true` or `false`: switch the collector `pve-NAME` on or off for this target |",
    "",
    "```yaml",
    EXAMPLE_TARGET,
    "```",
    "",
    "## Modules of /pve",
    "",
    "How `/pve` logs in stands in a `pve.yml`, the file of prometheus-pve-exporter, which `pve.modules_file` names; it may",
    "stand in the place of `--config.file` as well. Where the variable `PVE_USER` is set, the variables `PVE_USER`,",
    "`PVE_PASSWORD`, `PVE_TOKEN_NAME`, `PVE_TOKEN_VALUE`, `PVE_VERIFY_SSL` and `PVE_MODULE` stand in the place of the whole",
    "file. The flags of its collectors go without `pve-` too: `--no-collector.config`. Called as `pve_exporter`, plumbline",
    "listens at `[::]:9221`, reads `/etc/prometheus/pve.yml` and collects nothing else.",
    "",
  ].join("\n");
}

function targetRows(schema: v.GenericSchema, prefix: string): string[] {
  const section = choicesOf(schema)?.find((choice) => entriesOf(choice) !== undefined) ?? schema;
  return Object.entries(entriesOf(section) ?? {}).flatMap(([key, entry]) => {
    const about = aboutOf(entry);
    if (about === undefined) return targetRows(entry, `${prefix}${key}.`);
    const fallback: unknown = v.getDefault(entry);
    const name = entry.type === "optional" ? code(prefix + key) : `**${code(prefix + key)}**`;
    const shown = fallback === undefined ? (about.defaultText ?? "") : code(JSON.stringify(fallback));
    return [`| ${name} | ${shown} | ${about.description} |`];
  });
}

const EXAMPLE_TARGET = `pve:
  targets:
    - name: home
      endpoints: [pve1.lan, pve2.lan:8006]
      user: plumbline@pve
      token_name: metrics
      token_file: /run/secrets/pve
      ca_file: /etc/pve/pve-root-ca.pem
      collectors:
        physical-disks: { smart_interval: 6h, exclude_nodes: [pve3] }
        config: { guest_limit: 1000 }
        backups: true`;

/** A file in which every setting has its default, or stands as a comment where it has none. */
function exampleMarkdown(settings: readonly Setting[]): string {
  const lines: string[] = [];
  let open = "";
  for (const { path, fallback, about } of settings) {
    const [section, key] = path;
    if (section === undefined) continue;
    if (key !== undefined && section !== open) lines.push(`${section}:`);
    open = section;
    const indent = key === undefined ? "" : "  ";
    const name = `${key ?? section}:`;
    lines.push(
      fallback === undefined
        ? `${indent}# ${name}   (${about.defaultText ?? "not set"})`
        : `${indent}${name} ${JSON.stringify(fallback)}`,
    );
  }
  return `## The whole file with its defaults\n\n\`\`\`yaml\n${lines.join("\n")}\n\`\`\``;
}
