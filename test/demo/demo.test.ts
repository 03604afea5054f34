/** `plumbline demo` as a user runs it. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LivingHost } from "../../src/demo/living-host.ts";
import { largeCluster, ORDERS } from "../../src/demo/mayastor-cluster.ts";
import { MayastorRest } from "../../src/demo/mayastor-rest.ts";
import { PveApi } from "../../src/demo/pve-api.ts";
import { PVE_TEST_CERTIFICATE } from "../../src/demo/pve-certificate.ts";
import { PveCluster } from "../../src/demo/pve-cluster.ts";
import { AUDITOR } from "../../src/demo/pve-users.ts";
import { COLLECTORS } from "../../src/scrape/sources.ts";
import { withHost } from "../support/nvme-host.ts";
import { ONE_EBS_VOLUME } from "../support/nvme-hosts.ts";

/** Of AUDITOR. */
const AUDITOR_LOGIN = {
  user: AUDITOR.name,
  tokenName: "metrics",
  secret: AUDITOR.tokens?.["metrics"]?.secret,
};

const ROOT = join(import.meta.dir, "../..");

/** Where the demos build their hosts. */
const temporary = mkdtempSync(join(tmpdir(), "plumbline-test-"));
const started: Bun.Subprocess[] = [];
afterAll(async () => {
  for (const demo of started) demo.kill("SIGKILL");
  await Promise.all(started.map(({ exited }) => exited));
  rmSync(temporary, { recursive: true });
});

const start = (...flags: string[]) => startWith({}, ...flags);

function startWith(environment: Readonly<Record<string, string>>, ...flags: string[]) {
  const demo = Bun.spawn([process.execPath, "src/main.ts", "demo", ...flags], {
    cwd: ROOT,
    env: { ...process.env, ...environment, TMPDIR: temporary },
    stdout: "pipe",
    stderr: "pipe",
  });
  started.push(demo);
  return demo;
}

const runToEnd = (...flags: string[]) => runToEndWith({}, ...flags);

async function runToEndWith(environment: Readonly<Record<string, string>>, ...flags: string[]) {
  const demo = startWith(environment, ...flags);
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(demo.stdout).text(),
    new Response(demo.stderr).text(),
    demo.exited,
  ]);
  return { stdout, stderr, exitCode };
}

/** What the demo prints up to the line that ends its welcome. */
async function welcomeOf(demo: { readonly stdout: ReadableStream<Uint8Array> }): Promise<string> {
  let text = "";
  for await (const chunk of demo.stdout) {
    text += new TextDecoder().decode(chunk);
    if (text.includes("Ctrl-C ends it.")) return text;
  }
  throw new Error(`the demo ended and printed "${text}"`);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await Bun.sleep(20);
}

