/**
 * What happens in the guest: makes the target's controllers, runs the plumbline binary on all of them in every way, and
 * writes what was seen to a report, which the test on the host judges.
 *
 *     bun scenario.ts BINARY REPORT
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { EBS_COUNTERS } from "../../support/nvme-hosts.ts";
import { ebs, nqn, PORT, QEMU, TARGET, targetConfig } from "./devices.ts";
import { type ReceivedCommand, startTarget, type Target } from "./nvmet-target.ts";

export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/** A run of `plumbline textfile`, and the file that it wrote. */
export interface Collection extends Run {
  readonly file: string;
  /** From the start of the process to the appearance of the file. */
  readonly fileMs: number;
}

export interface Scrape {
  readonly status: number;
  readonly body: string;
  readonly ms: number;
}

export interface Report {
  /** Controllers as sysfs has them, before the hung one was connected. */
  readonly controllers: readonly {
    readonly name: string;
    readonly serial: string;
    readonly milliCelsius: number | undefined;
  }[];
  /** Of the hung one. */
  readonly hungName: string;
  readonly version: Run;
  /** Twice, with counters that grow between the runs. */
  readonly first: Collection;
  readonly second: Collection;
  /** Commands received during the second. */
  readonly secondCommands: readonly ReceivedCommand[];
  readonly check: Run;
  readonly inspect: Run;
  readonly inspectTable: Run;
  readonly inspectQemu: Run;
  /** Root without CAP_SYS_ADMIN, and another user with no rights at all. */
  readonly withoutSysAdmin: Collection;
  readonly nobody: Collection;
  /** All as another user with CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH and nothing else. */
  readonly serve: {
    readonly scrapes: readonly Scrape[];
    /** Received between the two scrapes' start and end, which lie within a second. */
    readonly commands: readonly ReceivedCommand[];
    readonly openMetrics: Scrape;
    /** One device no longer answers: with a timeout of 3 s, and again at once. */
    readonly hung: Scrape;
    readonly busy: Scrape;
    /** The device answers again and the kernel has reset it. */
    readonly recovered: Scrape;
    readonly stop: Run;
  };
  /** While the device does not answer, two of them, one after the other. */
  readonly hungTextfile: Collection;
  readonly nextTextfile: Collection;
}

const ADDRESS = "127.0.0.1:9847";
/** As systemd runs the service: another user, with two capabilities and no more. */
const CAPABILITIES = "-all,+sys_admin,+dac_read_search";
const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const SERVICE = [
  ...NOBODY,
  `--inh-caps=${CAPABILITIES}`,
  `--ambient-caps=${CAPABILITIES}`,
  `--bounding-set=${CAPABILITIES}`,
];
const WITHOUT_SYS_ADMIN = ["setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin"];

/** A reading is shared for a second, so this long after it a device is asked again. */
const SHARED_MS = 1100;
const PATIENCE_MS = 45_000;

/** 3 s more of exceeded IOPS than before: 41892491 µs. */
const LATER = { ...EBS_COUNTERS, volumeIopsExceededUs: 44_892_491n };

if (import.meta.main) {
  const [binary = "", report = ""] = process.argv.slice(2);
  writeFileSync(report, JSON.stringify(await observe(binary)));
  process.exit();
}

async function observe(binary: string): Promise<Report> {
  const { hung, ...others } = TARGET;
  const target = await startTarget(targetConfig());
  await run(["modprobe", "nvme-tcp"]);
  for (const serial of Object.values(others)) await connect(serial);
  const controllers = listControllers();
  const inspect = (serial: string, ...flags: string[]) => {
    const name = controllers.find((controller) => controller.serial === serial)?.name;
    return run([binary, "inspect", "nvme", `/dev/${name}`, ...flags]);
  };

  const version = await run([binary, "--version"]);
  const first = await textfile([binary], "root").ended;
  await sleep(SHARED_MS);
  target.setLogPage(TARGET.ebs, "0xd0", ebs(LATER));
  const before = target.received.length;
  const second = await textfile([binary], "root").ended;
  const secondCommands = target.received.slice(before);

  return {
    controllers,
    version,
    first,
    second,
    secondCommands,
    check: await run([binary, "check", "--output=json"]),
    inspect: await inspect(TARGET.ebs, "--output=json"),
    inspectTable: await inspect(TARGET.instanceStore),
    inspectQemu: await inspect(QEMU.large.serial, "--output=json"),
    withoutSysAdmin: await textfile([...WITHOUT_SYS_ADMIN, binary], "without").ended,
    nobody: await textfile([...NOBODY, binary], "nobody").ended,
    ...(await observeService(binary, target, hung)),
  };
}

type ServiceReport = Pick<Report, "hungName" | "serve" | "hungTextfile" | "nextTextfile">;

