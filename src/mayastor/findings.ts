/** What `plumbline check` says of Mayastor's REST service, and what to do where something is wrong. */
import type { Settings } from "../config/settings.ts";
import type { Finding, ScrapeContext } from "../metrics/collector.ts";
import { type FailureReason, RestFailure } from "../rest/failure.ts";
import type { ResourceFetch } from "./fetch.ts";
import { type Resource, Tally } from "./model.ts";
import type { Node } from "./nodes.ts";

/** Undefined: the resource is not asked for. */
export type Fetches = Readonly<Record<Exclude<Resource, "nodes">, Fetch<readonly unknown[]> | undefined>> & {
  readonly nodes: Fetch<readonly Node[]> | undefined;
};
type Fetch<T> = Pick<ResourceFetch<T>, "read">;

/** Each resource is fetched once. */
export async function findingsOf(
  { endpoint = "", insecureSkipVerify }: Settings["mayastor"],
  context: ScrapeContext,
  { nodes, pools, volumes, replicas }: Fetches,
): Promise<Finding[]> {
  const found = await Promise.all([
    told("nodes", context, nodes, aboutNodes),
    told("pools", context, pools, (list) => counted(list.length, "pool")),
    told("volumes", context, volumes, (list) => counted(list.length, "volume")),
    told("replicas", context, replicas, (list) => counted(list.length, "replica")),
  ]);
  const findings = found.flat();
  if (insecureSkipVerify)
    findings.push({
      level: "warning",
      subject: endpoint,
      message: "whatever certificate it shows is taken",
      remedy: "set mayastor.ca_file instead of mayastor.insecure_skip_verify",
    });
  return findings;
}

async function told<T>(
  resource: Resource,
  context: ScrapeContext,
  fetch: Fetch<T> | undefined,
  about: (found: T) => string,
): Promise<Finding[]> {
  if (fetch === undefined) return [];
  const subject = `Mayastor's ${resource}`;
  const tally = new Tally();
  try {
    return [
      { level: "ok", subject, message: about(await fetch.read(context, tally)) },
      ...leftOut(subject, tally),
    ];
  } catch (error) {
    if (!(error instanceof RestFailure)) throw error;
    const { reason, message, kind } = error;
    return [
      {
        level: "error",
        subject,
        message: `${reason}: ${message}${kind === undefined ? "" : ` (${kind})`}`,
        remedy: REMEDIES[reason],
      },
    ];
  }
}

function aboutNodes(nodes: readonly Node[]): string {
  const byStatus = Map.groupBy(nodes, ({ status }) => status);
  const parts = [...byStatus].map(([status, { length }]) => `${length} ${status}`);
  return [counted(nodes.length, "node"), ...parts].join(", ");
}

function leftOut(subject: string, { skipped, unrecognized }: Tally): Finding[] {
  const parts = [
    ...[...skipped].map(([reason, count]) => `${count} left out as ${reason}`),
    ...[...unrecognized].map(([field, count]) => `${count} with a ${field} that plumbline does not know`),
  ];
  return parts.length === 0 ? [] : [{ level: "warning", subject, message: parts.join(", ") }];
}

const REMEDIES: Readonly<Record<FailureReason, string>> = {
  timeout:
    "look at the service and its core agent; give it longer with mayastor.timeout and --scrape.timeout",
  connect:
    "look whether mayastor.endpoint is right, the service runs, and a network policy lets plumbline reach it",
  tls: "set mayastor.ca_file to the authority that vouches for the service, and mayastor.cert_file and mayastor.key_file where it asks for a certificate; its dummy certificate passes with mayastor.insecure_skip_verify alone",
  unauthorized: "set mayastor.token_file to a token that the service takes",
  not_found:
    "look whether mayastor.node_name is the id of a node, and mayastor.endpoint that of the REST service",
  http_4xx: "look into the log of the REST service; 408 is its own timeout",
  http_5xx:
    "look into the logs of the REST service and of the core agent: it answers errors while the core agent is down",
  redirect: "set mayastor.endpoint to where the service really is; redirects are not followed",
  bad_body: "look whether mayastor.endpoint is Mayastor's REST service",
  too_large: "look whether mayastor.endpoint is Mayastor's REST service",
  credentials:
    "look at the files of mayastor.token_file, mayastor.ca_file, mayastor.cert_file and mayastor.key_file",
  circuit_open: "wait for the next attempt, within 5 minutes",
};

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
