/** The CRD as a real API server takes it: what it refuses itself, what it fills in, and what kubectl explains. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import * as v from "valibot";
import { CRD_FILE } from "../../../.ci/crd.ts";
import { PLUMBLINE } from "../../../src/kubernetes/object.ts";
import { NOT_IN_CONFIG } from "../../../src/kubernetes/resource/spec-schema.ts";
import { mappings, wrongSections } from "../../kubernetes/resource/wrong-fields.ts";
import { describeWithKubernetes } from "./binaries.ts";
import { pathOf } from "./client.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { until } from "./until.ts";

const START_MS = 120_000;
const TEST_MS = 60_000;

const REFUSAL = v.object({
  details: v.object({ causes: v.array(v.object({ field: v.optional(v.string(), "") })) }),
});
const SPEC = v.object({ spec: v.unknown() });

describeWithKubernetes("the CRD", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 0 });
    await cluster.kubectl(["apply", "--filename", CRD_FILE]);
    await cluster.kubectl(["wait", "--for=condition=Established", "--filename", CRD_FILE]);
  }, START_MS);
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  }, START_MS);

  const create = (spec: unknown, name = "cluster") =>
    cluster.admin.request("POST", `${pathOf(PLUMBLINE, "default")}?dryRun=All`, {
      apiVersion: PLUMBLINE.apiVersion,
      kind: PLUMBLINE.kind,
      metadata: { name },
      ...(spec === undefined ? {} : { spec }),
    });

  test(
    "a value of the wrong type is refused with the field's name",
    async () => {
      const unnamed: string[] = [];
      for (const { path, spec } of [...mappings(), ...wrongSections()].filter(isInCrd)) {
        const { status, body } = await create(spec);
        const fields = v.is(REFUSAL, body) ? v.parse(REFUSAL, body).details.causes : [];
        if (status !== 422 || !fields.some(({ field }) => withoutItems(field) === withoutItems(path)))
          unnamed.push(`${path}: ${status}`);
      }
      expect(unnamed).toEqual([]);
    },
    TEST_MS,
  );

  test("a name that is too long or no label is refused", async () => {
    expect((await create({}, "a".repeat(52))).status).toBe(201);
    expect((await create({}, "a".repeat(53))).status).toBe(422);
    expect((await create({}, "a.b")).status).toBe(422);
  });

  test("a spec that says nothing gets all its defaults, and no configuration", async () => {
    const { body } = await create(undefined);
    expect(v.parse(SPEC, body).spec).toMatchObject({
      tolerations: [{ operator: "Exists" }],
      resources: { requests: { cpu: "20m", memory: "64Mi" }, limits: { memory: "256Mi" } },
      collectors: { csi: true, nvme: true, ebs: true, instance_store: true },
      monitoring: { enabled: "auto", interval: "30s" },
      clusterId: "auto",
    });
    expect(v.parse(SPEC, body).spec).not.toHaveProperty("config");
  });

  test("durations may be numbers, switches of monitoring true or auto", async () => {
    const spec = { config: { scrape: { timeout: 5, timeout_max: "1m30s" } }, monitoring: { enabled: true } };
    const { status, body } = await create(spec);
    expect(status).toBe(201);
    expect(v.parse(SPEC, body).spec).toMatchObject(spec);
  });

  const plumbline = (spec: object) =>
    JSON.stringify({
      apiVersion: PLUMBLINE.apiVersion,
      kind: PLUMBLINE.kind,
      metadata: { name: "a", namespace: "default" },
      spec,
    });

  test(
    "kubectl explains it, and refuses a field that it has not",
    async () => {
      // What explains a new kind is published a few seconds after the kind.
      const explained = await until("kubectl explains a Plumbline", TEST_MS, () =>
        cluster.kubectl(["explain", "plumbline.spec", "--recursive"]),
      );
      expect(explained).toMatch(/config\s+<Object>.*mayastor\s+<Object>.*endpoint\s+<string>/s);
      expect(await cluster.kubectl(["explain", "plumb.spec.deviceAccess"])).toContain("privileged pods");
      const mistyped = cluster.kubectl(["apply", "--filename=-"], plumbline({ clusterID: "b" }));
      await expect(mistyped).rejects.toThrow("clusterID");
    },
    TEST_MS,
  );

  test("kubectl shows how many pods are ready, by its short name too", async () => {
    await cluster.kubectl(["apply", "--filename=-"], plumbline({}));
    expect(await cluster.kubectl(["get", "plumb"])).toMatch(/^NAME +DESIRED +READY +DEGRADED +AGE\n/);
  });
});

/** What it has not, and what may be a switch or a mapping, the operator refuses. */
function isInCrd({ path }: { readonly path: string }): boolean {
  const absent = NOT_IN_CONFIG.map(([setting]) => `spec.config.${setting.replace("[]", "[0]")}`);
  return (
    !absent.some((one) => path === one || path.startsWith(`${one}.`)) &&
    !/\.collectors\.(physical-disks|config)(\.|$)/.test(path)
  );
}

/** A server names the item of a list, an older one does not. */
const withoutItems = (path: string): string => path.replaceAll(/\[[^\]]*\]/g, "");