const familiesIn = (exposition: string) =>
  new Set([...exposition.matchAll(/^# TYPE (\S+) /gm)].flatMap(([, name]) => name ?? []));

/** A cluster of three nodes needs no QDevice. */
const NOT_SHOWN = ["pve_qdevice_up", "pve_qdevice_info"];
const DOCUMENTED = [
  ...new Set(COLLECTORS.flatMap(({ descriptors }) => descriptors.map(({ name }) => name))),
].filter((name) => !NOT_SHOWN.includes(name));

/** They say what happened between two readings, and `--once` makes one. */
const NEEDS_TWO_READINGS = [
  "ebs_collection_interval_seconds",
  "ebs_instance_performance_exceeded_iops_percent",
  "ebs_instance_performance_exceeded_throughput_percent",
  "ebs_volume_iops_exceeded_check",
  "ebs_volume_performance_exceeded_iops_percent",
  "ebs_volume_performance_exceeded_throughput_percent",
  "ebs_volume_throughput_exceeded_check",
];

/** They say what is wrong, and in the first minute nothing is. */
const NEEDS_A_FAULT = ["plumbline_pve_skipped", "pve_ceph_health_check"];

describe("plumbline demo --once", () => {
  test("prints every family that the collectors document, but for those that need two readings", async () => {
    const { stdout, exitCode } = await runToEnd("--once");
    expect(exitCode).toBe(0);
    const families = familiesIn(stdout);
    expect(DOCUMENTED.filter((name) => !families.has(name)).sort()).toEqual(NEEDS_TWO_READINGS);
  });

  test("prints each volume of its Kubernetes node, on the device that carries it", async () => {
    const { stdout } = await runToEnd("--once");
    const volumes = stdout.split("\n").filter((line) => line.startsWith("csi_volume_node_device_info{"));
    const label = (line: string, name: string) => new RegExp(`[{,]${name}="([^"]*)"`).exec(line)?.[1];
    expect(volumes.map((line) => [label(line, "persistentvolume"), label(line, "device")]).sort()).toEqual([
      ["", "sdf"],
      ["archive", "dm-3"],
      ["backups", "sde"],
      ["data-postgres-0", "nvme1n1"],
      ["ledger", "dm-1"],
      ["media", "dm-2"],
      ["orders", "nvme7n1"],
      ["vm-disk", "rbd0"],
      ["warehouse", "nvme2n1p1"],
    ]);
    expect(new Set(volumes.map((line) => label(line, "node")))).toEqual(new Set(["demo-node"]));
  });

  test("takes a recorded host in the place of its own", async () => {
    await withHost(ONE_EBS_VOLUME, async ({ sysfs, devfs }) => {
      const { stdout, exitCode } = await runToEnd(
        "--once",
        `--path.sysfs=${sysfs}`,
        `--path.devfs=${devfs}`,
        "--node-name=node-a",
      );
      expect(exitCode).toBe(0);
      const ofDevices = (text: string) =>
        text.split("\n").filter((line) => /^(# (HELP|TYPE) )?(ebs|nvme)_/.test(line));
      const golden = readFileSync(join(ROOT, "fixtures/golden/one-ebs-volume.prom"), "utf8");
      expect(ofDevices(stdout)).toEqual(ofDevices(golden));
      // It has no kubelet, and that of this machine is none of its own.
      expect(stdout).not.toContain('collector="csi"');
      expect(stdout).not.toContain('collector="mayastor"');
      expect(stdout).not.toContain('collector="pve-');
    });
  });

  test("finds the kubelet of a recorded host beside its sysfs", async () => {
    const host = new LivingHost(Date.now());
    try {
      const { sysfs, devfs } = host.paths;
      const { stdout } = await runToEnd("--once", `--path.sysfs=${sysfs}`, `--path.devfs=${devfs}`);
      expect(stdout).toContain('persistentvolume="data-postgres-0",device="nvme1n1"');
    } finally {
      host.remove();
    }
  });

  test.each(["sysfs", "kubelet"])("refuses a host of which no more than %s is given", async (part) => {
    const { stderr, exitCode } = await runToEnd("--once", `--path.${part}=/nowhere`);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("both --path.sysfs and --path.devfs");
  });

  test("says what is wrong with a recording", async () => {
    await withHost(ONE_EBS_VOLUME, async ({ sysfs, devfs }) => {
      writeFileSync(join(devfs, "nvme0"), '{"dev": "245:0", "answers": [{"opcode": "format"}]}');
      const { stderr, exitCode } = await runToEnd("--once", `--path.sysfs=${sysfs}`, `--path.devfs=${devfs}`);
      expect(exitCode).toBe(1);
      expect(stderr).toContain(`${devfs}/nvme0: answers.0.opcode: `);
    });
  });

  test("prints the whole of its Mayastor cluster", async () => {
    const { stdout } = await runToEnd("--once");
    expect(stdout).toContain('mayastor_node_status{node_id="worker-7",status="absent"} 1');
    expect(stdout).toContain('mayastor_node_cordon_state{node_id="worker-6",state="draining"} 1');
    expect(stdout).toContain('diskpool_status{node="worker-1",name="pool-1"} 1');
    expect(stdout).toContain(`mayastor_volume_status{volume="${ORDERS}",status="online"} 1`);
    expect(stdout).toMatch(/^mayastor_replica_rebuild_progress_ratio\{.*\} 0$/m);
    expect(stdout).toContain('plumbline_collector_success{collector="mayastor"} 1');
  });

  test("asks Mayastor for no more than what the user names", async () => {
    const { stdout } = await runToEnd(
      "--once",
      "--mayastor.resources=nodes",
      "--mayastor.node-name=worker-5",
    );
    const nodes = stdout.matchAll(/^mayastor_node_online\{node_id="([^"]+)"\}/gm);
    expect([...nodes].map(([, id]) => id)).toEqual(["worker-5"]);
    expect(familiesIn(stdout)).not.toContain("mayastor_pool_status");
  });

  test("asks the Mayastor that the user has in the place of its own", async () => {
    const others = new MayastorRest(() =>
      largeCluster({ nodes: 2, pools: 2, volumes: 1, replicasPerVolume: 1 }),
    );
    const endpoint = await others.start();
    const { stdout } = await runToEnd("--once", `--mayastor.endpoint=${endpoint}`);
    await others.stop();
    const nodes = stdout.matchAll(/^mayastor_node_online\{node_id="([^"]+)"\}/gm);
    expect([...nodes].map(([, id]) => id)).toEqual(["node-0", "node-1"]);
    expect(others.requests).toEqual([{ path: "/v0/nodes", authorized: true }]);
  });

  test("asks no Mayastor that the shell names for another exporter, but one that it names for plumbline", async () => {
    const others = new MayastorRest(() =>
      largeCluster({ nodes: 1, pools: 0, volumes: 0, replicasPerVolume: 0 }),
    );
    const endpoint = await others.start();
    const theirs = await runToEndWith({ MAYASTOR_REST_ENDPOINT: endpoint }, "--once");
    expect(theirs.stdout).toContain('mayastor_node_online{node_id="worker-1"} 1');
    await withHost(ONE_EBS_VOLUME, async ({ sysfs, devfs }) => {
      const paths = [`--path.sysfs=${sysfs}`, `--path.devfs=${devfs}`];
      const { stdout } = await runToEndWith({ MAYASTOR_REST_ENDPOINT: endpoint }, "--once", ...paths);
      expect(stdout).not.toContain('collector="mayastor"');
    });
    expect(others.requests).toEqual([]);
    const ours = await runToEndWith({ PLUMBLINE_MAYASTOR_ENDPOINT: endpoint }, "--once");
    expect(ours.stdout).toContain('mayastor_node_online{node_id="node-0"} 1');
    await others.stop();
  });

  test("shows a Proxmox VE with an offline node, an HA recovery, a failed drive and an old backup", async () => {
    const { stdout } = await runToEnd("--once");
    expect(stdout).toContain('pve_up{id="node/pve3"} 0');
    expect(stdout).toContain('plumbline_pve_node_reachable{target="home",node="pve3"} 0');
    expect(stdout).toMatch(/^pve_ha_service_state\{sid="[a-z]+:\d+",state="recovery"\} 1$/m);
    expect(stdout).toMatch(
      /^pve_physical_disk_health_state\{node="pve1",devpath="\/dev\/nvme0n1",state="failed"\} 1$/m,
    );
    expect(stdout).toContain('pve_zfs_pool_health_state{node="pve1",pool="rpool",state="DEGRADED"} 1');
    const [, age] =
      /^pve_guest_last_backup_timestamp_seconds\{id="qemu\/103",.*\} (\d+)$/m.exec(stdout) ?? [];
    expect(Date.now() / 1000 - Number(age)).toBeGreaterThan(3 * 24 * 3600);
    expect(stdout).toMatch(
      /^pve_guest_last_backup_verification_state\{id="qemu\/107",.*,state="failed"\} 1$/m,
    );
    const collectors = [...stdout.matchAll(/^plumbline_collector_success\{collector="pve-.*\} (\d)$/gm)];
    expect(collectors.map(([, success]) => success)).toEqual(
      COLLECTORS.flatMap(({ name }) => (/^pve-/.test(name) ? "1" : [])),
    );
  });

  test("asks the Proxmox VE that the user has in the place of its own", async () => {
    const file = join(temporary, "pve.yaml");
    await using others = new PveApi(
      new PveCluster({ nodes: 1, guests: 1, release: "9.2", standalone: true }),
      {
        users: [AUDITOR],
      },
    );
    const { user, tokenName, secret } = AUDITOR_LOGIN;
    const target = {
      ...{ name: "own", endpoints: [new URL(await others.start()).host], user, token_name: tokenName },
      ...{ token_value: secret, fingerprint: PVE_TEST_CERTIFICATE.fingerprint },
    };
    writeFileSync(file, JSON.stringify({ pve: { targets: [target] } }));
    const { stdout } = await runToEnd("--once", `--config.file=${file}`);
    rmSync(file);
    const nodes = [...stdout.matchAll(/^plumbline_pve_target_info\{target="([^"]+)"/gm)];
    expect(nodes.map(([, target]) => target)).toEqual(["own"]);
    expect(others.requests.seen.length).toBeGreaterThan(5);
  });

  test("leaves nothing behind", async () => {
    await runToEnd("--once");
    expect(readdirSync(temporary)).toEqual([]);
  });
});

test("what reads the host, and asks the control plane, knows nothing of the demo", () => {
  const sources = ["src/csi", "src/host", "src/mayastor", "src/rest"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts"))
      .map((path) => join(folder, path)),
  );
  expect(sources.length).toBeGreaterThan(10);
  expect(sources.filter((path) => /\bdemo\b/i.test(readFileSync(join(ROOT, path), "utf8")))).toEqual([]);
});

describe("plumbline demo", () => {
  test("says what to open, serves every family, moves, and takes its host away when it ends", async () => {
    const demo = start("--web.listen-address=127.0.0.1:0");
    const welcome = await welcomeOf(demo);
    const url = /open\s+(http:\/\/\S+\/)/.exec(welcome)?.[1] ?? "";
    expect(welcome).toContain(`curl -s ${url}metrics`);
    expect(welcome).toContain(`targets: ["${new URL(url).host}"]`);
    expect(welcome).toContain("nvme5");
    expect(welcome).toContain("data-postgres-0");
    expect(welcome).toContain(`orders (pvc-${ORDERS.slice(0, 8)}…)`);
    const nodes = await fetch(/answers at (\S+):/.exec(welcome)?.[1] ?? "");
    expect(await nodes.text()).toContain('"worker-1"');
    expect(welcome).toContain("pve1 /dev/nvme0n1");
    const [, asUpstream = ""] = /curl -s '(\S+\/pve\?target=\S+)'/.exec(welcome) ?? [];
    expect(await (await fetch(asUpstream)).text()).toContain('pve_up{id="node/pve3"} 1');
    const [, directory = ""] = /--path\.sysfs=(\S+)\/sys/.exec(welcome) ?? [];
    expect(readdirSync(directory).sort()).toEqual(["dev", "proc", "sys", "var"]);

    const scrape = async () => await (await fetch(`${url}metrics`)).text();
    const first = await scrape();
    // A page is read at most once a second.
    await Bun.sleep(1200);
    const second = await scrape();
    // A scrape makes no more than one of the slow readings of Proxmox VE.
    const missing = (exposition: string) => {
      const families = familiesIn(exposition);
      return DOCUMENTED.filter((name) => !families.has(name) && !NEEDS_A_FAULT.includes(name));
    };
    await until(async () => missing(await scrape()).length === 0);
    const readOps = (exposition: string) =>
      Number(/^ebs_total_read_ops_total\{.*"nvme1n1".*\} (\d+)$/m.exec(exposition)?.[1]);
    expect(readOps(second)).toBeGreaterThan(readOps(first));

    expect(readdirSync(temporary)).toHaveLength(1);
    demo.kill("SIGTERM");
    expect(await demo.exited).toBe(0);
    expect(readdirSync(temporary)).toEqual([]);
  }, 30_000);

  test("loads its configuration again on SIGHUP, and stays on its simulated host", async () => {
    const file = join(temporary, "plumbline.yaml");
    writeFileSync(file, "collectors: {ebs: false}");
    const demo = start("--web.listen-address=127.0.0.1:0", `--config.file=${file}`);
    const [, url] = /open\s+(http:\/\/\S+\/)/.exec(await welcomeOf(demo)) ?? [];
    const scrape = async () => await (await fetch(`${url}metrics`)).text();
    expect(await scrape()).not.toContain('plumbline_collector_success{collector="ebs"}');

    writeFileSync(file, "collectors: {ebs: true}");
    demo.kill("SIGHUP");
    await until(async () => (await scrape()).includes('plumbline_collector_success{collector="ebs"} 1'));
    expect(familiesIn(await scrape())).toContain("ebs_total_read_ops_total");
    expect(await scrape()).toContain('mayastor_node_online{node_id="worker-1"} 1');
    rmSync(file);
  });

  test("says nothing of its own Mayastor where the user has one", async () => {
    const demo = start("--web.listen-address=127.0.0.1:0", "--mayastor.endpoint=http://127.0.0.1:9");
    expect(await welcomeOf(demo)).not.toContain("pvc-");
  });

  test("says so where its address is in use, and that another can be given", async () => {
    const other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
    try {
      const address = `127.0.0.1:${other.port}`;
      const { stderr, exitCode } = await runToEnd(`--web.listen-address=${address}`);
      expect(exitCode).toBe(1);
      expect(stderr).toContain(`cannot listen on ${address}: address already in use`);
      expect(stderr).toContain("--web.listen-address");
    } finally {
      await other.stop();
    }
  });
});
