/** A real Prometheus scrapes the service on a simulated host: it takes every series, with its value. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeWith, OPENSSL, PROMETHEUS } from "../support/debian.ts";
import { withHost } from "../support/nvme-host.ts";
import { MIXED } from "../support/nvme-hosts.ts";
import { type Process, watch } from "../support/processes.ts";
import { type Prometheus, startPrometheus } from "../support/prometheus.ts";
import { seriesOfExposition } from "../support/series.ts";
import { makeCertificates } from "../web/certificates.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
/** Of these every value stays as it is, because the host does; the others tell of the process and of each scrape. */
const OF_DEVICES = /^(?:nvme|ebs|ec2_instance_store)_/;

const demo = (host: { readonly sysfs: string; readonly devfs: string }, ...flags: string[]): Process =>
  watch([
    ...[process.execPath, MAIN, "demo", "--web.listen-address=127.0.0.1:0"],
    ...[`--path.sysfs=${host.sysfs}`, `--path.devfs=${host.devfs}`, "--node-name=e2e", ...flags],
  ]);

const addressOf = (service: Process): Promise<URL> =>
  service.line(/address="?(https?:[^\s"]+)/).then((address) => new URL(address));

/** The format that Prometheus prefers. */
const OPENMETRICS = { accept: "application/openmetrics-text; version=1.0.0" };

/** `exposition` is what the service answers to us: the same, but for its own metrics, as to Prometheus. */
async function expectAllIn(prometheus: Prometheus, exposition: string): Promise<void> {
  await prometheus.until("up", 1);
  const ours = seriesOfExposition(exposition, "openmetrics");
  // The first answers may come before every counter of an HTTP code is there.
  await prometheus.until("scrape_samples_scraped", ours.size);
  await prometheus.until("scrape_samples_post_metric_relabeling", ours.size);

  const theirs = await prometheus.query('{job="plumbline"}');
  const devices = [...ours].filter(([series]) => OF_DEVICES.test(series));
  expect(devices.length).toBeGreaterThan(500);
  expect(devices.filter(([series, value]) => !Object.is(theirs.get(series), value))).toEqual([]);
  expect([...ours.keys()].filter((series) => !theirs.has(series))).toEqual([]);
  expect(await prometheus.query("plumbline_collector_success")).toEqual(
    new Map(
      ["ebs", "instance_store", "nvme"].map((name) => [
        `plumbline_collector_success{collector="${name}"}`,
        1,
      ]),
    ),
  );
}

describeWith([PROMETHEUS], "Prometheus", () => {
  test("takes every series of a plain scrape with its value", async () => {
    await withHost(MIXED, async (host) => {
      await using service = demo(host);
      const { host: target } = await addressOf(service);
      await using prometheus = await startPrometheus(`static_configs: [{ targets: ["${target}"] }]`);
      await prometheus.until("up", 1);
      const exposition = await (await fetch(`http://${target}/metrics`, { headers: OPENMETRICS })).text();
      await expectAllIn(prometheus, exposition);
    });
  }, 60_000);
});

describeWith([PROMETHEUS, OPENSSL], "Prometheus over TLS with a password and a client certificate", () => {
  test("takes every series, and nothing where one of the two is missing", async () => {
    const made = makeCertificates();
    const directory = mkdtempSync(join(tmpdir(), "plumbline-e2e-"));
    const webConfig = join(directory, "web.yml");
    const hash = await Bun.password.hash("open sesame", { algorithm: "bcrypt", cost: 4 });
    writeFileSync(
      webConfig,
      [
        "tls_server_config:",
        `  cert_file: ${made.server.certFile}`,
        `  key_file: ${made.server.keyFile}`,
        "  client_auth_type: RequireAndVerifyClientCert",
        `  client_ca_file: ${made.ca.certFile}`,
        "basic_auth_users:",
        `  prometheus: ${hash}`,
        "",
      ].join("\n"),
    );
    const job = (target: string, tls: string, password: string) =>
      `scheme: https
basic_auth: { username: prometheus, password: "${password}" }
tls_config: { ca_file: "${made.ca.certFile}"${tls} }
static_configs: [{ targets: ["${target}"] }]`;
    const clientTls = `, cert_file: "${made.client.certFile}", key_file: "${made.client.keyFile}"`;
    try {
      await withHost(MIXED, async (host) => {
        await using service = demo(host, `--web.config.file=${webConfig}`);
        const { host: target } = await addressOf(service);
        await using prometheus = await startPrometheus(job(target, clientTls, "open sesame"));
        await using stranger = await startPrometheus(job(target, "", "open sesame"));
        await using guesser = await startPrometheus(job(target, clientTls, "wrong"));
        await prometheus.until("up", 1);
        const answer = await fetch(`https://${target}/metrics`, {
          headers: { ...OPENMETRICS, authorization: `Basic ${btoa("prometheus:open sesame")}` },
          tls: { ca: made.ca.cert, cert: made.client.cert, key: made.client.key },
        });
        await expectAllIn(prometheus, await answer.text());
        await stranger.until("up", 0);
        await guesser.until("up", 0);
        expect(await guesser.targets()).toContain("401");
      });
    } finally {
      rmSync(directory, { recursive: true });
      rmSync(made.directory, { recursive: true });
    }
  }, 60_000);
});
