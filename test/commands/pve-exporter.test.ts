/** The program under the name of prometheus-pve-exporter, with that one's flags and files alone. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import { PveApi } from "../../src/demo/pve-api.ts";
import { PVE_TEST_CERTIFICATE, PVE_TEST_ROOT } from "../../src/demo/pve-certificate.ts";
import { PveCluster } from "../../src/demo/pve-cluster.ts";
import { AUDITOR } from "../../src/demo/pve-users.ts";
import { type Process, watch } from "../support/processes.ts";

const scratch = mkdtempSync(join(tmpdir(), "pve-exporter-"));
const api = new PveApi(new PveCluster({ nodes: 3, guests: 6, release: "9.2" }), { users: [AUDITOR] });
const target = (await api.start()).replace("https://", "");
afterAll(async () => {
  await api.stop();
  rmSync(scratch, { recursive: true });
});

const file = (name: string, text: string): string => {
  const path = join(scratch, name);
  writeFileSync(path, text);
  chmodSync(path, 0o600);
  return path;
};
file("ca.pem", PVE_TEST_ROOT);
const PVE_YML = file(
  "pve.yml",
  `default: {user: plumbline@pve, token_name: metrics, token_value: ${AUDITOR.tokens?.["metrics"]?.secret}, verify_ssl: ca.pem}\n`,
);

/** The shell gives the program another name, as a link to the executable does. */
const asPveExporter = (flags: readonly string[]): string[] => [
  "bash",
  "-c",
  'exec -a pve_exporter "$@"',
  "bash",
  process.execPath,
  join(ROOT, "src/main.ts"),
  ...flags,
];
const pveExporter = (flags: readonly string[], environment: Readonly<Record<string, string>> = {}): Process =>
  watch(asPveExporter(flags), environment);

const LISTEN = "--web.listen-address=127.0.0.1:0";
const addressOf = (service: Process) => service.line(/address="?(https?:[^\s"]+)/);

describe("pve_exporter", () => {
  test("serves /pve and its metrics with pve.yml and its flags", async () => {
    await using service = pveExporter([
      LISTEN,
      `--config.file=${PVE_YML}`,
      "--no-collector.config",
      "--collector.status",
      "--collector.pve-api-metrics",
    ]);
    const address = await addressOf(service);
    const text = await (
      await fetch(`${address}/pve?target=${target}&module=default&cluster=1&node=1`)
    ).text();
    expect(text).toContain('pve_up{id="node/pve1"} 1\n');
    expect(text).not.toContain('collector="pve-config"');
    const own = await (await fetch(`${address}/metrics`)).text();
    expect(own).toContain('pve_collection_duration_seconds_count{module="default"} 1\n');
    expect(own).toContain("pve_scrape_api_duration_seconds_bucket");
    expect(own).not.toMatch(/^nvme_|collector="nvme"/m);
  });

  test("serves with the variables alone", async () => {
    await using service = pveExporter([LISTEN], {
      PVE_USER: AUDITOR.name,
      PVE_PASSWORD: AUDITOR.password ?? "",
      PVE_VERIFY_SSL: "false",
    });
    const address = await addressOf(service);
    expect((await fetch(`${address}/pve?target=${target}`)).status).toBe(200);
    expect(service.log()).toContain("pve.allowed_targets is not set");
    // Its file has no room for it.
    expect(service.log()).toContain("(--pve.allowed-targets)");
    expect(service.log()).not.toContain(AUDITOR.password ?? "");
  });

  test("serves over TLS with --server.keyfile and --server.certfile", async () => {
    await using service = pveExporter([
      LISTEN,
      `--config.file=${PVE_YML}`,
      `--server.keyfile=${file("key.pem", PVE_TEST_CERTIFICATE.key)}`,
      `--server.certfile=${file("cert.pem", PVE_TEST_CERTIFICATE.cert)}`,
    ]);
    const address = await addressOf(service);
    expect(address).toStartWith("https:");
    const response = await fetch(`${address}/-/healthy`, { tls: { ca: PVE_TEST_ROOT } });
    expect(response.status).toBe(200);
  });

  test("wants both, the key and the certificate", async () => {
    await using service = pveExporter([LISTEN, `--config.file=${PVE_YML}`, "--server.keyfile=/key.pem"]);
    expect(await service.line(/(belong together)/)).toBe("belong together");
  });

  test("has its own defaults in its help", async () => {
    const { exitCode, stdout } = Bun.spawnSync(asPveExporter(["--help"]));
    expect(exitCode).toBe(0);
    const text = String(stdout).replaceAll(/\s+/g, " ");
    expect(text).toContain("(default: [::]:9221)");
    expect(text).toContain("(default: /etc/prometheus/pve.yml)");
  });

  test("names its file where it cannot be read", async () => {
    await using service = pveExporter(["--config.file=/nonexistent/pve.yml"]);
    expect(await service.line(/(\/nonexistent\/pve\.yml: no such file)/)).toContain("no such file");
  });
});
