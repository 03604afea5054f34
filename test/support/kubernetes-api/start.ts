/**
 * The Kubernetes API server of the test kit: in this process, over TLS with a CA of its own. It lists, watches, applies
 * and refuses as a real one does; conformance.ts says what that is, and is run on both.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { stringify } from "yaml";
import {
  type Kind,
  type KubernetesObject,
  type Manifest,
  NODE,
  POD,
} from "../../../src/kubernetes/object.ts";
import { HostileServer } from "../hostile-server.ts";
import { ANONYMOUS, type User } from "./access.ts";
import { ServiceAccount } from "./accounts.ts";
import { type Certificate, type ClusterCertificates, clusterCertificates } from "./certificates.ts";
import { Collector } from "./collector.ts";
import type {
  Account,
  FakeKubernetes,
  Fault,
  FaultHandle,
  FaultPlace,
  KeyPair,
  KubernetesApiOptions,
  PodState,
  Requested,
  Rule,
} from "./contract.ts";
import { DaemonSets, POD_STATE_ANNOTATION } from "./daemon-sets.ts";
import { Faults } from "./faults.ts";
import { membersOf } from "./json.ts";
import { Kinds } from "./kinds.ts";
import { nodeNamed } from "./nodes.ts";
import { type By, Registry, type Where } from "./registry.ts";
import { NAMESPACES, type ServedKind } from "./served-kinds.ts";
import { Serving } from "./serving.ts";
import { Store } from "./store.ts";

export type * from "./contract.ts";

export async function startKubernetesApi(options: KubernetesApiOptions = {}): Promise<FakeKubernetes> {
  const cluster = new Cluster(options, await clusterCertificates());
  await cluster.listen(options.port ?? 0);
  return cluster;
}

const HAND: By = { manager: "another-client", part: "all" };

class Cluster implements FakeKubernetes {
  readonly directory = mkdtempSync(join(tmpdir(), "plumbline-kubernetes-"));
  readonly token = crypto.randomUUID();
  readonly kubeconfig = join(this.directory, "kubeconfig");
  readonly caFile = join(this.directory, "ca.crt");
  readonly clientCertificate: KeyPair;
  readonly expiredCertificate: KeyPair;
  readonly #certificates: ClusterCertificates;
  readonly #store = new Store();
  readonly #kinds = new Kinds(this.#store);
  readonly #registry = new Registry(this.#store);
  readonly #faults = new Faults();
  readonly #accounts: ServiceAccount[] = [];
  readonly #serving: Serving;
  readonly #collector: Collector;
  readonly #daemonSets: DaemonSets | undefined;
  #server: HostileServer | undefined;
  #port = 0;

  constructor(options: KubernetesApiOptions, certificates: ClusterCertificates) {
    this.#certificates = certificates;
    writeFileSync(this.caFile, this.ca);
    this.clientCertificate = this.#written("admin", certificates.client);
    this.expiredCertificate = this.#written("expired", certificates.expired);
    this.#serving = new Serving({
      store: this.#store,
      kinds: this.#kinds,
      registry: this.#registry,
      faults: this.#faults,
      user: (authorization, connection) => this.#userOf(authorization, connection),
      bookmarkMs: options.bookmarkMs ?? 1000,
    });
    this.#collector = new Collector(this.#store, this.#kinds, this.#registry);
    if (options.controllers === true) {
      const { podIp = nextPodIp(), podStartMs = 0 } = options;
      this.#daemonSets = new DaemonSets(this.#store, this.#registry, { podIp, podStartMs });
    }
    for (const name of ["default", "kube-system", "kube-public"]) this.#ensureNamespace(name);
    for (const crd of options.crds ?? []) this.put(crd);
    for (let index = 1; index <= (options.nodes ?? 0); index++) this.addNode(`fake-${index}`);
  }

  async listen(port: number): Promise<void> {
    const { server, ca } = this.#certificates;
    const tls = {
      cert: server.cert,
      key: server.key,
      ca: ca.cert,
      requestCert: true,
      rejectUnauthorized: false,
    };
    this.#server = await HostileServer.start(this.#serving.conduct, { port, tls });
    this.#port = this.#server.port;
    writeFileSync(this.kubeconfig, this.#kubeconfig());
  }

  get server(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  get ca(): string {
    return this.#certificates.ca.cert;
  }

  get requests(): readonly Requested[] {
    return this.#serving.requests;
  }

  get watches(): readonly Requested[] {
    return [...this.#serving.watches.values()];
  }

  objects(kind: Kind, namespace?: string): readonly KubernetesObject[] {
    const served = this.#kinds.of(kind);
    return served === undefined ? [] : structuredClone(this.#store.list(served, namespace));
  }

  object(kind: Kind, name: string, namespace?: string): KubernetesObject | undefined {
    const served = this.#kinds.of(kind);
    return served && structuredClone(this.#store.get(served, name, namespace));
  }

  put(manifest: Manifest): KubernetesObject {
    const { name, namespace } = manifest.metadata;
    if (namespace !== undefined) this.#ensureNamespace(namespace);
    const where = { kind: this.#kind(manifest), name, namespace };
    const exists = this.#store.get(where.kind, name, namespace) !== undefined;
    return exists
      ? this.#registry.replace(where, manifest, HAND)
      : this.#registry.create(where, manifest, HAND);
  }

  edit(kind: Kind, name: string, namespace: string | undefined, patch: unknown): KubernetesObject {
    return this.#registry.mergePatch({ kind: this.#kind(kind), name, namespace }, patch, HAND);
  }

  remove(kind: Kind, name: string, namespace?: string): void {
    this.#registry.delete({ kind: this.#kind(kind), name, namespace });
  }

  addNode(name: string): KubernetesObject {
    return this.put(nodeNamed(name, this.objects(NODE).length));
  }

  stopControllers(): void {
    this.#daemonSets?.stop();
  }

  refusePods(node: string): void {
    this.#daemonSets?.refuse(node);
  }

  setPod(name: string, namespace: string, state: PodState): void {
    this.edit(POD, name, namespace, { metadata: { annotations: { [POD_STATE_ANNOTATION]: state } } });
  }

  account(name: string, namespace: string, rules: readonly Rule[]): Account {
    const account = new ServiceAccount(name, namespace, rules, this.directory, this.ca);
    this.#accounts.push(account);
    return account;
  }

  fault(fault: Fault, where?: FaultPlace): FaultHandle {
    return this.#faults.add(fault, where);
  }

  dropWatches(options: { readonly kind?: Kind; readonly isMidLine?: boolean } = {}): void {
    for (const watch of [...this.#serving.watches.keys()])
      if (options.kind === undefined || watch.watched.kind.plural === options.kind.plural)
        watch.drop(options.isMidLine ?? false);
  }

  compact(): void {
    this.#store.forget();
    this.#serving.lists.forget();
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = undefined;
  }

  async restart(): Promise<void> {
    await this.stop();
    this.#store.skip();
    this.compact();
    await this.listen(this.#port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#daemonSets?.stop();
    this.#collector.stop();
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #written(name: string, { cert, key }: Certificate): KeyPair {
    const [certFile, keyFile] = [join(this.directory, `${name}.crt`), join(this.directory, `${name}.key`)];
    writeFileSync(certFile, cert);
    writeFileSync(keyFile, key);
    return { certFile, keyFile, cert, key };
  }

  #kind(kind: Pick<Kind, "apiVersion" | "kind">): ServedKind {
    const served = this.#kinds.of(kind);
    if (served === undefined) throw new Error(`the server has no ${kind.kind} of ${kind.apiVersion}`);
    return served;
  }

  #ensureNamespace(name: string): void {
    const where: Where = { kind: NAMESPACES, name, namespace: undefined };
    if (this.#store.get(NAMESPACES, name, undefined) !== undefined) return;
    const metadata = { name, labels: { "kubernetes.io/metadata.name": name } };
    this.#registry.create(where, { metadata }, { manager: "kube-apiserver", part: "all" });
  }

  #userOf(authorization: string | undefined, connection: Socket): User | undefined {
    if (authorization === undefined) return userOfCertificate(connection);
    const token = /^Bearer (.+)$/.exec(authorization)?.[1] ?? "";
    if (token === this.token) return ADMIN;
    return this.#accounts.find((account) => account.takes(token))?.user;
  }

  #kubeconfig(): string {
    return stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "kit",
      contexts: [{ name: "kit", context: { cluster: "kit", user: "admin" } }],
      clusters: [{ name: "kit", cluster: { server: this.server, "certificate-authority": this.caFile } }],
      users: [{ name: "admin", user: { token: this.token } }],
    });
  }
}

function nextPodIp(): () => string {
  let last = 0;
  return () => {
    last++;
    return `10.88.${last >> 8}.${last & 255}`;
  };
}

const ADMIN: User = { name: "admin", rules: undefined };

/** Undefined for one that is past its time, or of another CA. */
function userOfCertificate(connection: Socket): User | undefined {
  if (!(connection instanceof TLSSocket)) return ANONYMOUS;
  const subject = membersOf(connection.getPeerCertificate()?.subject);
  if (subject["CN"] === undefined) return ANONYMOUS;
  return connection.authorized && subject["CN"] === "admin" ? ADMIN : undefined;
}