async function observeService(binary: string, target: Target, hung: string): Promise<ServiceReport> {
  // Under emulation sending the answer takes longer than the usual half second.
  const flags = [`--web.listen-address=${ADDRESS}`, "--web.timeout-offset=1.5s"];
  const service = start([...SERVICE, binary, "serve", ...flags]);
  await until(async () => (await scrape("/-/ready")).status === 200);
  await sleep(SHARED_MS);
  const before = target.received.length;
  const scrapes = [await scrape("/metrics"), await scrape("/metrics")];
  const commands = target.received.slice(before);
  const openMetrics = await scrape("/metrics", { accept: "application/openmetrics-text" });

  await connect(hung);
  const hungName = listControllers().find(({ serial }) => serial === hung)?.name ?? "";
  const timeout = { "X-Prometheus-Scrape-Timeout-Seconds": "3" };
  const whileHung = await scrape("/metrics", timeout);
  const busy = await scrape("/metrics", timeout);
  const hungTextfile = textfile([binary], "root", "--scrape.timeout=3s");
  await hungTextfile.written;
  const nextTextfile = textfile([binary], "root", "--scrape.timeout=3s");
  await nextTextfile.written;

  target.setLogPage(hung, "0xd0", ebs(EBS_COUNTERS));
  await until(() => target.connections(hung) > 1 && state(hungName) === "live");
  await sleep(SHARED_MS);
  const recovered = await scrape("/metrics");
  service.child.kill("SIGTERM");
  return {
    hungName,
    serve: { scrapes, commands, openMetrics, hung: whileHung, busy, recovered, stop: await service.ended },
    hungTextfile: await hungTextfile.ended,
    nextTextfile: await nextTextfile.ended,
  };
}

/** Not as a synchronous write: it lasts until this very process, being the target, has answered the driver. */
async function connect(serial: string): Promise<void> {
  const options = `transport=tcp,traddr=127.0.0.1,trsvcid=${PORT},nqn=${nqn(serial)},nr_io_queues=1,reconnect_delay=1`;
  await writeFile("/dev/nvme-fabrics", options, { flag: "r+" });
  const controller = listControllers().find((one) => one.serial === serial);
  await until(() => existsSync(`/sys/class/nvme/${controller?.name}/${controller?.name}n1`));
}

function listControllers(): Report["controllers"] {
  return readdirSync("/sys/class/nvme").map((name) => ({
    name,
    serial: readFileSync(`/sys/class/nvme/${name}/serial`, "utf8").trim(),
    milliCelsius: milliCelsius(name),
  }));
}

/** The kernel's own reading. Not of our target's controllers: they could not answer while this process waits. */
function milliCelsius(controller: string): number | undefined {
  const directory = `/sys/class/nvme/${controller}`;
  if (readFileSync(`${directory}/transport`, "utf8").trim() === "tcp") return undefined;
  const sensor = readdirSync(directory).find((entry) => entry.startsWith("hwmon"));
  return sensor === undefined
    ? undefined
    : Number(readFileSync(`${directory}/${sensor}/temp1_input`, "utf8"));
}

function state(controller: string): string {
  return readFileSync(`/sys/class/nvme/${controller}/state`, "utf8").trim();
}

function textfile(
  command: readonly string[],
  name: string,
  ...flags: string[]
): { written: Promise<void>; ended: Promise<Collection> } {
  const directory = `/tmp/${name}`;
  const path = `${directory}/plumbline.prom`;
  mkdirSync(`${directory}/state`, { recursive: true });
  for (const made of [directory, `${directory}/state`]) chmodSync(made, 0o777);
  const previous = changed(path);
  const begin = performance.now();
  const { ended } = start([
    ...command,
    "textfile",
    `--textfile.directory=${directory}`,
    `--state.directory=${directory}/state`,
    ...flags,
  ]);
  const appeared = until(() => changed(path) !== previous).then(() => ({
    file: readFileSync(path, "utf8"),
    fileMs: performance.now() - begin,
  }));
  return {
    written: appeared.then(() => undefined),
    ended: Promise.all([ended, appeared]).then(([run, file]) => ({ ...run, ...file })),
  };
}

/** Tells one file from the next that is renamed into its place. */
function changed(path: string): string {
  if (!existsSync(path)) return "";
  const { ino, mtimeMs } = statSync(path);
  return `${ino} ${mtimeMs}`;
}

function run(command: readonly string[]): Promise<Run> {
  return start(command).ended;
}

function start([command = "", ...args]: readonly string[]): { child: ChildProcess; ended: Promise<Run> } {
  const begin = performance.now();
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr]: [string[], string[]] = [[], []];
  child.stdout.on("data", (bytes) => stdout.push(String(bytes)));
  child.stderr.on("data", (bytes) => stderr.push(String(bytes)));
  const ended = new Promise<Run>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) =>
      resolve({ status, stdout: stdout.join(""), stderr: stderr.join(""), ms: performance.now() - begin }),
    );
  });
  return { child, ended };
}

async function scrape(path: string, headers: Record<string, string> = {}): Promise<Scrape> {
  const begin = performance.now();
  try {
    const response = await fetch(`http://${ADDRESS}${path}`, { headers });
    const body = await response.text();
    return { status: response.status, body, ms: performance.now() - begin };
  } catch (error) {
    return { status: 0, body: String(error), ms: performance.now() - begin };
  }
}

/** Fails with the text of the condition when it does not come true. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`waited ${PATIENCE_MS / 1000} s in vain for ${condition}`);
    await sleep(50);
  }
}
