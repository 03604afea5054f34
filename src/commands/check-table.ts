/** The report of `check` for people: a column for the verdict, a column for the subject, the rest is wrapped text. */
import type { Origin } from "../config/load.ts";
import type { Finding } from "../metrics/collector.ts";
import type { Report } from "./check.ts";

export interface Terminal {
  readonly columns: number;
  readonly colour: boolean;
}

type Colour = "green" | "yellow" | "red" | "bold" | "dim";
const CODES: Readonly<Record<Colour, number>> = { green: 32, yellow: 33, red: 31, bold: 1, dim: 2 };
type Paint = (text: string, colour: Colour) => string;

const VERDICT = {
  ok: { word: "ok", colour: "green" },
  warning: { word: "warning", colour: "yellow" },
  error: { word: "ERROR", colour: "red" },
} as const;

export function checkTable(report: Report, { columns, colour }: Terminal): string {
  const paint: Paint = (text, name) => (colour ? `\u001b[${CODES[name]}m${text}\u001b[0m` : text);
  const { version, runtime, node } = report;
  const heading = (text: string) => ["", paint(text, "bold")];
  const lines = [
    `plumbline ${version} (${runtime}) on ${node}`,
    ...heading("Collectors"),
    ...collectorLines(report, columns, paint),
    ...heading("Service"),
    ...findingLines(report.service, columns, paint),
    ...heading("Settings"),
    ...settingLines(report.settings, columns, paint),
    "",
    verdict(report, paint),
  ];
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

function collectorLines({ collectors }: Report, columns: number, paint: Paint): string[] {
  const width = widest(collectors.map(({ name }) => name));
  return collectors.flatMap(({ name, enabled, why, findings }) => [
    ...beside(
      `  ${name.padEnd(width)}  ${enabled ? paint("on ", "green") : paint("off", "dim")}  `,
      2 + width + 7,
      why,
      columns,
    ),
    ...findingLines(findings, columns, paint),
  ]);
}

const VERDICT_WIDTH = 7;
const MAX_SUBJECT = 32;

function findingLines(findings: readonly Finding[], columns: number, paint: Paint): string[] {
  const width = Math.min(MAX_SUBJECT, widest(findings.map(({ subject }) => subject)));
  const indent = 4 + VERDICT_WIDTH + 2;
  return findings.flatMap(({ level, subject, message, remedy }) => {
    const { word, colour } = VERDICT[level];
    const start = `    ${paint(word.padEnd(VERDICT_WIDTH), colour)}  `;
    const fits = subject.length <= width;
    const first = fits
      ? beside(`${start}${subject.padEnd(width)}  `, indent + width + 2, message, columns)
      : [
          `${start}${subject}`,
          ...beside(" ".repeat(indent + width + 2), indent + width + 2, message, columns),
        ];
    const cure = remedy === undefined ? [] : remedyLines(remedy, indent + width + 2, columns);
    return [...first, ...cure];
  });
}

/** Lines after the first are commands, which are not broken: they are to be copied. */
function remedyLines(remedy: string, indent: number, columns: number): string[] {
  const [first = "", ...commands] = remedy.split("\n");
  return [
    ...beside(" ".repeat(indent), indent, `→ ${first}`, columns),
    ...commands.map((command) => `        ${command}`),
  ];
}

function settingLines(settings: readonly Origin[], columns: number, paint: Paint): string[] {
  const names = widest(settings.map(({ name }) => name));
  const values = Math.min(28, widest(settings.map(({ value }) => value)));
  return settings.flatMap(({ name, value, from, detail }) => {
    const origin = detail === undefined ? from : `${from} ${detail}`;
    const painted = from === "default" ? paint(origin, "dim") : origin;
    const shown = value === "" ? "-" : value;
    const start = `  ${name.padEnd(names)}  `;
    if (shown.length <= values) return [`${start}${shown.padEnd(values)}  ${painted}`];
    return [
      ...beside(start, 2 + names + 2, shown, columns),
      `${" ".repeat(2 + names + 2 + values + 2)}${painted}`,
    ];
  });
}

function verdict({ works, collectors, service }: Report, paint: Paint): string {
  const findings = [...service, ...collectors.flatMap((collector) => collector.findings)];
  const errors = findings.filter(({ level }) => level === "error").length;
  if (!works) return paint(`${errors} ${errors === 1 ? "thing does" : "things do"} not work.`, "red");
  if (!collectors.some(({ enabled }) => enabled))
    return paint("No collector is on; nothing is wrong.", "yellow");
  return paint("All that is enabled works.", "green");
}

/** `start` takes `indent` columns on the screen; the text is wrapped at its right. */
function beside(start: string, indent: number, text: string, columns: number): string[] {
  const [first = "", ...rest] = wrapped(text, Math.max(20, columns - indent));
  return [start + first, ...rest.map((line) => " ".repeat(indent) + line)];
}

/** A word that is wider than the column stays whole: a path must be copyable. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.replace(/\s+/g, " ").trim().split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

const widest = (texts: readonly string[]) => Math.max(0, ...texts.map(({ length }) => length));
