/** Simulated clusters of Proxmox VE behind a real scraper with every collector on, and the same hosts behind /pve. */
import { Secret } from "../../src/config/secret.ts";
import type { Settings } from "../../src/config/settings.ts";
import { PveApi } from "../../src/demo/pve-api.ts";
import { PVE_TEST_CERTIFICATE } from "../../src/demo/pve-certificate.ts";
import type { PveCluster } from "../../src/demo/pve-cluster.ts";
import type { PveUser } from "../../src/demo/pve-users.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { PVE_COLLECTORS } from "../../src/pve/collectors.ts";
import { NO_PVE, type PveTarget } from "../../src/pve/target.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { openCollectors } from "../../src/scrape/sources.ts";
import { ownMetrics, recordingLog } from "../scrape/fakes.ts";
import { settings, testApp } from "../web/support.ts";

const SECRET = "8d5f27c0-94a3-4b1e-a6d9-1f3c5b7e9d20";
const ROLES = { "/": ["PVEAuditor", "PlumblineBackup"] };
/** One who may also list backups. */
const READER: PveUser = {
  name: "plumbline@pve",
  acl: ROLES,
  tokens: { metrics: { secret: SECRET, acl: ROLES } },
};
const MODULE: PveTarget["module"] = {
  credentials: { kind: "token", user: READER.name, tokenName: "metrics", secret: Secret.of(SECRET) },
  tls: { fingerprint: PVE_TEST_CERTIFICATE.fingerprint, verify: true },
  timeoutMs: 5000,
};

export class PveScraping implements AsyncDisposable {
  readonly #apis: readonly PveApi[];
  readonly #addresses: readonly string[];
  readonly #opened: ReturnType<typeof openCollectors>;
  readonly #own = ownMetrics();
  readonly #scraper: Scraper;
  readonly #app = testApp([]);

  private constructor(apis: readonly PveApi[], urls: readonly string[]) {
    this.#apis = apis;
    this.#addresses = urls.map((url) => new URL(url).host);
    const targets = urls.map(
      (url, at): PveTarget => ({
        name: `target-${at}`,
        endpoints: [url],
        module: MODULE,
        cluster: undefined,
        collectors: Object.fromEntries(PVE_COLLECTORS.map(({ name }) => [name, true])),
        physicalDisks: { smartIntervalMs: 3_600_000, excludeNodes: [] },
        configGuestLimit: 500,
      }),
    );
    const log = recordingLog();
    const chosen: Settings["collectors"]["chosen"] = Object.fromEntries(
      PVE_COLLECTORS.map(({ name }) => [`pve-${name}`, true]),
    );
    this.#opened = openCollectors(
      { ...settings(), collectors: { disableDefaults: true, chosen }, pve: { ...NO_PVE, targets } },
      this.#own,
      log,
    );
    this.#scraper = new Scraper(this.#opened.collectors, this.#own, log);
    const modules = new Map([["default", { ...MODULE, port: 8006, pathPrefix: "" }]]);
    this.#app.settings = { ...this.#app.settings, pve: { ...NO_PVE, modules } };
  }

  static async start(...clusters: readonly PveCluster[]): Promise<PveScraping> {
    const apis = clusters.map((cluster) => new PveApi(cluster, { users: [READER] }));
    return new PveScraping(apis, await Promise.all(apis.map((api) => api.start())));
  }

  /** What /metrics gives. */
  async exposition(): Promise<string> {
    const { sets } = await this.#scraper.scrape({ timeoutMs: 10_000 });
    const { body, duplicates } = expose([...sets, await this.#own.samples()], "text");
    if (duplicates.length > 0) throw new Error(`series given twice: ${duplicates.join(", ")}`);
    return new TextDecoder().decode(body);
  }

  /** Until every slow reading has been made: each scrape begins one. */
  async warmUp(): Promise<void> {
    let before = -1;
    for (let same = 0; same < 3; ) {
      const now = await this.#slowReadings();
      same = now === before ? same + 1 : 0;
      before = now;
    }
  }

  async #slowReadings(): Promise<number> {
    const { sets } = await this.#scraper.scrape({ timeoutMs: 10_000, only: WITH_SLOW_READINGS });
    const text = new TextDecoder().decode(expose(sets, "text").body);
    return text.match(SLOW)?.length ?? 0;
  }

  /** What /pve gives of the first cluster. */
  async page(): Promise<string> {
    const response = await this.#app.get(`/pve?target=${this.#addresses[0]}`);
    if (response.status !== 200) throw new Error(`/pve answered ${response.status}`);
    return response.text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#opened.close();
    await Promise.all(this.#apis.map((api) => api.stop()));
  }
}

const WITH_SLOW_READINGS = ["pve-physical-disks", "pve-certificates", "pve-backups"];
/** At least one series for each slow reading. */
const SLOW =
  /^(?:pve_physical_disk_smart_timestamp_seconds|pve_certificate_info|pve_backup_listing_timestamp_seconds|pve_backup_task_last_end_timestamp_seconds)\{/gm;
