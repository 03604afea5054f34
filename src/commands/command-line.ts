/** The words and flags, made from the schema of the configuration and the list of collectors. */
import { Command, CommanderError, Help, Option } from "commander";
import { type Catalogue, catalogue, type Setting } from "../config/catalogue.ts";
import { environment } from "../config/environment.ts";
import { ConfigError } from "../config/error.ts";
import { defaultUnder, type FlagValues, type Loaded, load, type Program } from "../config/load.ts";
import { nearest } from "../config/nearest.ts";
import { writeStandardError } from "../log/standard-error.ts";
import type { CollectorDescription } from "../metrics/collector.ts";
import { print } from "./print.ts";

const WRONG_USAGE = 2;

/** Runs the command; resolves to the exit code. */
type Task = () => Promise<number>;

/** What the words ask for; or the exit code where all has been said: help, or what is wrong with the words. */
export function parse(
  words: readonly string[],
  collectors: readonly CollectorDescription[],
  program: Program = "plumbline",
): Task | number {
  const known = catalogue(collectors.map(({ name }) => name));
  let chosen: Task | undefined;
  const root = commandLine(known, collectors, program, (task) => {
    chosen = task;
  });
  const settled = words.map((word) => settledSwitch(word, known));
  refuseUnknownCollectors(settled, known, collectors);
  try {
    root.parse(startsCommand(settled) ? settled : ["serve", ...settled], { from: "user" });
    return chosen ?? WRONG_USAGE;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : WRONG_USAGE;
  }
}

/** `serve` is meant where the first word is a flag or missing; `--help` alone is about the whole program. */
function startsCommand([first]: readonly string[]): boolean {
  return first !== undefined && (!first.startsWith("-") || first === "--help" || first === "-h");
}

/** `--x=true` and `--x=false` of a switch as the flags that they mean. */
function settledSwitch(word: string, known: Catalogue): string {
  const [, flag, value] = /^--([^=]+)=(true|false)$/.exec(word) ?? [];
  const isSwitch = known.settings.some(
    (setting) => setting.kind === "switch" && flagsOf(setting).includes(flag ?? ""),
  );
  return isSwitch ? `--${value === "true" ? "" : "no-"}${flag}` : word;
}

function refuseUnknownCollectors(
  words: readonly string[],
  known: Catalogue,
  collectors: readonly CollectorDescription[],
): void {
  const names = collectors.map(({ name }) => name);
  const flags = known.settings.flatMap(flagsOf).flatMap((flag) => /^collector\.(.+)/.exec(flag)?.[1] ?? []);
  for (const word of words) {
    const [, flag, name] = /^(--(?:no-)?collector\.)([^=]+)/.exec(word) ?? [];
    if (name === undefined || flags.includes(name)) continue;
    const meant = nearest(name, flags);
    const list = `the collectors are ${names.join(", ")}`;
    const help = meant === undefined ? list : `did you mean ${flag}${meant}? (${list})`;
    const text = `there is no collector ${name} for ${flag}${name}; ${help}`;
    throw new ConfigError({ text, usage: true });
  }
}

/** Sections of the schema, by title, that a command's flags come from; or a single setting, by name. */
const SERVE = [
  "General",
  "HTTP service",
  "Scrapes",
  "Collectors",
  "Paths",
  "Amazon EBS",
  "CSI volumes",
  "Mayastor",
  "Proxmox VE",
  "Log",
];
const TEXTFILE = [
  "General",
  "Textfile",
  "State",
  "Scrapes",
  "Collectors",
  "Paths",
  "Amazon EBS",
  "CSI volumes",
  "Mayastor",
  "Proxmox VE",
  "Log",
];
const CHECK = [...SERVE, "Textfile", "State"];
const INSPECT = ["General", "Scrapes", "Paths", "Log"];
const OPERATOR = ["config.file", "Operator", "Scrapes", "Log"];

