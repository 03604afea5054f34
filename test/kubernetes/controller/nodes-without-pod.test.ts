/** Nodes on which no pod is made: Pod Security admission, a quota or a webhook keeps the DaemonSet's controller from it. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { ApiFailure } from "../../../src/kubernetes/client/failure.ts";
import { NodesWithoutPod } from "../../../src/kubernetes/controller/nodes-without-pod.ts";
import { keepPod, podOf } from "../../../src/kubernetes/controller/pods.ts";
import { NODE, POD } from "../../../src/kubernetes/object.ts";
import { Bed, eventually, kubeconfigOf, metric, plumbline, quiet } from "../operating.ts";

setDefaultTimeout(60_000);

const podOn = (node: string) =>
  podOf(keepPod({ metadata: { name: `on-${node}`, uid: node }, spec: { nodeName: node } }));

/** Takes their pods from nodes on which no other one is made. */
function refuse(bed: Bed, ...nodes: readonly string[]): void {
  for (const node of nodes) bed.api.refusePods(node);
  for (const pod of bed.api.objects(POD, "plumbline"))
    if (nodes.includes(podOf(pod).node ?? "")) bed.api.remove(POD, pod.metadata.name, "plumbline");
}
const listsOfNodes = (bed: Bed) =>
  bed.api.requests.filter(({ verb, resource }) => verb === "list" && resource === "nodes");

