/**
 * A real control plane on 127.0.0.1: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, and nodes that are
 * played. Every cluster is new, has its own authority and ports, and goes with the test, also with one that is killed.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CUSTOM_RESOURCE_DEFINITION, type Kind, type Manifest } from "../../../src/kubernetes/object.ts";
import { freePort } from "../../support/ports.ts";
import { type Process, watch } from "../../support/processes.ts";
import { binaryOf, type ControlPlane, KUBECTL } from "./binaries.ts";
import { Client } from "./client.ts";
import { FakeKubelet, type KubeletOptions } from "./fake-kubelet.ts";
import { makePki, type Pki } from "./pki.ts";
import { until } from "./until.ts";

export interface ClusterOptions {
  /** How many nodes: node-1 to node-N. */
  readonly nodes?: number;
  /** By default 127.64.0.1 and so on, where nothing listens. */
  readonly podIp?: KubeletOptions["podIp"];
}

export interface Cluster extends AsyncDisposable {
  /** https://127.0.0.1:PORT */
  readonly server: string;
  readonly port: number;
  /** For whatever belongs to this cluster. */
  readonly directory: string;
  readonly pki: Pki;
  readonly nodes: readonly string[];
  /** Of an admin. */
  readonly kubeconfig: string;
  readonly admin: Client;
  /** Its standard output; fails with its standard error. */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** Makes it, and waits until the API server serves it. */
  addKind(kind: Kind): Promise<void>;
  /** Without any warning, as a machine that loses power. */
  killApiServer(): Promise<void>;
  /** At the same address, with all that etcd holds. */
  startApiServer(): Promise<void>;
}

const START_MS = 60_000;
const ADMIN_TOKEN = "the-admin-of-a-test";

/** What the tests need: the fewer, the sooner they start. */
const CONTROLLERS = [
  ...["daemonset", "deployment", "replicaset", "garbagecollector", "namespace", "nodelifecycle", "podgc"],
  ...["serviceaccount", "serviceaccount-token", "root-ca-cert-publisher", "resourcequota"],
];

export async function startCluster({ nodes = 2, podIp = nowhere() }: ClusterOptions = {}): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-kubernetes-"));
  const running: Process[] = [];
  let kubelet: FakeKubelet | undefined;
  const stop = async () => {
    await kubelet?.stop();
    await Promise.all(running.map((process) => process[Symbol.asyncDispose]()));
    rmSync(directory, { recursive: true, force: true });
  };
  /** Processes of a test run that is killed end with it. */
  const run = (program: ControlPlane, args: readonly string[]): Process => {
    const process = watch(["setpriv", "--pdeathsig", "KILL", binaryOf(program), ...args]);
    running.push(process);
    return process;
  };
  try {
    mkdirSync(join(directory, "pki"));
    const pki = makePki(join(directory, "pki"));
    writeFileSync(join(directory, "tokens.csv"), `${ADMIN_TOKEN},admin,admin,"system:masters"\n`);
    const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
    const server = `https://127.0.0.1:${port}`;
    const kubeconfig = join(directory, "kubeconfig");
    writeFileSync(kubeconfig, kubeconfigOf(server, pki.caFile, { token: ADMIN_TOKEN }));
    const admin = new Client(server, pki.ca, ADMIN_TOKEN);

    run("etcd", etcdArguments(directory, etcdPort, peerPort));
    let apiServer: Process | undefined;
    const startApiServer = async () => {
      const started = run("kube-apiserver", apiServerArguments(directory, pki, port, etcdPort));
      apiServer = started;
      await until("the API server is ready", START_MS, async () => {
        if (await hasEnded(started)) throw new Error(`kube-apiserver ended:\n${started.log().slice(-2000)}`);
        return (await admin.request("GET", "/readyz")).status === 200;
      });
    };
    await startApiServer();
    const own = [`--kubeconfig=${kubeconfig}`, "--port=0", "--secure-port=0", "--leader-elect=false"];
    const startControllers = (): readonly Process[] => [
      run("kube-scheduler", own),
      run("kube-controller-manager", [...own, ...controllerArguments(pki)]),
    ];
    let controllers = startControllers();
    const names = Array.from({ length: nodes }, (_, index) => `node-${index + 1}`);
    kubelet = new FakeKubelet(admin, { nodes: names, podIp });
    await kubelet.start();
    await until("the controllers work", START_MS, async () => {
      const { status } = await admin.request("GET", "/api/v1/namespaces/default/serviceaccounts/default");
      return status === 200;
    });

    return {
      server,
      port,
      directory,
      pki,
      nodes: names,
      kubeconfig,
      admin,
      async kubectl(args, input = "") {
        const done = promisify(execFile)(KUBECTL, [`--kubeconfig=${kubeconfig}`, ...args], {
          env: { HOME: directory, PATH: process.env["PATH"] },
          maxBuffer: 1 << 26,
          timeout: START_MS,
        });
        done.child.stdin?.end(input);
        return (await done).stdout;
      },
      async addKind(kind) {
        await admin.create(CUSTOM_RESOURCE_DEFINITION, anyShape(kind));
        await until(`the API server serves ${kind.plural}`, START_MS, async () => {
          const { status } = await admin.request("GET", `/apis/${kind.apiVersion}/${kind.plural}`);
          return status === 200;
        });
      },
      async killApiServer() {
        apiServer?.kill("SIGKILL");
        await apiServer?.exited;
      },
      async startApiServer() {
        await startApiServer();
        // Those that saw it go would look for it later and later, up to half a minute.
        await Promise.all(controllers.map((process) => process[Symbol.asyncDispose]()));
        controllers = startControllers();
      },
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A kubeconfig of one cluster and one user, whose members are `user`'s. */
export function kubeconfigOf(
  server: string,
  caFile: string,
  user: Readonly<Record<string, unknown>>,
  namespace = "default",
): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    contexts: [{ name: "test", context: { cluster: "test", user: "test", namespace } }],
    clusters: [{ name: "test", cluster: { server, "certificate-authority": caFile } }],
    users: [{ name: "test", user }],
  });
}

