/** `plumbline operator`: keeps plumbline on every node of a Kubernetes cluster as declared, until SIGTERM or SIGINT. */
import process from "node:process";
import { environment } from "../config/environment.ts";
import type { Loaded } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { reasonOf } from "../host/system-error.ts";
import { Aggregate } from "../kubernetes/aggregate.ts";
import { clusterAccess } from "../kubernetes/client/access.ts";
import { KubernetesApi } from "../kubernetes/client/api.ts";
import { Operator } from "../kubernetes/operator.ts";
import { createLog } from "../log/create.ts";
import type { Log } from "../log/log.ts";
import { OwnMetrics } from "../metrics/own.ts";
import { aggregateApp, healthApp, type OperatorParts } from "../web/operator-app.ts";
import { listen, type WebServer } from "../web/server.ts";
import { BUILD } from "./build-info.ts";

const STOPPED = 0;
const CANNOT_START = 1;
/** The whole stop has 5 s; the Lease is released meanwhile. */
const GRACE_MS = 3000;
/** Where nobody names another, and neither kubeconfig nor service account does: that of our manifests. */
const NAMESPACE = "plumbline";

/** The exit code. */
export async function run({ settings, warnings }: Loaded): Promise<number> {
  const log = createLog(settings.log);
  process.on("unhandledRejection", (error) => {
    log.error("a fault that nobody handled; please report it", { err: reasonOf(error) });
  });
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (!stop.signal.aborted) log.info("stopping", { reason: `received ${signal}` });
      stop.abort();
    });
  }
  for (const warning of warnings) log.warn(warning);
  try {
    await operate(settings, log, stop.signal);
    return STOPPED;
  } catch (error) {
    log.error("cannot start", { err: reasonOf(error) });
    return CANNOT_START;
  }
}

/** Rejects where it cannot start. */
async function operate(settings: Settings, log: Log, signal: AbortSignal): Promise<void> {
  const { kubeconfig, namespace: named, identity, leaderElect, image } = settings.operator;
  const access = clusterAccess({
    kubeconfig,
    env: environment(),
    warn: (message) => log.warn(message),
  });
  const namespace = named ?? access.namespace ?? NAMESPACE;
  const own = new OwnMetrics(BUILD, { processMetrics: true });
  const api = new KubernetesApi(access, { log });
  const operator = new Operator(api, { namespace, leaderElect, identity, ownImage: image }, own, log);
  const aggregate = new Aggregate(own, log);
  const servers = await serve(settings, log, {
    settings,
    state: () => operator,
    scrape: (context) => aggregate.scrape(operator.exporterPods(), context),
    own,
    log,
  });
  log.info("operator started", { namespace, server: access.server, identity });
  const running = operator.run(signal);
  await Promise.race([running, aborted(signal)]);
  await Promise.all([running, ...servers.map((server) => server.stop(GRACE_MS))]);
  aggregate.close();
  api.close();
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

async function serve({ operator }: Settings, log: Log, parts: OperatorParts): Promise<WebServer[]> {
  const servers: WebServer[] = [];
  try {
    const { metricsListenAddresses, metricsConfigFile, healthListenAddresses } = operator;
    const metrics = { listenAddresses: metricsListenAddresses, configFile: metricsConfigFile };
    const health = { listenAddresses: healthListenAddresses, configFile: undefined };
    servers.push(
      await listen(aggregateApp(parts), { ...metrics, keyPair: undefined }, log, "--metrics.listen-address"),
    );
    servers.push(
      await listen(healthApp(parts), { ...health, keyPair: undefined }, log, "--health.listen-address"),
    );
    for (const { addresses } of servers) for (const address of addresses) log.info("listening", { address });
    return servers;
  } catch (error) {
    await Promise.all(servers.map((server) => server.stop(0)));
    throw error;
  }
}
