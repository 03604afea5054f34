/** Calls to a simulated Proxmox VE, and how they ended, one a line: the same in each runtime. */
import { exit, stdout } from "node:process";
import { PveApi } from "../../src/demo/pve-api.ts";
import { PveCluster } from "../../src/demo/pve-cluster.ts";
import { AUDITOR } from "../../src/demo/pve-users.ts";
import { byPassword, byToken, Caller, FINGERPRINT } from "./calling.ts";

const cluster = new PveCluster({ nodes: 3, guests: 12, release: "9.2" });
const knobs = { unauthorizedDelayMs: 0, requestsPerConnection: 3 };
const api = new PveApi(cluster, { users: [AUDITOR], knobs });
const url = await api.start();
const lines: string[] = [];
for (const credentials of [byToken(), byPassword(), byToken("wrong"), byPassword("wrong")]) {
  for (const tls of [FINGERPRINT, { verify: false }, { verify: true }]) {
    using caller = new Caller(url, { credentials, tls });
    for (const path of ["/version", "/cluster/status", "/nodes/pve9/status", "/nodes/pve1/qemu/999/config"]) {
      const { data, failure } = await caller.get(path);
      const outcome = failure ?? { reason: typeof data, status: 200, phrase: "", network: "" };
      const { reason, status, phrase, network } = outcome;
      lines.push(JSON.stringify([credentials.kind, tls, path, reason, status, phrase, network]));
    }
    lines.push(JSON.stringify(await caller.results()));
  }
}
stdout.write(lines.join("\n"), () => exit(0));
