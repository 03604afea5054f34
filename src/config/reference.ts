/** The reference of the configuration for people, `docs/configuration.md`, made from the schema. */
import { catalogue, type Setting } from "./catalogue.ts";

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
  return `## The whole file with its defaults\n\n\`\`\`yaml\n${lines.join("\n")}\n\`\`\`\n`;
}
