/** A real plumbline that asks simulated Proxmox VEs, and what their part of its configuration says. */
import { chmodSync } from "node:fs";
import { PVE_TEST_ROOT } from "../../../src/demo/pve-certificate.ts";
import { AUDITOR, type PveUser } from "../../../src/demo/pve-users.ts";
import { Directory } from "../mayastor/service.ts";

export { type Run, run, type Scrape, type Service, serve } from "../mayastor/service.ts";

/** One who may read all, backups included; the token has words of its own, so that a part of it would be found too. */
export const TOKEN = "c0ffee11-plan-ted0-7e57-0123456789ab";
export const READER: PveUser = {
  name: AUDITOR.name,
  acl: { "/": ["PVEAuditor", "PlumblineBackup"] },
  tokens: { metrics: { secret: TOKEN, privsep: false } },
};

/** Collectors of Proxmox VE alone. */
export const ONLY_PVE: readonly string[] = ["nvme", "ebs", "instance_store", "csi"].map(
  (name) => `--no-collector.${name}`,
);

export class PveDirectory extends Directory {
  /** Nobody else may read what is secret. */
  secret(name: string, content: string): string {
    const path = this.write(name, content);
    chmodSync(path, 0o600);
    return path;
  }

  /** An entry of pve.targets: the token in a file, and the CA that the simulated API's certificate is of. */
  target(name: string, endpoints: readonly string[], more: Readonly<Record<string, unknown>> = {}): object {
    return {
      name,
      endpoints: endpoints.map((url) => new URL(url).host),
      user: READER.name,
      token_name: "metrics",
      token_file: this.secret("token", `${TOKEN}\n`),
      ca_file: this.write("pve-root-ca.pem", PVE_TEST_ROOT),
      ...more,
    };
  }

  /** The path of the configuration file. */
  pve(...targets: readonly object[]): string {
    return this.write("plumbline.yml", JSON.stringify({ pve: { targets } }));
  }
}
