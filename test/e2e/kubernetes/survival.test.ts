/** What the operator lives through: the death of its leader, an API server that goes and comes, tokens that end. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "../../../.ci/build.ts";
import { CONFIG_MAP, DAEMON_SET, type Kind, PLUMBLINE, POD } from "../../../src/kubernetes/object.ts";
import { plumblineBinary } from "../../support/binary.ts";
import { describeUnless } from "../../support/debian.ts";
import { denoPath } from "../../support/deno.ts";
import { watch } from "../../support/processes.ts";
import { describeWithKubernetes } from "./binaries.ts";
import { type Cluster, kubeconfigOf, startCluster } from "./cluster.ts";
import {
  AccountFolder,
  accountOf,
  byKubeconfig,
  byTokenFile,
  inCluster,
  installOperator,
  leading,
  NAMESPACE,
  type OperatorPod,
  type RunningOperator,
  startOperator,
} from "./operator-process.ts";
import { createPlumbline, untilAvailable } from "./plumblines.ts";
import { until } from "./until.ts";

const MAIN = join(ROOT, "src/main.ts");
const START_MS = 120_000;
const TEST_MS = 180_000;
/** A Lease lasts 15 s, and is looked at every 2 s. */
const TAKEN_OVER_MS = 25_000;
/** How long the API server may go on believing in a token that has ended. */
const BELIEVED_MS = 20_000;
const SECRET: Kind = { apiVersion: "v1", kind: "Secret", plural: "secrets", isNamespaced: true };

