/** What `check` says of all that is no collector: configuration files, listen addresses, directories. */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { type ListenAddress, parseListenAddress } from "../config/listen-address.ts";
import type { Loaded } from "../config/load.ts";
import type { PveHostModule } from "../config/pve.ts";
import type { Settings } from "../config/settings.ts";
import { flockExclusive } from "../host/libc.ts";
import { codeOf, reasonOf } from "../host/system-error.ts";
import type { Finding } from "../metrics/collector.ts";
import { LOCK_REMEDY, lockPath } from "../textfile/lock.ts";

export async function checkService({ settings, warnings }: Loaded): Promise<Finding[]> {
  const { configFile, web, pve, textfile, state } = settings;
  const addresses: Finding[] = [];
  // One after the other: two that overlap must not get in each other's way here.
  for (const address of web.listenAddresses) addresses.push(await listenAddress(address, web));
  return [
    ...(configFile === undefined ? [] : [ok(configFile, "the configuration file is right")]),
    ...warnings.map((message): Finding => ({ level: "warning", subject: "configuration", message })),
    ...(await webConfig(web.configFile ?? web.keyPair)),
    ...addresses,
    ...[...pve.modules].map(([name, module]) => pveModule(name, module)),
    ...(textfile.directory === undefined
      ? []
      : [textfileDirectory(textfile.directory, textfile.name), stateDirectory(state.directory)]),
  ];
}

const ok = (subject: string, message: string): Finding => ({ level: "ok", subject, message });

/** Which hosts it is good for shows when /pve is asked for one. */
function pveModule(name: string, { credentials, tls, port }: PveHostModule): Finding {
  const subject = `/pve, module ${name}`;
  try {
    if (tls.caFile !== undefined) accessSync(tls.caFile, constants.R_OK);
  } catch (error) {
    return {
      level: "error",
      subject,
      message: `the authorities cannot be read in ${tls.caFile}: ${reasonOf(error)}`,
      remedy: "copy the cluster's /etc/pve/pve-root-ca.pem there, or set verify_ssl to true",
    };
  }
  const { kind, user } = credentials;
  const who = kind === "token" ? `the token ${user}!${credentials.tokenName}` : `the password of ${user}`;
  return ok(
    subject,
    `asks HOST at port ${port} with ${who}: /pve?target=HOST&module=${encodeURIComponent(name)}`,
  );
}

async function webConfig(source: Settings["web"]["keyPair"] | string): Promise<Finding[]> {
  if (source === undefined) return [];
  const { loadWebConfig, webConfigPath } = await import("../web/web-config.ts");
  const path = webConfigPath(source);
  try {
    const { tls, users, warnings } = loadWebConfig(source);
    const means = `TLS ${tls === undefined ? "off" : "on"}, ${users.size} ${users.size === 1 ? "user" : "users"}`;
    return [
      ok(path, `the web configuration file is right: ${means}`),
      ...warnings.map((message): Finding => ({ level: "warning", subject: path, message })),
    ];
  } catch (error) {
    return [
      {
        level: "error",
        subject: path,
        message: reasonOf(error),
        remedy: `correct ${typeof source === "string" ? "--web.config.file" : "--server.certfile and --server.keyfile"}`,
      },
    ];
  }
}

async function listenAddress(address: string, web: Settings["web"]): Promise<Finding> {
  const parsed = parseListenAddress(address);
  if (parsed === undefined) return { level: "error", subject: address, message: "no listen address" };
  if (parsed.kind === "unix") return socketPath(address, parsed.path);
  const failure = await bind(parsed);
  if (failure === undefined) return ok(address, "free to listen on");
  switch (codeOf(failure)) {
    case "EADDRINUSE":
      return (await isOurs(parsed, web))
        ? ok(address, "plumbline already serves here")
        : {
            level: "error",
            subject: address,
            message: "the address is in use",
            remedy: `stop what listens there (ss -ltnp), or choose another with --web.listen-address`,
          };
    case "EACCES":
      return {
        level: "error",
        subject: address,
        message: "permission denied",
        remedy: "choose a port from 1024 on, or grant CAP_NET_BIND_SERVICE",
      };
    default:
      return {
        level: "error",
        subject: address,
        message: reasonOf(failure),
        remedy: "name an address of this host with --web.listen-address",
      };
  }
}

type TcpAddress = Extract<ListenAddress, { kind: "tcp" }>;

/** Takes the address for a moment; the error if it cannot be had. */
function bind({ host, port }: TcpAddress): Promise<unknown> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen({ port, ...(host !== undefined && { host }) }, () =>
      server.close(() => resolve(undefined)),
    );
  });
}

/** How long a running service may take to say who it is. */
const PROBE_MS = 1000;

/** Whether it is a plumbline that listens there, as on a host where the service runs. */
async function isOurs({ host, port }: TcpAddress, web: Settings["web"]): Promise<boolean> {
  if (web.configFile !== undefined || web.keyPair !== undefined) return false;
  const name = host === undefined || host === "0.0.0.0" || host === "::" ? "localhost" : host;
  try {
    const url = `http://${name.includes(":") ? `[${name}]` : name}:${port}/`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(PROBE_MS), redirect: "manual" });
    return /plumbline/i.test(await answer.text());
  } catch {
    return false;
  }
}

function socketPath(address: string, path: string): Finding {
  const failure = notWritable(dirname(path));
  if (failure !== undefined)
    return {
      level: "error",
      subject: address,
      message: `no socket can be made in ${dirname(path)}: ${failure}`,
      remedy: `create the directory for this user, or choose another with --web.listen-address`,
    };
  if (existsSync(path) && !statSync(path).isSocket())
    return {
      level: "error",
      subject: address,
      message: "a file that is no socket is in the way",
      remedy: `remove ${path}`,
    };
  return ok(address, "a socket can be made");
}

function textfileDirectory(directory: string, name: string): Finding {
  const failure = notWritable(directory);
  if (failure !== undefined)
    return {
      level: "error",
      subject: directory,
      message: `the textfile cannot be written: ${failure}`,
      remedy: "create the directory for this user, or name node_exporter's with --textfile.directory",
    };
  const lock = lockPath(directory, name);
  try {
    if (existsSync(lock)) tryLock(lock);
    return ok(join(directory, name), "the textfile can be written");
  } catch (error) {
    return { level: "error", subject: lock, message: reasonOf(error), remedy: LOCK_REMEDY };
  }
}

/** Throws where a run could not have the lock, but not where one has it now. */
function tryLock(path: string): void {
  const lock = flockExclusive(path);
  if (lock !== "locked") lock.unlock();
}

/** The textfile is written without it too, so it is no error. */
function stateDirectory(directory: string): Finding {
  const there = existsSync(directory) ? directory : existingParent(directory);
  const failure = notWritable(there);
  return failure === undefined
    ? ok(directory, there === directory ? "the state can be kept" : "the state directory can be made")
    : {
        level: "warning",
        subject: directory,
        message: `counters start from zero in every run: ${failure}`,
        remedy: "create the directory for this user, or name another with --state.directory",
      };
}

function existingParent(path: string): string {
  const parent = dirname(path);
  return parent === path || existsSync(parent) ? parent : existingParent(parent);
}

/** Undefined if files can be made in the directory. */
function notWritable(directory: string): string | undefined {
  try {
    if (!statSync(directory).isDirectory()) return "it is no directory";
    accessSync(directory, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}
