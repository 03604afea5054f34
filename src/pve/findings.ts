/** What `plumbline check` says of Proxmox VE: of each target who answered and how, then collector by collector. */
import type { Finding, ScrapeContext } from "../metrics/collector.ts";
import { remedyFor } from "./advice.ts";
import type { SkipReason } from "./contract.ts";
import type { PveEndpoint } from "./endpoint.ts";
import { MAX_BYTES, type Opening } from "./endpoints.ts";
import { PveFailure } from "./failure.ts";
import type { ClusterStatus } from "./model.ts";
import { PERMISSIONS_PATH, Permissions } from "./permissions.ts";
import { lacking, readsNothing, rightsCommands } from "./rights.ts";
import type { TargetRound } from "./round.ts";
import type { OfTarget } from "./scrape.ts";
import { smartFindings } from "./smart-times.ts";
import type { PveTarget } from "./target.ts";

/** Which collectors a target is asked by, of bare name: the first of them speaks for the target. */
export type CollectorsOf = (target: PveTarget) => readonly string[];

export async function findingsOf(
  results: readonly OfTarget[],
  collectorsOf: CollectorsOf,
  context: ScrapeContext,
): Promise<Finding[]> {
  const found = await Promise.all(results.map((one) => aboutOne(one, collectorsOf, context)));
  const leading = results.filter(
    ({ site, result }) => collectorsOf(site.target)[0] === result.collector.name,
  );
  return [...found.flat(), ...(await sameClusters(leading))];
}

async function aboutOne(
  { round, site, result }: OfTarget,
  collectorsOf: CollectorsOf,
  context: ScrapeContext,
): Promise<Finding[]> {
  const { target } = site;
  const opening = await round.opening;
  const collectors = collectorsOf(target);
  const leads = collectors[0] === result.collector.name;
  const isLost = opening.status instanceof PveFailure && isWholeTarget(opening);
  // The target's own trouble is told once, and not by each collector.
  if (isLost && !leads) return [];
  const permissions = await permissionsOf(round, opening, context);
  const ofTarget = leads ? targetFindings(target, opening, permissions, collectors) : [];
  if (isLost) return ofTarget;
  const ofCollector = collectorFindings(target, opening.endpoint, result, permissions);
  const ofDisks =
    result.collector.name === "physical-disks"
      ? await smartFindings(site, opening, context.deadline - RESERVE_MS)
      : [];
  // What was read may be said to work, but not what was not.
  const others = ofDisks.length > 0 ? ofCollector.filter(({ message }) => message !== WORKS) : ofCollector;
  return [...ofTarget, ...others, ...ofDisks];
}

/** Of the check's time, for what comes after the last call. */
const RESERVE_MS = 200;
const WORKS = "works";

const isWholeTarget = ({ state, status }: Opening): boolean =>
  state === "silent" || (status instanceof PveFailure && status.reason === "unauthorized");

/** Asked once a round, however many collectors want to know. */
const asked = new WeakMap<TargetRound, Promise<Permissions | undefined>>();

/** Undefined where they were not told. */
function permissionsOf(
  round: TargetRound,
  opening: Opening,
  { signal, deadline }: ScrapeContext,
): Promise<Permissions | undefined> {
  const limits = { signal, deadline, maxBytes: MAX_BYTES };
  const ask = async () => {
    if (isWholeTarget(opening)) return undefined;
    try {
      return new Permissions(await opening.connection.get(PERMISSIONS_PATH, limits));
    } catch (error) {
      if (error instanceof PveFailure) return undefined;
      throw error;
    }
  };
  const answer = asked.get(round) ?? ask();
  asked.set(round, answer);
  return answer;
}

/** Further off, ages that Prometheus computes from the cluster's times are visibly wrong. */
const MAX_SKEW_SECONDS = 30;

function targetFindings(
  { name }: PveTarget,
  { endpoint, status, connection }: Opening,
  permissions: Permissions | undefined,
  collectors: readonly string[],
): Finding[] {
  const { credentials } = endpoint;
  if (status instanceof PveFailure) {
    const advice = remedyFor(status, endpoint, permissions?.paths);
    const commands = status.status === 401 ? rightsCommands(credentials, collectors) : undefined;
    const remedy = [advice, commands].filter((part) => part !== undefined).join("\n");
    return [{ level: "error", subject: name, message: status.message, ...(remedy !== "" && { remedy }) }];
  }
  const findings: Finding[] = [
    {
      level: "ok",
      subject: name,
      message: `${endpoint.url} answers as ${clusterText(status)}; ${trustText(endpoint)}`,
    },
  ];
  if (status.cluster?.quorate === false)
    findings.push({
      level: "error",
      subject: name,
      message: `no endpoint is quorate: ${endpoint.url} sees the other nodes as offline`,
      remedy: `look at \`pvecm status\` on ${new URL(endpoint.url).hostname}`,
    });
  const skew = Math.round(((connection.serverDate ?? Date.now()) - Date.now()) / 1000);
  if (Math.abs(skew) > MAX_SKEW_SECONDS)
    findings.push({
      level: "warning",
      subject: name,
      message: `the clock of ${endpoint.url} is ${Math.abs(skew)} s ${skew > 0 ? "ahead of" : "behind"} this host's: alerts on ages are off by that`,
      remedy: "let both take their time from NTP: `chronyc tracking` on each tells",
    });
  const missing = permissions && collectors.flatMap((collector) => lacking(collector, permissions));
  if (missing !== undefined && missing.length > 0) {
    const deeper = new Set(missing.map(({ path }) => path).filter((path) => path.split("/").length > 2));
    findings.push({
      level: "warning",
      subject: name,
      message: "rights are missing: the lines below name them, collector by collector",
      remedy: `on a host of the cluster:\n${rightsCommands(credentials, collectors, [...deeper])}`,
    });
  }
  return findings;
}