describeWithKubernetes("the operator survives", () => {
  let cluster: Cluster;
  let pods: readonly OperatorPod[];

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 2 });
    pods = await installOperator(cluster, { replicas: 2 });
  }, START_MS);
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  }, START_MS);

  const pod = (index: number): OperatorPod => {
    const found = pods[index];
    if (found === undefined) throw new Error(`the Deployment has no pod ${index}`);
    return found;
  };
  const isLeader = async (operator: RunningOperator) =>
    (await operator.own()).get("plumbline_operator_leader{}") === 1;
  const labelOf = async (name: string): Promise<string | undefined> => {
    const { metadata } = (await cluster.admin.get(CONFIG_MAP, `plumbline-${name}`, NAMESPACE)) ?? {};
    return metadata?.labels?.["app.kubernetes.io/managed-by"];
  };
  /** Only who leads puts it back. */
  const untilRepaired = (name: string) =>
    until(`the ConfigMap of ${name} is put back`, TAKEN_OVER_MS, async () => {
      return (await labelOf(name)) === "plumbline-operator";
    });
  const damage = (name: string) =>
    cluster.admin.edit(CONFIG_MAP, `plumbline-${name}`, NAMESPACE, {
      metadata: { labels: { "app.kubernetes.io/managed-by": "nobody" } },
    });

  test(
    "a killed leader: the standby, which served its health alone, takes over",
    async () => {
      await using first = await startOperator(pod(0), byTokenFile(cluster, await accountOf(cluster, pod(0))));
      await leading(first);
      await using second = await startOperator(
        pod(1),
        byTokenFile(cluster, await accountOf(cluster, pod(1))),
      );
      await createPlumbline(cluster, "heir");
      await untilAvailable(cluster, "heir");
      await until(
        "the second one is ready",
        TAKEN_OVER_MS,
        async () => (await second.health("/readyz")).status === 200,
      );
      expect((await second.health("/healthz")).status).toBe(200);
      expect((await second.aggregate()).status).toBe(503);
      expect((await first.aggregate()).status).toBe(200);
      expect([await isLeader(first), await isLeader(second)]).toEqual([true, false]);

      first.process.kill("SIGKILL");
      await first.process.exited;
      await damage("heir");
      await until("the second one leads", TAKEN_OVER_MS, () => isLeader(second));
      await untilRepaired("heir");
      expect((await second.aggregate()).status).toBe(200);
    },
    TEST_MS,
  );

  test(
    "a leader that slept through the time of its Lease writes nothing when it wakes",
    async () => {
      await using first = await startOperator(pod(0), byTokenFile(cluster, await accountOf(cluster, pod(0))));
      await leading(first);
      await using second = await startOperator(
        pod(1),
        byTokenFile(cluster, await accountOf(cluster, pod(1))),
      );
      await createPlumbline(cluster, "sleeper");
      await untilAvailable(cluster, "sleeper");
      first.process.kill("SIGSTOP");
      await until("the second one leads", TAKEN_OVER_MS, () => isLeader(second));
      // Both sleep now, so that only the first can be who puts it back.
      second.process.kill("SIGSTOP");
      await damage("sleeper");
      first.process.kill("SIGCONT");
      await Bun.sleep(4000);
      expect(await isLeader(first)).toBe(false);
      expect(await labelOf("sleeper")).toBe("nobody");
      second.process.kill("SIGCONT");
      await untilRepaired("sleeper");
    },
    TEST_MS,
  );

  test(
    "a leader that ends: the standby takes over without waiting for the Lease's time",
    async () => {
      await using first = await startOperator(pod(0), byTokenFile(cluster, await accountOf(cluster, pod(0))));
      await leading(first);
      await using second = await startOperator(
        pod(1),
        byTokenFile(cluster, await accountOf(cluster, pod(1))),
      );
      await until(
        "the second one is ready",
        TAKEN_OVER_MS,
        async () => (await second.health("/readyz")).status === 200,
      );
      first.process.kill("SIGTERM");
      expect(await first.process.exited).toBe(0);
      await until("the second one leads", 6000, () => isLeader(second));
      second.process.kill("SIGTERM");
      expect(await second.process.exited).toBe(0);
    },
    TEST_MS,
  );

  test(
    "an API server that is killed and comes back a minute later, and pods that go meanwhile",
    async () => {
      await using operator = await startOperator(
        pod(0),
        byTokenFile(cluster, await accountOf(cluster, pod(0))),
      );
      await leading(operator);
      await createPlumbline(cluster, "outage");
      await untilAvailable(cluster, "outage");

      await cluster.killApiServer();
      // A Lease that cannot be renewed for 10 s ends its term.
      await until("it does not lead any more", TAKEN_OVER_MS, async () => !(await isLeader(operator)));
      expect((await operator.health("/healthz")).status).toBe(200);
      expect((await operator.aggregate()).status).toBe(503);
      await Bun.sleep(45_000);
      await cluster.startApiServer();
      await damage("outage");
      for (const { metadata } of await cluster.admin.list(
        POD,
        NAMESPACE,
        "?labelSelector=app.kubernetes.io/instance=outage",
      ))
        await cluster.admin.remove(POD, metadata.name, NAMESPACE);

      await leading(operator);
      await untilRepaired("outage");
      await untilAvailable(cluster, "outage");
      const restarts = [...(await operator.own())].filter(([series]) =>
        series.startsWith("plumbline_operator_watch_restarts_total{"),
      );
      expect(restarts.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThan(0);
      expect(operator.process.log()).not.toContain("nobody handled");
    },
    TEST_MS,
  );

  test(
    "an API server that is away for moments only, without losing the Lease",
    async () => {
      await using operator = await startOperator(
        pod(0),
        byTokenFile(cluster, await accountOf(cluster, pod(0))),
      );
      await leading(operator);
      await cluster.killApiServer();
      await cluster.startApiServer();
      await createPlumbline(cluster, "moments");
      await untilAvailable(cluster, "moments");
      await cluster.admin.remove(PLUMBLINE, "moments", NAMESPACE);
      await until("its DaemonSet is gone", TAKEN_OVER_MS, async () => {
        return (await cluster.admin.get(DAEMON_SET, "plumbline-moments", NAMESPACE)) === undefined;
      });
    },
    TEST_MS,
  );

  /** A token that ends with the Secret that it is bound to. */
  async function tokenUntilDeleted(name: string): Promise<string> {
    const { uid = "" } = (
      await cluster.admin.create(SECRET, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name, namespace: NAMESPACE },
      })
    ).metadata;
    return cluster.admin.token(pod(0).account, NAMESPACE, { kind: "Secret", name, uid });
  }

  async function end(name: string, token: string): Promise<void> {
    await cluster.admin.remove(SECRET, name, NAMESPACE);
    await until(`the token of ${name} has ended`, BELIEVED_MS, async () => {
      return (await cluster.admin.as(token).request("GET", "/api/v1/namespaces/kube-system")).status === 401;
    });
  }

  // Only root may give a process a /run of its own.
  test.skipIf(process.getuid?.() !== 0)(
    "in a pod: tokens that end after new ones came, and before",
    async () => {
      const account = new AccountFolder(cluster, "rotating");
      const [first, second, third] = [
        await tokenUntilDeleted("first"),
        await tokenUntilDeleted("second"),
        await tokenUntilDeleted("third"),
      ];
      account.write(first);
      await using operator = await startOperator(pod(0), inCluster(cluster, account));
      await leading(operator);
      account.write(second);
      await end("first", first);
      await createPlumbline(cluster, "second");
      await untilAvailable(cluster, "second");

      await end("second", second);
      await until("it says so", TAKEN_OVER_MS, async () => /unauthorized|401/i.test(operator.process.log()));
      account.write(third);
      await createPlumbline(cluster, "third");
      await untilAvailable(cluster, "third");
      for (const token of [first, second, third]) expect(operator.process.log()).not.toContain(token);
      for (const name of ["second", "third"]) await cluster.admin.remove(PLUMBLINE, name, NAMESPACE);
    },
    TEST_MS,
  );

  const kubeconfig = (name: string, user: object): string => {
    const path = join(cluster.directory, name);
    writeFileSync(path, kubeconfigOf(cluster.server, cluster.pki.caFile, { ...user }, "default"));
    return path;
  };

  test(
    "a kubeconfig with a client certificate",
    async () => {
      const { certFile, keyFile } = cluster.pki.client("somebody", "system:masters");
      const user = { "client-certificate": certFile, "client-key": keyFile };
      await using operator = await startOperator(
        { name: "by-certificate" },
        byKubeconfig(kubeconfig("by-certificate", user)),
        "--namespace=default",
      );
      await leading(operator);
    },
    TEST_MS,
  );

  test(
    "a kubeconfig with an exec plugin",
    async () => {
      const plugin = join(cluster.directory, "plugin.sh");
      const apiVersion = "client.authentication.k8s.io/v1beta1";
      const token = await tokenUntilDeleted("plugin");
      const credential = { apiVersion, kind: "ExecCredential", status: { token } };
      writeFileSync(plugin, `#!/bin/sh\necho '${JSON.stringify(credential)}'\n`);
      chmodSync(plugin, 0o755);
      const user = { exec: { apiVersion, command: plugin, interactiveMode: "Never" } };
      await using operator = await startOperator(
        { name: "by-plugin" },
        byKubeconfig(kubeconfig("by-plugin", user)),
      );
      await leading(operator);
      expect(operator.process.log()).not.toContain(token);
    },
    TEST_MS,
  );

  describeUnless(denoPath() === undefined ? "there is no Deno" : undefined, "under Deno", () => {
    test(
      "an API server that is away for moments",
      async () => {
        const plumbline = [denoPath() ?? "", "run", "--quiet", "--no-prompt", "--allow-all", MAIN];
        const access = byTokenFile(cluster, await accountOf(cluster, pod(0)));
        await using operator = await startOperator(pod(0), { ...access, plumbline });
        await leading(operator);
        await createPlumbline(cluster, "deno");
        await untilAvailable(cluster, "deno");
        await cluster.killApiServer();
        await cluster.startApiServer();
        await damage("deno");
        await untilRepaired("deno");
        expect((await operator.aggregate()).status).toBe(200);
        operator.process.kill("SIGTERM");
        expect(await operator.process.exited).toBe(0);
      },
      TEST_MS,
    );
  });

  test(
    "no kubeconfig whose certificate has expired, and says so",
    async () => {
      const { certFile, keyFile } = cluster.pki.client("somebody", "system:masters", -1);
      const path = kubeconfig("expired", { "client-certificate": certFile, "client-key": keyFile });
      await using operator = watch([await plumblineBinary(), "operator", `--kubeconfig=${path}`]);
      expect(await operator.exited).toBe(1);
      expect(operator.log()).toContain("expired");
    },
    TEST_MS,
  );
});
