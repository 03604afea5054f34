/** The manual page plumbline(1), made of what `--help` is made of. */
import type { Command, Option } from "commander";
import { commandLine } from "../src/commands/command-line.ts";
import { catalogue } from "../src/config/catalogue.ts";
import type { CollectorDescription } from "../src/metrics/collector.ts";

/** In troff, with the macros of man(7). */
export function manualPage(collectors: readonly CollectorDescription[]): string {
  const known = catalogue(collectors.map(({ name }) => name));
  const program = commandLine(known, collectors, "plumbline", () => undefined);
  const commands = commandsOf(program);
  const lines = [
    '.\\" Made by `bun run docs` from src/commands and src/config; change those, not this.',
    '.TH PLUMBLINE 1 "" plumbline "User Commands"',
    ".SH NAME",
    "plumbline \\- Prometheus exporter for the storage under virtual machines and pods",
    ".SH SYNOPSIS",
    ".B plumbline",
    `[\\fIcommand\\fR] [\\fIflags\\fR]`,
    ".SH COMMANDS",
    ...commands.flatMap(commandEntry),
    ".SH OPTIONS",
    ...program
      .createHelp()
      .visibleOptions(program)
      .filter(isOwn)
      .flatMap((option) => entry(program, option)),
    ".PP",
    "A flag is known to the commands whose",
    ".B \\-\\-help",
    "shows it.",
    ...flagSections(commands),
    REST,
  ];
  return `${lines.join("\n")}\n`;
}

/** The commands that can be run, `inspect nvme` for one. */
function commandsOf(command: Command): readonly Command[] {
  return command.commands.flatMap((inner) => (inner.commands.length > 0 ? commandsOf(inner) : [inner]));
}

function commandEntry(command: Command): string[] {
  const words = [];
  for (let at: Command | null = command; at?.parent; at = at.parent) words.unshift(at.name());
  const own = command.createHelp().visibleOptions(command).filter(isOwn);
  const options = own.filter(({ long }) => long !== "--help").flatMap((option) => entry(command, option));
  return [
    ".TP",
    `\\fB${escaped(words.join(" "))}\\fR ${escaped(command.usage())}`,
    sentence(command.description()),
    ...(options.length > 0 ? [".RS", ...options, ".RE"] : []),
  ];
}

/** Whether the option belongs to the command alone and is no setting. */
const isOwn = ({ helpGroupHeading }: Option): boolean => helpGroupHeading === undefined;

/** Each flag once, under the heading that it has in the help. */
function flagSections(commands: readonly Command[]): string[] {
  const sections = new Map<string, Map<string, string[]>>();
  for (const command of commands)
    for (const option of command.createHelp().visibleOptions(command)) {
      if (option.helpGroupHeading === undefined) continue;
      const section = sections.get(option.helpGroupHeading) ?? new Map<string, string[]>();
      section.set(option.flags, entry(command, option));
      sections.set(option.helpGroupHeading, section);
    }
  return [...sections].flatMap(([heading, flags]) => [
    `.SS ${escaped(heading.replace(/:$/, ""))}`,
    ...[...flags.values()].flat(),
  ]);
}

function entry(command: Command, option: Option): string[] {
  const helper = command.createHelp();
  const term = escaped(helper.optionTerm(option)).replace(/<(.+)>$/, "\\fI$1\\fB");
  return [".TP", `\\fB${term}\\fR`, sentence(helper.optionDescription(option))];
}

const REST = `.SH ENVIRONMENT
Each flag has a variable:
.B \\-\\-log.level
is
.BR PLUMBLINE_LOG_LEVEL .
The order is flag, environment, file, default.
.SH FILES
.TP
.I /etc/default/plumbline
Flags and variables of the units.
.TP
.I /etc/plumbline/plumbline.yml
The configuration that the units name.
.TP
.I /var/lib/plumbline
What is kept between two runs of
.BR "plumbline textfile" .
.SH SIGNALS
SIGHUP reads the configuration again; if it is wrong, what was in force stays in force.
.SH EXIT STATUS
0: done.
1: failed, or the configuration is wrong.
2: the words of the command line are wrong.
3:
.B textfile
with
.BR \\-\\-textfile.strict ,
where a collector failed.
.SH EXAMPLE
What would be collected on this host, what would not, and why:
.PP
.RS
.B plumbline check \\-\\-config.file=/etc/plumbline/plumbline.yml
.RE
.SH SEE ALSO
.BR prometheus-node-exporter (1),
.BR systemctl (1)`;

/** A line of running text; at its begin a dot or an apostrophe would be a request. */
function sentence(text: string): string {
  const line = escaped(text);
  return `${/^[.']/.test(line) ? "\\&" : ""}${line}${line.endsWith(".") ? "" : "."}`;
}

/** Backslashes stay visible, and hyphens remain what can be copied into a shell. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}