export function commandLine(
  known: Catalogue,
  collectors: readonly CollectorDescription[],
  program: Program,
  choose: (task: Task) => void,
): Command {
  const helpOf = new Map(collectors.map(({ name, help }) => [`collectors.${name}`, help]));
  const addFlags = (command: Command, sections: readonly string[]): Command => {
    for (const section of sections)
      for (const setting of known.settings.filter((setting) =>
        [setting.section, setting.name].includes(section),
      ))
        for (const option of options(setting, helpOf.get(setting.name), program)) command.addOption(option);
    return sections.length === 0 ? command : command.addHelpText("after", CLOSING);
  };
  const loadFor = (command: Command): Loaded =>
    load(
      flagValues(command, known),
      environment(),
      collectors.map(({ name }) => name),
      program,
    );

  const root = rootCommand(known);
  addFlags(root, SERVE);

  const serve = addFlags(
    subcommand(root, "serve", "Serve metrics over HTTP; what runs if no command is named"),
    SERVE,
  );
  serve.action(() =>
    choose(async () => (await import("./serve.ts")).run(loadFor(serve), () => loadFor(serve))),
  );

  const textfile = addFlags(
    subcommand(root, "textfile", "Collect once into a file for node_exporter's textfile collector"),
    TEXTFILE,
  );
  textfile.action(() => choose(async () => (await import("./textfile.ts")).run(loadFor(textfile))));

  const check = addFlags(
    subcommand(root, "check", "Tell what would be collected on this host, what would not, and why"),
    CHECK,
  ).addOption(outputOption("table", "json"));
  check.action(() =>
    choose(async () => (await import("./check.ts")).run(loadFor(check), outputOf(check, "json", "table"))),
  );

  const inspect = subcommand(root, "inspect", "Show one device, decoded").usage("nvme DEVICE [flags]");
  const nvme = addFlags(subcommand(inspect, "nvme", "Show the pages of one NVMe device, decoded"), INSPECT)
    .usage("DEVICE [flags]")
    .argument("<device>", "the device, such as /dev/nvme1")
    .addOption(outputOption("table", "json"))
    .option("--raw", "Show the pages in hexadecimal as well");
  nvme.action((device: string) =>
    choose(async () => {
      const { run } = await import("./inspect.ts");
      return run(loadFor(nvme), device, {
        output: outputOf(nvme, "json", "table"),
        raw: nvme.getOptionValue("raw") === true,
      });
    }),
  );

  const demo = addFlags(subcommand(root, "demo", "Serve simulated devices, for a look around"), SERVE).option(
    "--once",
    "Collect once, print the metrics and exit",
  );
  demo.action(() =>
    choose(async () =>
      (await import("./demo.ts")).run(loadFor(demo), () => loadFor(demo), {
        once: demo.getOptionValue("once") === true,
      }),
    ),
  );

  const operator = addFlags(
    subcommand(root, "operator", "Keep plumbline on every node of a Kubernetes cluster as declared"),
    OPERATOR,
  );
  operator.action(() => choose(async () => (await import("./operator.ts")).run(loadFor(operator))));

  const metrics = subcommand(root, "metrics", "Print the reference of all metrics").addOption(
    outputOption("markdown", "json"),
  );
  metrics.action(() =>
    choose(async () => (await import("./metrics.ts")).run(outputOf(metrics, "json", "markdown"))),
  );
  return root;
}

const CLOSING = `
Each flag has a variable: --log.level is PLUMBLINE_LOG_LEVEL.
The order is flag, environment, file, default.`;

function rootCommand(known: Catalogue): Command {
  return new Command("plumbline")
    .description("A Prometheus exporter for the storage under virtual machines and pods.")
    .usage("[command] [flags]")
    .helpCommand(false)
    .helpOption("-h, --help", "Show this help; COMMAND --help shows that of a command")
    .option("--version", "Show version, commit and runtime")
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError("See plumbline --help.")
    .showSuggestionAfterError(false)
    .configureHelp({
      formatHelp: commandsFirst,
      // Beside the longest flag, 80 columns leave hardly more.
      minWidthToWrap: 30,
      optionTerm: (option) =>
        HAS_OPPOSITE.has(option) ? option.flags.replace("--", "--[no-]") : option.flags,
      subcommandTerm: (command) => command.name(),
    })
    .configureOutput({
      writeOut: print,
      writeErr: writeStandardError,
      outputError: (text, write) =>
        write(`plumbline: ${complaint(text.replace(/^error: |\n$/g, ""), known)}\n`),
    });
}

/** The parts of a help stand apart by blank lines: usage, description, groups of flags, and the commands at the end. */
function commandsFirst(command: Command, helper: Help): string {
  const parts = Help.prototype.formatHelp.call(helper, command, helper).split("\n\n");
  const commands = parts.filter((part) => part.startsWith("Commands:"));
  const others = parts.filter((part) => !commands.includes(part));
  const ordered = [...others.slice(0, 2), ...commands, ...others.slice(2)];
  return `${ordered.map((part) => part.trimEnd()).join("\n\n")}\n`;
}

