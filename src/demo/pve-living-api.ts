/** The Proxmox VE API of the demo's cluster, and what the configuration of whoever asks it would say. */
import type { PveHostModule, PveSettings } from "../config/pve.ts";
import { Secret } from "../config/secret.ts";
import { PveApi } from "./pve-api.ts";
import { PVE_TEST_CERTIFICATE } from "./pve-certificate.ts";
import { livingPveCluster } from "./pve-living-cluster.ts";
import { AUDITOR, type PveUser } from "./pve-users.ts";

/** Begins so many ms after the cluster's moment 0. With `stands`, it stays there. */
export function livingPveApi(fromMs: number, { stands = false } = {}): PveApi {
  const since = Date.now() - fromMs;
  const elapsed = stands ? () => fromMs : () => Date.now() - since;
  return new PveApi(livingPveCluster(elapsed, since), { users: [BACKUP_AUDITOR] });
}

const SECRET = "3d0f4b1e-7a52-4c86-9b1d-5e8f2a60c7d4";

/** One who may read all of it, backups included. */
const BACKUP_AUDITOR: PveUser = {
  name: AUDITOR.name,
  acl: { "/": ["PVEAuditor", "PlumblineBackup"] },
  tokens: { demo: { secret: SECRET, privsep: false } },
};

const MODULE: PveHostModule = {
  credentials: { kind: "token", user: AUDITOR.name, tokenName: "demo", secret: Secret.of(SECRET) },
  tls: { fingerprint: PVE_TEST_CERTIFICATE.fingerprint, verify: true },
  timeoutMs: 5000,
  port: 8006,
  pathPrefix: "",
};

/** The collectors that are off where nobody asks for them. */
const COSTLY = { backups: true, "node-rrd": true, storage: true, "guest-fs": true };

/** The API at this URL as the one target, with all that can be read of it, and as what /pve may be sent to. */
export const askingLivingPve = (pve: PveSettings, url: string): PveSettings => ({
  ...pve,
  allowedTargets: pve.allowedTargets ?? [new URL(url).hostname],
  modules: pve.modules.size > 0 ? pve.modules : new Map([["default", MODULE]]),
  targets: [
    {
      name: "home",
      endpoints: [url],
      module: MODULE,
      cluster: undefined,
      collectors: COSTLY,
      // No drive sleeps there, and one that fails is to be seen at once.
      physicalDisks: { smartIntervalMs: 0, excludeNodes: [] },
      configGuestLimit: 500,
    },
  ],
});
