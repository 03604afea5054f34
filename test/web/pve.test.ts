/** /pve over a simulated Proxmox VE, as prometheus-pve-exporter's users ask it. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PveHostModule, PveSettings } from "../../src/config/pve.ts";
import { NO_PVE } from "../../src/config/pve.ts";
import { Secret } from "../../src/config/secret.ts";
import type { Settings } from "../../src/config/settings.ts";
import { PveApi, type PveApiOptions } from "../../src/demo/pve-api.ts";
import { PVE_TEST_ROOT } from "../../src/demo/pve-certificate.ts";
import { PveCluster } from "../../src/demo/pve-cluster.ts";
import { AUDITOR } from "../../src/demo/pve-users.ts";
import { testApp } from "./support.ts";

const SECRET = AUDITOR.tokens?.["metrics"]?.secret ?? "";
const scratch = mkdtempSync(join(tmpdir(), "plumbline-web-pve-"));
const CA = join(scratch, "ca.pem");
writeFileSync(CA, PVE_TEST_ROOT);
const opened: PveApi[] = [];
afterAll(async () => {
  for (const api of opened) await api.stop();
  rmSync(scratch, { recursive: true });
});

async function simulated(options: Partial<PveApiOptions> = {}) {
  const cluster = new PveCluster({ nodes: 3, guests: 12, release: "9.2" });
  const api = new PveApi(cluster, {
    users: [AUDITOR],
    ...options,
    knobs: { unauthorizedDelayMs: 0, ...options.knobs },
  });
  opened.push(api);
  return { api, target: (await api.start()).replace("https://", "") };
}

const module = (
  secret = SECRET,
  tls: PveHostModule["tls"] = { caFile: CA, verify: true },
): PveHostModule => ({
  credentials: { kind: "token", user: "plumbline@pve", tokenName: "metrics", secret: Secret.of(secret) },
  tls,
  timeoutMs: 5000,
  port: 8006,
  pathPrefix: "",
});

function appWith(pve: Partial<PveSettings> = {}, settings: Partial<Settings> = {}) {
  const app = testApp([]);
  app.settings = {
    ...app.settings,
    ...settings,
    pve: {
      ...NO_PVE,
      modules: new Map([
        ["default", module()],
        ["wrong", module("planted-token")],
      ]),
      ...pve,
    },
  };
  return app;
}

const { api, target } = await simulated();
const app = appWith();
const ask = async (query: string, init?: RequestInit) => {
  const response = await app.get(`/pve?${query}`, init);
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
};
const collectorsIn = (text: string) =>
  [...text.matchAll(/^plumbline_collector_success\{collector="pve-([^"]+)"\}/gm)].map(([, name]) => name);

const CLUSTER = ["backup-info", "cluster", "node", "qdevice", "resources", "status", "version"];
const NODE = ["config", "replication", "subscription"];

describe("/pve", () => {
  test("answers what the host says, and ends with its health", async () => {
    const { status, text } = await ask(`target=${target}`);
    expect(status).toBe(200);
    expect(text).toContain('pve_up{id="node/pve1"} 1\n');
    expect(text).toContain(`plumbline_pve_target_up{target="${target}"} 1\n`);
    expect(text).not.toContain('cluster=""');
    expect(collectorsIn(text).toSorted()).toEqual([...CLUSTER, ...NODE].toSorted());
  });

  test("is the text format 0.0.4, whatever is asked for", async () => {
    const { type, text } = await ask(`target=${target}`, {
      headers: { accept: "application/openmetrics-text;version=1.0.0" },
    });
    expect(type).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(text).not.toContain("# EOF");
  });

  test("is compressed where the client takes it", async () => {
    const response = await app.get(`/pve?target=${target}`, { headers: { "accept-encoding": "gzip" } });
    expect(response.headers.get("content-encoding")).toBe("gzip");
  });

  test("asks localhost with the module default where nothing is said", async () => {
    const [, port] = target.split(":");
    const here = appWith({ modules: new Map([["default", { ...module(), port: Number(port) }]]) });
    const text = await (await here.get("/pve")).text();
    expect(text).toContain('plumbline_pve_target_up{target="localhost"} 1\n');
  });

  test.each(["false", "0", "", "FALSE"])("node=%s leaves out what a node is asked for", async (off) => {
    const { text } = await ask(`target=${target}&node=${off}`);
    expect(collectorsIn(text).toSorted()).toEqual(CLUSTER);
  });

  test("cluster=0 leaves out what the cluster is asked for", async () => {
    expect(collectorsIn((await ask(`target=${target}&cluster=0`)).text).toSorted()).toEqual(NODE);
  });

  test("without both there is nothing, and nothing is asked", async () => {
    const before = api.requests.seen.length;
    expect(await ask(`target=${target}&cluster=0&node=0`)).toMatchObject({ status: 200, text: "" });
    expect(api.requests.seen.length).toBe(before);
  });
});

describe("collectors of /pve", () => {
  test("collect[] names exactly those that run, by either name, also ones that are off", async () => {
    const { text } = await ask(`target=${target}&collect[]=version&collect[]=pve-ha-status`);
    expect(collectorsIn(text).toSorted()).toEqual(["ha-status", "version"]);
  });

  test("collect[] acts inside what cluster and node leave", async () => {
    const { text } = await ask(`target=${target}&node=0&collect[]=version&collect[]=config`);
    expect(collectorsIn(text)).toEqual(["version"]);
  });

  test("exclude[] takes some away", async () => {
    const { text } = await ask(`target=${target}&exclude[]=config&exclude[]=pve-replication`);
    expect(collectorsIn(text).toSorted()).toEqual([...CLUSTER, "subscription"].toSorted());
  });

  test("a flag switches one on or off", async () => {
    const flagged = appWith(
      {},
      { collectors: { disableDefaults: false, chosen: { "pve-config": false, "pve-zfs": true } } },
    );
    const text = await (await flagged.get(`/pve?target=${target}&cluster=0`)).text();
    expect(collectorsIn(text).toSorted()).toEqual(["replication", "subscription", "zfs"]);
    const refused = await flagged.get(`/pve?target=${target}&collect[]=config`);
    expect([refused.status, await refused.text()]).toEqual([
      400,
      "the collector config is switched off by --no-collector.config\n",
    ]);
  });

  test.each([
    ["collect[]=versio", /^there is no collector "versio" for \/pve; the collectors are: status, node, /],
    ["collect[]=backups", /^there is no collector "backups" for \/pve/],
    ["exclude[]=nvme", /^there is no collector "nvme" for \/pve/],
    ["collect[]=version&exclude[]=config", /^collect\[\] and exclude\[\] cannot both be given\n$/],
  ])("%s is a wrong request", async (query, sentence) => {
    const { status, text } = await ask(`target=${target}&${query}`);
    expect(status).toBe(400);
    expect(text).toMatch(sentence);
  });
});

describe("a wrong request", () => {
  test("an unknown module is told as prometheus-pve-exporter tells it", async () => {
    expect(await ask(`target=${target}&module=x`)).toMatchObject({
      status: 400,
      text: "Module 'x' not found in config\n",
    });
  });

  test.each([
    "https://pve1",
    "pve1/x",
    "root@pve1",
    "pve1?x",
    "pve%201",
    "pve1%0A",
    "",
    "pve1:0",
    "pve1%23x",
  ])("target=%s is refused before any connection", async (text) => {
    const refused = await ask(`target=${text.replace("?", "%3F")}`);
    expect(refused.status).toBe(400);
    expect(refused.text).toContain("is no host; name one as pve1.lan");
  });

  test("a target outside of allowed_targets is refused before any connection", async () => {
    const guarded = appWith({ allowedTargets: ["*.lan", "192.0.2.0/24"] });
    const before = api.requests.seen.length;
    for (const host of [target, target.replace("127.0.0.1", "2130706433"), "pve1.lan.example"]) {
      const response = await guarded.get(`/pve?target=${host}`);
      expect([response.status, await response.text()]).toEqual([
        403,
        `target "${host}" is none of pve.allowed_targets; if it may be asked, add it there\n`,
      ]);
    }
    expect(api.requests.seen.length).toBe(before);
  });

  test("a target inside of allowed_targets is asked", async () => {
    const guarded = appWith({ allowedTargets: ["127.0.0.0/8"] });
    expect((await guarded.get(`/pve?target=${target}`)).status).toBe(200);
  });
});

describe("a host that gives nothing", () => {
  test("401 is 502, with who it was, what to look at, and no secret", async () => {
    const { status, text } = await ask(`target=${target}&module=wrong`);
    expect(status).toBe(502);
    expect(text).toContain("plumbline@pve!metrics");
    expect(text).toContain("journalctl -u pveproxy");
    expect(text).not.toContain("planted");
  });

  test("a certificate that nobody vouches for is 502, with what to set", async () => {
    const strict = appWith({ modules: new Map([["default", module(SECRET, { verify: true })]]) });
    const response = await strict.get(`/pve?target=${target}`);
    expect(response.status).toBe(502);
    expect(await response.text()).toMatch(/ca_file.*fingerprint/s);
  });

  test("one that is not there is 502", async () => {
    expect((await ask("target=127.0.0.1:1")).status).toBe(502);
  });

  test("one that does not answer in time is 504", async () => {
    const hung = await simulated({ knobs: { latencyMs: 60_000 } });
    const response = await app.get(`/pve?target=${hung.target}`, {
      headers: { "x-prometheus-scrape-timeout-seconds": "1" },
    });
    expect(response.status).toBe(504);
  });
});

describe("debug=true", () => {
  test("tells what happened in this scrape in place of the metrics", async () => {
    const { status, type, text } = await ask(`target=${target}&debug=true`);
    expect([status, type]).toEqual([200, "text/plain; charset=utf-8"]);
    expect(text).toMatch(/\d+ samples were read/);
    expect(text).not.toContain("# HELP");
    expect(text).not.toContain(SECRET);
  });

  test("tells why there are none, without a secret", async () => {
    const { status, text } = await ask(`target=${target}&module=wrong&debug=true`);
    expect(status).toBe(502);
    expect(text).toContain("plumbline@pve!metrics");
    expect(text).not.toContain("planted");
  });
});

describe("prometheus-pve-exporter's own metrics", () => {
  const metricsOf = async (one: ReturnType<typeof appWith>) => (await one.get("/metrics")).text();

  test("count collections and errors of each module from the start", async () => {
    const counted = appWith();
    counted.hosts.begin(counted.settings.pve);
    expect(await metricsOf(counted)).toContain('pve_request_errors_total{module="wrong"} 0\n');
    expect(await metricsOf(counted)).toContain('pve_collection_duration_seconds_count{module="default"} 0\n');
    await counted.get(`/pve?target=${target}`);
    await counted.get(`/pve?target=${target}&module=wrong`);
    await counted.get(`/pve?target=${target}&module=nobody`);
    const text = await metricsOf(counted);
    expect(text).toContain("# TYPE pve_collection_duration_seconds summary\n");
    expect(text).toContain('pve_collection_duration_seconds_count{module="default"} 1\n');
    expect(text).toContain('pve_request_errors_total{module="wrong"} 1\n');
    expect(text).not.toContain("nobody");
    expect(text).not.toContain("pve_scrape_");
  });

  test("tell of each URL and of each target where their flags are set", async () => {
    const counted = appWith({ apiMetrics: true, targetMetrics: true });
    await counted.get(`/pve?target=${target}&cluster=0`);
    const text = await metricsOf(counted);
    const url = `https://${target}/api2/json/cluster/status`;
    expect(text).toContain(`pve_scrape_api_duration_seconds_count{method="GET",url="${url}"} 1\n`);
    expect(text).toContain(`pve_scrape_api_errors_total{method="GET",url="${url}"} 0\n`);
    const labels = `target="${target}",cluster="0",node="1"`;
    expect(text).toContain(`pve_scrape_target_duration_seconds_count{${labels}} 1\n`);
    expect(text).toContain(`pve_scrape_target_duration_seconds_bucket{${labels},le="0.75"}`);
    expect(text).toContain(`pve_scrape_target_errors_total{${labels}} 0\n`);
  });

  test("are not there where /pve has no module", async () => {
    const bare = appWith({ modules: new Map() });
    bare.hosts.begin(bare.settings.pve);
    await bare.get(`/pve?target=${target}`);
    expect(await metricsOf(bare)).not.toContain("pve_");
  });
});

test("a reload that changes the token counts for the next scrape", async () => {
  const changing = appWith({ modules: new Map([["default", module("planted-token")]]) });
  expect((await changing.get(`/pve?target=${target}`)).status).toBe(502);
  changing.settings = {
    ...changing.settings,
    pve: { ...changing.settings.pve, modules: new Map([["default", module()]]) },
  };
  expect((await changing.get(`/pve?target=${target}`)).status).toBe(200);
});