/** Commander's complaint with what helps; never with the value of a flag, which could be a secret. */
function complaint(text: string, known: Catalogue): string {
  const [, flag, value] = /^unknown option '(-[^'=]*)(=?)/.exec(text) ?? [];
  if (flag !== undefined) {
    const isSwitch = known.settings.some(
      (setting) => setting.kind === "switch" && `--${setting.flag}` === flag,
    );
    if (isSwitch && value !== "") return `${flag} takes no value but true and false`;
    const flags = ["help", "output", "raw", "once", "version", ...known.settings.map(({ flag }) => flag)];
    const name = flag.replace(/^--?(no-)?/, "");
    if (flags.includes(name)) return `${flag} is no flag of this command`;
    const meant = nearest(name, flags);
    return meant === undefined ? `unknown flag ${flag}` : `unknown flag ${flag}; did you mean --${meant}?`;
  }
  const [, word] = /^too many arguments.* but got \d+: ([^,]*)/.exec(text) ?? [];
  if (word !== undefined)
    return `unexpected word "${word.replace(/\.$/, "")}"; the command comes first, then its flags`;
  const [, command] = /^unknown command '(.*)'$/.exec(text) ?? [];
  if (command !== undefined) {
    const meant = nearest(command, COMMANDS);
    return `unknown command ${command}; ${meant === undefined ? `the commands are ${COMMANDS.join(", ")}` : `did you mean ${meant}?`}`;
  }
  return text;
}

const COMMANDS = ["serve", "textfile", "check", "inspect nvme", "demo", "operator", "metrics"];

function subcommand(parent: Command, name: string, description: string): Command {
  const path = parent.parent === null ? name : `${parent.name()} ${name}`;
  return parent
    .command(name)
    .description(description)
    .helpCommand(false)
    .helpOption("-h, --help", "Show this help")
    .usage("[flags]")
    .showHelpAfterError(`See plumbline ${path} --help.`);
}

/** Switches that `--no-…` turns off: one line in the help instead of two. */
const HAS_OPPOSITE = new WeakSet<Option>();

function options(setting: Setting, help: string | undefined, program: Program): Option[] {
  const { about, flag, section, kind } = setting;
  const value = kind === "switch" ? "" : ` <${about.placeholder ?? "value"}>`;
  const option = new Option(
    `--${flag}${value}`,
    `${help ?? about.description}${defaultOf(setting, program)}`,
  );
  option.helpGroup(`${section}:`);
  if (kind === "list")
    option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
  if (kind !== "switch") return [option];
  HAS_OPPOSITE.add(option);
  const hidden = [
    `--no-${flag}`,
    ...flagsOf(setting)
      .slice(1)
      .flatMap((other) => [`--${other}`, `--no-${other}`]),
  ];
  return [option, ...hidden.map((other) => new Option(other).hideHelp().helpGroup(`${section}:`))];
}

const flagsOf = ({ flag, about }: Setting): readonly string[] =>
  about.otherFlag === undefined ? [flag] : [flag, about.otherFlag];

function defaultOf({ name, about, fallback }: Setting, program: Program): string {
  const usual = fallback === undefined ? about.defaultText : String(fallback);
  const text = defaultUnder(program, name) ?? usual;
  return text === undefined || text === "false" ? "" : ` (default: ${text})`;
}

function outputOption(...choices: readonly [string, string]): Option {
  return new Option("--output <format>", "How to print").choices(choices).default(choices[0]);
}

const outputOf = <A extends string, B extends string>(command: Command, choice: A, otherwise: B): A | B =>
  command.getOptionValue("output") === choice ? choice : otherwise;

/** What was given on the command line, by the names that `load` knows. */
function flagValues(command: Command, known: Catalogue): FlagValues {
  const given: Record<string, string | boolean | readonly string[]> = {};
  for (const flag of known.settings.flatMap(flagsOf)) {
    const option = command.options.find(({ long }) => long === `--${flag}`);
    if (option === undefined || command.getOptionValueSource(option.attributeName()) !== "cli") continue;
    const value: unknown = command.getOptionValue(option.attributeName());
    if (typeof value === "string" || typeof value === "boolean") given[flag] = value;
    else if (Array.isArray(value)) given[flag] = value.map(String);
  }
  return given;
}
