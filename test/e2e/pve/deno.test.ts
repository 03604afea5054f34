/** The same sources under Deno: a Proxmox VE gives the same series, and fails in the same words, as under Bun. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../../.ci/build.ts";
import { PveApi } from "../../../src/demo/pve-api.ts";
import { PVE_TEST_CERTIFICATE } from "../../../src/demo/pve-certificate.ts";
import { PveCluster } from "../../../src/demo/pve-cluster.ts";
import { describeUnless } from "../../support/debian.ts";
import { denoPath } from "../../support/deno.ts";
import { FROM_SOURCES } from "../../support/source-runs.ts";
import { ONLY_PVE, PveDirectory, READER, run, serve } from "./service.ts";

const PATIENCE_MS = 60_000;
const deno = denoPath();
const LACKING = deno === undefined ? "Deno is missing: bun install, or put deno on the PATH" : undefined;
const PASSWORD = "p1anted-passw0rd";
const WITH_PASSWORD = { token_name: undefined, token_file: undefined, password: PASSWORD };

describeUnless(LACKING, "under Deno", () => {
  const underDeno = (...rights: string[]) => [
    ...[deno ?? "", "run", "--quiet", "--no-prompt", ...rights, join(ROOT, "src/main.ts")],
  ];
  /** The least that serves. */
  const FEW = ["--allow-read", "--allow-env", "--allow-sys=hostname", "--allow-ffi", "--allow-net=127.0.0.1"];

  /** What one run of textfile writes, but for times, and what it logs. */
  async function collect(command: readonly string[], more: Readonly<Record<string, unknown>>) {
    const cluster = new PveCluster({ nodes: 3, guests: 6, release: "9.2", since: NOW });
    await using api = new PveApi(cluster, {
      users: [{ ...READER, password: PASSWORD }],
      knobs: { unauthorizedDelayMs: 0 },
    });
    using directory = new PveDirectory();
    const url = await api.start();
    const file = directory.secret(
      "plumbline.yml",
      JSON.stringify({ pve: { targets: [directory.target("lab", [url], more)] } }),
    );
    const { status, stderr } = await run([
      ...[...command, "textfile", ...ONLY_PVE, `--config.file=${file}`, "--collector.pve-backups"],
      ...[`--textfile.directory=${directory.path}`, `--state.directory=${join(directory.path, "state")}`],
    ]);
    const text = readFileSync(join(directory.path, "plumbline.prom"), "utf8").replaceAll(
      url,
      "https://ENDPOINT",
    );
    return {
      status,
      lines: text.split("\n").filter((line) => !OF_THE_RUN.test(line)),
      log: stderr
        .replaceAll(/^ts=\S+ /gm, "")
        .replaceAll(url, "https://ENDPOINT")
        .replaceAll(directory.path, "DIRECTORY"),
    };
  }

  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    ["a token and a CA", {}, 'plumbline_pve_target_up{target="lab"} 1'],
    [
      "a fingerprint",
      { ca_file: undefined, fingerprint: PVE_TEST_CERTIFICATE.fingerprint },
      'pve_up{id="node/pve3"} 1',
    ],
    ["a password", WITH_PASSWORD, 'pve_up{id="node/pve3"} 1'],
    ["another password", { ...WITH_PASSWORD, password: "other" }, 'plumbline_pve_target_up{target="lab"} 0'],
    ["a certificate that is not trusted", { ca_file: undefined }, 'plumbline_pve_target_up{target="lab"} 0'],
    [
      "another fingerprint",
      { ca_file: undefined, fingerprint: PVE_TEST_CERTIFICATE.fingerprint.replace("13", "14") },
      'plumbline_pve_target_up{target="lab"} 0',
    ],
  ])(
    "%s: as under Bun",
    async (_, more, expected) => {
      const bun = await collect(FROM_SOURCES, more);
      const other = await collect(underDeno("--allow-all"), more);
      expect(other).toEqual(bun);
      expect(other.lines).toContain(expected);
    },
    PATIENCE_MS,
  );

  test(
    "/pve and /metrics are served",
    async () => {
      await using api = new PveApi(new PveCluster({ nodes: 3, guests: 6, release: "9.2" }), {
        users: [READER],
      });
      using directory = new PveDirectory();
      const file = directory.pve(directory.target("lab", [await api.start()]));
      await using service = await serve(underDeno(...FEW), [...ONLY_PVE, `--config.file=${file}`]);
      const { text } = await service.scrape();
      expect(text).toContain('pve_up{id="node/pve3"} 1');
      expect(await service.page("/pve?module=other")).toContain("Module 'other' not found in config");
    },
    PATIENCE_MS,
  );
});

const NOW = Date.now();
const OF_THE_RUN =
  /^(?:# (?:HELP|TYPE) )?(?:plumbline_(?!pve_)|pve_\w*(?:smart|listing)_timestamp_seconds)|_duration_seconds|^plumbline_pve_api_requests_total/;