function etcdArguments(directory: string, port: number, peerPort: number): string[] {
  const [client, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`];
  return [
    ...[`--data-dir=${join(directory, "etcd")}`, "--unsafe-no-fsync", "--logger=zap", "--log-level=warn"],
    ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
    ...[
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
    ],
  ];
}

function apiServerArguments(directory: string, pki: Pki, port: number, etcdPort: number): string[] {
  return [
    ...[`--etcd-servers=http://127.0.0.1:${etcdPort}`, "--bind-address=127.0.0.1", `--secure-port=${port}`],
    ...[
      "--advertise-address=127.0.0.1",
      "--endpoint-reconciler-type=none",
      "--service-cluster-ip-range=10.0.0.0/24",
    ],
    ...[`--tls-cert-file=${pki.serverCertFile}`, `--tls-private-key-file=${pki.serverKeyFile}`],
    ...[`--client-ca-file=${pki.caFile}`, `--token-auth-file=${join(directory, "tokens.csv")}`],
    ...["--service-account-issuer=https://kubernetes.default.svc"],
    ...[`--service-account-key-file=${pki.accountPublicKeyFile}`],
    ...[`--service-account-signing-key-file=${pki.accountKeyFile}`],
    ...["--authorization-mode=RBAC", "--allow-privileged=true", "--profiling=false", "--v=1"],
    // OpenShift has it on: who names an owner and blocks its deletion must be allowed to write its finalizers.
    "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
  ];
}

function controllerArguments(pki: Pki): string[] {
  return [
    ...[`--controllers=${CONTROLLERS.join(",")}`, `--service-account-private-key-file=${pki.accountKeyFile}`],
    ...[`--root-ca-file=${pki.caFile}`, "--v=1"],
    // Nobody renews the nodes' leases.
    ...["--node-monitor-period=1s", "--node-monitor-grace-period=24h"],
  ];
}

/** Of kinds that are of others: all their objects are right. */
function anyShape({ apiVersion, kind, plural, isNamespaced }: Kind): Manifest {
  const [group = "", version = ""] = apiVersion.split("/");
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: isNamespaced ? "Namespaced" : "Cluster",
      names: { plural, singular: kind.toLowerCase(), kind, listKind: `${kind}List` },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        },
      ],
    },
  };
}

function nowhere(): KubeletOptions["podIp"] {
  let last = 0;
  return () => {
    last += 1;
    return `127.64.${last >> 8}.${last & 255}`;
  };
}

const hasEnded = ({ exited }: Process): Promise<boolean> =>
  Promise.race([exited.then(() => true), Bun.sleep(1).then(() => false)]);
