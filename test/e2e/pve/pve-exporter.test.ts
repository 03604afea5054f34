/** The compiled binary in the place of prometheus-pve-exporter: called by its name, with its pve.yml, over TLS. */
import { beforeAll, expect, test } from "bun:test";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { PveApi } from "../../../src/demo/pve-api.ts";
import { PVE_TEST_ROOT } from "../../../src/demo/pve-certificate.ts";
import { PveCluster } from "../../../src/demo/pve-cluster.ts";
import { plumblineBinary } from "../../support/binary.ts";
import { describeWith, PROMETHEUS, PROMTOOL } from "../../support/debian.ts";
import { freePort } from "../../support/ports.ts";
import { watch } from "../../support/processes.ts";
import { startPrometheus } from "../../support/prometheus.ts";
import { checkMetrics } from "../../support/promtool.ts";
import { seriesOfExposition } from "../../support/series.ts";
import { PveDirectory, READER, TOKEN } from "./service.ts";

const PATIENCE_MS = 120_000;

let binary: string;
beforeAll(async () => {
  binary = await plumblineBinary();
}, PATIENCE_MS);

/** `origin` of the program, and what it may log in with. */
async function pveExporter(directory: PveDirectory, token = TOKEN) {
  const program = join(directory.path, "pve_exporter");
  symlinkSync(binary, program);
  const file = directory.secret(
    "pve.yml",
    JSON.stringify({
      default: {
        ...{ user: READER.name, token_name: "metrics", token_value: token },
        verify_ssl: directory.write("ca.pem", PVE_TEST_ROOT),
      },
    }),
  );
  const process = watch([program, `--config.file=${file}`, "--web.listen-address=127.0.0.1:0"]);
  const { origin } = new URL(await process.line(/address="?(http:[^\s"]+)/));
  return { process, origin, get: (target: string) => fetch(`${origin}/pve?target=${target}`) };
}

const apiOf = (users = [READER]): PveApi =>
  new PveApi(new PveCluster({ nodes: 3, guests: 6, release: "9.2", name: "prod", since: Date.now() }), {
    ...{ users, knobs: { unauthorizedDelayMs: 0 } },
  });

test(
  "an API that refuses, and one that is not there, are a 502 with one sentence of what to do",
  async () => {
    await using api = apiOf();
    using directory = new PveDirectory();
    const { process, get } = await pveExporter(directory, "0ther-t0ken");
    await using _ = process;
    const refused = await get(new URL(await api.start()).host);
    const sentence = await refused.text();
    expect(refused.status).toBe(502);
    expect(sentence).toContain("journalctl -u pveproxy");
    const gone = await get(`127.0.0.1:${await freePort()}`);
    expect(gone.status).toBe(502);
    expect([sentence, await gone.text()].map((text) => text.trim().split("\n").length)).toEqual([1, 1]);
    expect(`${sentence}${process.log()}`).not.toContain("0ther-t0ken");
  },
  PATIENCE_MS,
);

describeWith(
  [PROMTOOL, PROMETHEUS],
  "a Prometheus with the scrape configuration of prometheus-pve-exporter",
  () => {
    test(
      "has every series that /pve tells, and promtool objects to nothing but names of the peer",
      async () => {
        await using api = apiOf();
        using directory = new PveDirectory();
        const { process, origin, get } = await pveExporter(directory);
        await using _ = process;
        const { host } = new URL(await api.start());
        await using prometheus = await startPrometheus(
          [
            "metrics_path: /pve",
            "params: { module: [default], cluster: ['1'], node: ['1'] }",
            `static_configs: [{ targets: ["${host}"] }]`,
            "relabel_configs:",
            "  - { source_labels: [__address__], target_label: __param_target }",
            "  - { source_labels: [__param_target], target_label: instance }",
            `  - { target_label: __address__, replacement: "${new URL(origin).host}" }`,
          ].join("\n"),
        );
        await prometheus.until('pve_up{id="cluster/prod"}', 1);
        const text = await (await get(host)).text();
        expect(checkMetrics(text).objections).toEqual([]);
        const ours = [...seriesOfExposition(text)].filter(([key]) => key.startsWith("pve_"));
        const theirs = await prometheus.query('{job="plumbline",__name__=~"pve_.*"}');
        expect(ours.length).toBeGreaterThan(200);
        // Prometheus forgets a label without a value.
        expect(ours.filter(([key, value]) => theirs.get(withoutEmpty(key)) !== value)).toEqual([]);
      },
      PATIENCE_MS,
    );
  },
);

const withoutEmpty = (key: string): string => key.replaceAll(/\w+="",?/g, "").replaceAll(",}", "}");
