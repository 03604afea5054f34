/** A ServiceAccount with its tokens, and the folder in which a pod would find them. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { User } from "./access.ts";
import type { Account, Rule } from "./contract.ts";

export class ServiceAccount implements Account {
  readonly directory: string;
  readonly tokenFile: string;
  readonly user: User;
  rules: readonly Rule[];
  #token = "";
  #isRevoked = false;

  constructor(name: string, namespace: string, rules: readonly Rule[], parent: string, ca: string) {
    this.rules = rules;
    this.user = { name: `system:serviceaccount:${namespace}:${name}`, rules: () => this.rules };
    this.directory = join(parent, "accounts", namespace, name);
    this.tokenFile = join(this.directory, "token");
    mkdirSync(this.directory, { recursive: true });
    writeFileSync(join(this.directory, "ca.crt"), ca);
    writeFileSync(join(this.directory, "namespace"), namespace);
    this.rotate();
  }

  get token(): string {
    return this.#token;
  }

  takes(token: string): boolean {
    return !this.#isRevoked && token === this.#token;
  }

  /** In one step, as the kubelet does it. */
  rotate(): string {
    this.#token = `token-${crypto.randomUUID()}`;
    this.#isRevoked = false;
    const next = `${this.tokenFile}.next`;
    writeFileSync(next, this.#token);
    renameSync(next, this.tokenFile);
    return this.#token;
  }

  revoke(): void {
    this.#isRevoked = true;
  }
}