function clusterText({ cluster, nodes }: ClusterStatus): string {
  const online = nodes.filter(({ isOnline }) => isOnline).length;
  return cluster === undefined
    ? "a host of its own"
    : `cluster ${cluster.name}, ${online} of ${nodes.length} nodes online`;
}

function trustText({ tls }: PveEndpoint): string {
  if (tls.fingerprint !== undefined) return "its certificate has the fingerprint";
  if (!tls.verify) return "its certificate is not verified";
  return tls.caFile === undefined
    ? "its certificate is vouched for by an authority of this host"
    : `its certificate is vouched for by ${tls.caFile}`;
}

/** What is no failure, and yet something that a person may want otherwise. */
const REMEDIES: Readonly<Partial<Record<SkipReason, string>>> = {
  limit: "raise guest_limit of the collector config in the target's section; each guest is one call",
  timeout:
    "give it longer with --scrape.timeout; where a node's SMART list takes near 30 s, set exclude_nodes or smart_interval: never of physical-disks",
};

function collectorFindings(
  { name }: PveTarget,
  endpoint: PveEndpoint,
  { collector, failures, skipped, samples, success }: OfTarget["result"],
  permissions: Permissions | undefined,
): Finding[] {
  const subject = `${name}, ${collector.name}`;
  const failed = [...failures.values()].filter(({ reason }) => reason !== "gone");
  const lost = failed.map((failure): Finding => {
    const remedy = REMEDIES[failure.reason] ?? remedyFor(failure, endpoint, permissions?.paths);
    return { level: "error", subject, message: failure.message, ...(remedy !== undefined && { remedy }) };
  });
  const missing =
    permissions === undefined || failed.some(({ reason }) => reason === "forbidden")
      ? []
      : lacking(collector.name, permissions);
  const isAll = missing.length > 0 && permissions !== undefined && readsNothing(collector.name, permissions);
  const thinner = missing.map(
    ({ privilege, path }): Finding => ({
      level: isAll ? "error" : "warning",
      subject,
      message: `lacks ${privilege.replaceAll("|", " or ")} on ${path}: ${isAll ? "nothing is read without" : "what it covers is left out, and nothing says so"}`,
    }),
  );
  if (lost.length > 0 || thinner.length > 0) return [...lost, ...thinner];
  if (skipped.size === 0) {
    const isEmpty = [...samples.families.values()].every(({ values }) => values.length === 0);
    return [
      {
        level: success ? "ok" : "warning",
        subject,
        message: isEmpty ? "works; there is nothing to read" : WORKS,
      },
    ];
  }
  const message = `left out: ${[...skipped].map(([reason, count]) => `${count} × ${reason}`).join(", ")}`;
  const remedy = [...skipped.keys()].flatMap((reason) => REMEDIES[reason] ?? []).join("; ");
  return [{ level: success ? "ok" : "warning", subject, message, ...(remedy !== "" && { remedy }) }];
}

/** Two targets of one cluster are scraped twice; two clusters of one name are told apart by the names of their targets. */
async function sameClusters(results: readonly OfTarget[]): Promise<Finding[]> {
  const known = await Promise.all(
    results.map(async ({ round, site: { target } }) => {
      const { status } = await round.opening;
      const nodes = status instanceof PveFailure ? [] : status.nodes.map(({ name }) => name);
      return { target: target.name, nodes: nodes.toSorted().join(" "), label: await round.cluster() };
    }),
  );
  const answered = known.filter(({ nodes }) => nodes !== "");
  return answered.flatMap((one, index) => {
    const others = answered.slice(0, index).filter(({ label }) => label === one.label);
    return others.map((other): Finding => {
      const subject = `${other.target}, ${one.target}`;
      return other.nodes === one.nodes
        ? {
            level: "warning",
            subject,
            message: `both are the cluster ${one.label}, or two of the same names`,
            remedy:
              "name the hosts of one cluster as endpoints of one target; give two clusters a `cluster` each",
          }
        : {
            level: "warning",
            subject,
            message: `both are called ${one.label}: they go by the names of their targets`,
            remedy: "set `cluster` in each target's section",
          };
    });
  });
}
