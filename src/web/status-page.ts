/** The page for people at `/`: what is collected, and how each collector's last run ended. No script is needed. */
import type { BuildInfo } from "../metrics/own.ts";
import type { Outcome } from "../scrape/scraper.ts";
import { Html, html } from "./html.ts";

export interface Status {
  readonly build: BuildInfo;
  readonly nodeName: string;
  readonly telemetryPath: string;
  /** Collectors that are enabled, in their order. */
  readonly collectors: readonly string[];
  readonly outcomes: readonly Outcome[];
  /** What hosts of Proxmox VE can be asked with on /pve. */
  readonly modules: readonly string[];
  readonly now: Date;
}

export function statusPage(status: Status): Response {
  return new Response(`<!doctype html>\n${page(status).text}`, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      // The page needs its own style and nothing else; whatever slipped past the escaping would not run.
      "content-security-policy":
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      "x-content-type-options": "nosniff",
    },
  });
}

function page(status: Status): Html {
  const { build, nodeName, telemetryPath } = status;
  // Relative, so that they work behind a proxy that serves us below a path.
  const metrics = telemetryPath.slice(1);
  return html`<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>plumbline on ${nodeName}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>plumbline</h1>
<p>Metrics of the storage under virtual machines and pods, on <strong>${nodeName}</strong></p>
</header>
<nav>
<a href="${metrics}">Metrics</a>
<a href="-/healthy">Health</a>
<a href="-/ready">Readiness</a>
</nav>
<main>
${status.modules.length > 0 && status.collectors.length === 0 ? undefined : collectorSection(status, metrics)}
${status.modules.length === 0 ? undefined : hostSection(status.modules)}
<h2>About</h2>
<dl>
<dt>Version</dt><dd>${build.version}</dd>
<dt>Revision</dt><dd><code>${build.revision}</code></dd>
<dt>Runtime</dt><dd>${build.runtime} ${build.runtimeVersion}</dd>
</dl>
<p><code>plumbline metrics</code> prints what each metric means, <code>plumbline check</code> why a collector is on or off and what it lacks.</p>
</main>
</body>
</html>
`;
}

const collectorSection = (status: Status, metrics: string): Html => html`<h2>Collectors</h2>
${collectorTable(status, metrics)}`;

const hostSection = (modules: readonly string[]): Html => html`<h2>Proxmox VE</h2>
<p><code>${"/pve?target=HOST&module=NAME"}</code> asks the host that it names, and tells what happened with <code>${"&debug=true"}</code>. Modules: ${modules.join(", ")}</p>`;

function collectorTable({ collectors, outcomes, now }: Status, metrics: string): Html {
  if (collectors.length === 0)
    return html`<p>No collector is enabled on this host. <code>plumbline check</code> tells why.</p>`;
  const last = new Map(outcomes.map((outcome) => [outcome.collector, outcome]));
  return html`<div class="table"><table>
<thead><tr><th>Collector</th><th>Last result</th><th>When</th><th class="n">Duration</th><th class="n">Samples</th></tr></thead>
<tbody>
${collectors.map((name) => collectorRow(name, last.get(name), now, metrics))}</tbody>
</table></div>`;
}

function collectorRow(name: string, outcome: Outcome | undefined, now: Date, metrics: string): Html {
  const link = html`<a href="${metrics}?collect[]=${encodeURIComponent(name)}">${name}</a>`;
  if (outcome === undefined)
    return html`<tr><th>${link}</th><td><span class="wait">not yet run</span></td><td></td><td></td><td></td></tr>
`;
  const { success, error, at, durationMs, samples } = outcome;
  const result = success ? html`<span class="ok">ok</span>` : html`<span class="bad">failed</span>`;
  const reason = error === undefined ? undefined : html`<p class="error">${error}</p>`;
  return html`<tr><th>${link}</th><td>${result}${reason}</td><td><time datetime="${at.toISOString()}" title="${at.toISOString()}">${ago(at, now)}</time></td><td class="n">${duration(durationMs)}</td><td class="n">${samples}</td></tr>
`;
}

function ago(at: Date, now: Date): string {
  const seconds = Math.max(0, Math.round((now.getTime() - at.getTime()) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min ago`;
  return `${Math.round(minutes / 60)} h ago`;
}

const duration = (ms: number): string => (ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`);

const STYLE = new Html(`
:root{color-scheme:light dark;--ink:#1c2430;--dim:#5c6673;--line:#d9dee5;--paper:#fff;--card:#f6f8fa;--link:#0b5cad;--ok:#116b3c;--bad:#b3261e;--wait:#8a5a00}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ee;--dim:#97a1ae;--line:#333b46;--paper:#12161c;--card:#1a2028;--link:#7db7f5;--ok:#5fd08f;--bad:#ff8a80;--wait:#f0c36a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:2rem 1.25rem;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
h1{margin:0;font-size:1.75rem}
h2{margin:2rem 0 .5rem;font-size:1.15rem}
header p{margin:.25rem 0 0;color:var(--dim)}
a{color:var(--link)}
nav{display:flex;flex-wrap:wrap;gap:.5rem;margin-top:1rem}
nav a{padding:.35rem .9rem;border:1px solid var(--line);border-radius:.4rem;background:var(--card);text-decoration:none}
nav a:hover{border-color:var(--link)}
.table{overflow-x:auto}
table{width:100%;border-collapse:collapse}
th,td{padding:.5rem .75rem .5rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;font-weight:normal}
thead th{color:var(--dim);font-size:.875rem}
tbody th{font-weight:600}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
time{white-space:nowrap}
.ok{color:var(--ok)}.bad{color:var(--bad);font-weight:600}.wait{color:var(--wait)}
.error{margin:.15rem 0 0;color:var(--dim);font-size:.875rem;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.5rem;margin:0}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
code{font:.9em ui-monospace,monospace}
`);