describe("nodes without a pod", () => {
  test("are named after a while, and the condition says where to look", async () => {
    await using bed = await Bed.start({ nodes: 5 });
    bed.api.put(plumbline());
    const { own } = bed.operate();
    await bed.settled();
    refuse(bed, "fake-4", "fake-2");
    await eventually(() => bed.status()?.nodesFailing.length === 2);
    expect(bed.status()?.nodesFailing).toEqual(["fake-2", "fake-4"]);
    expect(bed.condition("Degraded")).toBe("True NodesFailing");
    expect(bed.message("Degraded")).toContain("fake-2 (no pod); fake-4 (no pod)");
    expect(bed.message("Degraded")).toContain(
      "no pod is made for 2 nodes, `kubectl describe daemonset -n plumbline plumbline-cluster` says why",
    );
    expect(await metric(own, "plumbline_operator_node_failing", { node: "fake-4" })).toBe(1);
    await quiet(bed.api);
    expect(bed.events().filter((event) => event.startsWith("NodeFailing"))).toEqual([
      "NodeFailing: The exporter fails on fake-2 (no pod); fake-4 (no pod)",
    ]);
  });

  test("are looked for by one list of metadata, and by none while all have theirs", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    expect(listsOfNodes(bed)).toEqual([]);
    refuse(bed, "fake-2");
    await eventually(() => bed.status()?.nodesFailing.length === 1);
    const [pod] = bed.api.objects(POD, "plumbline");
    bed.api.setPod(pod?.metadata.name ?? "", "plumbline", "crash");
    await eventually(() => bed.status()?.nodesFailing.length === 2);
    const lists = listsOfNodes(bed);
    expect(lists.map(({ path }) => decodeURIComponent(path))).toEqual([
      "/api/v1/nodes?labelSelector=kubernetes.io/os=linux&limit=500",
    ]);
    expect(lists[0]?.accept).toContain("as=PartialObjectMetadataList");
  });

  test("are not those that the Plumbline does not select or tolerate", async () => {
    await using bed = await Bed.start({ nodes: 6 });
    const taint = (key: string, effect = "NoSchedule") => ({ spec: { taints: [{ key, effect }] } });
    for (const index of [1, 2, 3, 4, 6])
      bed.api.edit(NODE, `fake-${index}`, undefined, { metadata: { labels: { disk: "nvme" } } });
    bed.api.edit(NODE, "fake-1", undefined, taint("node-role.kubernetes.io/control-plane"));
    bed.api.edit(NODE, "fake-2", undefined, taint("node.kubernetes.io/unschedulable"));
    bed.api.edit(NODE, "fake-3", undefined, taint("storage", "NoExecute"));
    bed.api.edit(NODE, "fake-6", undefined, taint("slow", "PreferNoSchedule"));
    const tolerations = [{ key: "storage", operator: "Exists" }];
    bed.api.put(plumbline({ nodeSelector: { disk: "nvme" }, tolerations }));
    bed.operate();
    await bed.settled();
    expect(bed.status()?.desired).toBe(4);
    refuse(bed, "fake-2", "fake-3", "fake-6");
    await eventually(() => bed.status()?.nodesFailing.length === 3);
    expect(bed.status()?.nodesFailing).toEqual(["fake-2", "fake-3", "fake-6"]);
  });

  test("are found where the DaemonSet's controller tells nothing of what it cannot make", async () => {
    await using bed = await Bed.start({ controllers: false });
    bed.api.put(plumbline());
    bed.operate();
    await eventually(() => bed.status()?.nodesFailing.length === 3);
    expect(bed.message("Degraded")).toContain("no pod is made for 3 nodes, ");
    expect(bed.condition("Available")).toBe("False Starting");
  });

  test("are not guessed where pods may not be seen", async () => {
    await using bed = await Bed.start();
    using _fault = bed.api.fault({ kind: "status", status: 403 }, { resource: "pods" });
    bed.api.put(plumbline());
    bed.operate();
    await eventually(() => bed.condition("Degraded") === "True Forbidden");
    await eventually(() => bed.condition("Available") === "True AllNodesReady");
    await Bun.sleep(1000);
    expect(listsOfNodes(bed)).toEqual([]);
    expect(bed.message("Degraded")).not.toContain("no pod is made");
  });

  test("are not ready, whatever number the DaemonSet's controller has left in its status", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    bed.api.stopControllers();
    const [pod] = bed.api.objects(POD, "plumbline");
    bed.api.remove(POD, pod?.metadata.name ?? "", "plumbline");
    await eventually(() => bed.status()?.nodesFailing.length === 1);
    expect(bed.status()).toMatchObject({ desired: 3, ready: 2, unavailable: 1 });
    expect(bed.condition("Available")).toBe("True EnoughNodesReady");
  });

  test("are counted where they may not be listed, and the condition has the missing rule", async () => {
    await using bed = await Bed.start();
    const all = { apiGroups: ["*"], resources: ["*"], verbs: ["*"] };
    const account = bed.api.account("operator", "plumbline", [{ ...all, namespace: "plumbline" }]);
    const cluster = [
      { apiGroups: ["apiextensions.k8s.io"], resources: ["*"], verbs: ["*"] },
      { apiGroups: ["config.openshift.io"], resources: ["*"], verbs: ["*"] },
      { apiGroups: [""], resources: ["namespaces"], verbs: ["get"] },
    ];
    account.rules = [...account.rules, ...cluster];
    bed.api.put(plumbline());
    bed.operate({ kubeconfig: kubeconfigOf(bed.api, account) });
    await bed.settled();
    refuse(bed, "fake-2");
    await eventually(() => bed.condition("Degraded") === "True NodesFailing");
    expect(bed.message("Degraded")).toContain("no pod is made for 1 node, ");
    expect(bed.message("Degraded")).toMatch(/not known: cannot list nodes.*nodes.*list/);
    expect(bed.status()?.nodesFailing).toEqual([]);
    await quiet(bed.api);
    expect(listsOfNodes(bed)).toHaveLength(1);
  });

  test("that had none before the operator started again are no news", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const first = bed.operate();
    await bed.settled();
    refuse(bed, "fake-2");
    await eventually(() => bed.status()?.nodesFailing.length === 1);
    await quiet(bed.api);
    const before = bed.events().length;
    await first.stop();
    bed.operate();
    await eventually(() => listsOfNodes(bed).length === 2);
    await quiet(bed.api);
    expect(bed.status()?.nodesFailing).toEqual(["fake-2"]);
    expect(bed.events()).toHaveLength(before);
  });

  test("are listed again after a minute, and each is forgotten as soon as it has a pod", async () => {
    let nodes = ["b", "a"];
    let lists = 0;
    const list = async () => {
      lists++;
      return nodes;
    };
    const [often, seldom] = [new NodesWithoutPod(list, 0), new NodesWithoutPod(list)];
    expect((await often.look(2, [])).nodes).toEqual(["a", "b"]);
    expect((await seldom.look(2, [])).nodes).toEqual(["a", "b"]);
    expect(lists).toBe(2);
    nodes = ["a", "c"];
    expect((await often.look(2, [])).nodes).toEqual(["a", "c"]);
    expect((await seldom.look(1, [podOn("b")])).nodes).toEqual(["a"]);
    expect(lists).toBe(3);
  });

  test("are not named where more than are counted could be meant", async () => {
    const withoutPod = new NodesWithoutPod(async () => ["a", "b", "c"]);
    expect(await withoutPod.look(1, [podOn("a")])).toEqual({ count: 1, nodes: [], refusal: undefined });
    expect((await withoutPod.look(1, [podOn("a"), podOn("b")])).nodes).toEqual(["c"]);
  });

  test("are named again once a failure of the API server is over", async () => {
    const answers = [new ApiFailure("server_error", "cannot list nodes (500)"), ["a"]];
    const withoutPod = new NodesWithoutPod(async () => {
      const answer = answers.shift();
      if (answer instanceof ApiFailure) throw answer;
      return answer ?? [];
    }, 0);
    expect((await withoutPod.look(1, [])).refusal).toBe("cannot list nodes (500)");
    expect(await withoutPod.look(1, [])).toEqual({ count: 1, nodes: ["a"], refusal: undefined });
  });
});
