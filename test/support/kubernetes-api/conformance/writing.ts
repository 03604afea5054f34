/** Creating, replacing, patching and deleting. */
import { expect } from "bun:test";
import { at, listOf } from "../json.ts";
import { type Behaviour, configMap, daemonSet, failure, lease, soon, versionOf } from "./server.ts";

const LEASES = (namespace: string) => `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;

export const WRITING: readonly Behaviour[] = [
  {
    name: "a created object has a uid, a resourceVersion, its time, and its maker in managedFields",
    async run({ ask, core, namespace }) {
      const { status, body } = await ask.post(
        `${core}/configmaps?fieldManager=maker`,
        configMap("a", { x: "1" }),
      );
      expect(status).toBe(201);
      expect(body).toMatchObject({ apiVersion: "v1", kind: "ConfigMap", data: { x: "1" } });
      expect(body["metadata"]).toMatchObject({ name: "a", namespace });
      expect(at(body, "metadata", "uid")).toMatch(/^[0-9a-f-]{36}$/);
      expect(at(body, "metadata", "creationTimestamp")).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(Number(versionOf(body))).toBeGreaterThan(0);
      expect(at(body, "metadata", "managedFields")).toMatchObject([
        {
          manager: "maker",
          operation: "Update",
          apiVersion: "v1",
          fieldsType: "FieldsV1",
          fieldsV1: { "f:data": { ".": {}, "f:x": {} } },
        },
      ]);
    },
  },
  {
    name: "what is there is not created again",
    async run({ ask, core }) {
      await ask.post(`${core}/configmaps`, configMap("a"));
      expect(failure(await ask.post(`${core}/configmaps`, configMap("a")))).toEqual({
        status: 409,
        reason: "AlreadyExists",
      });
    },
  },
  {
    name: "generateName gets an ending",
    async run({ ask, core }) {
      const { body } = await ask.post(`${core}/configmaps`, {
        ...configMap(""),
        metadata: { generateName: "made-" },
      });
      expect(at(body, "metadata", "name")).toMatch(/^made-[0-9a-z]{5}$/);
    },
  },
  {
    name: "nothing is created in a namespace that does not exist",
    async run({ ask }) {
      const answer = await ask.post("/api/v1/namespaces/no-such-namespace/configmaps", configMap("a"));
      expect(failure(answer)).toEqual({ status: 404, reason: "NotFound" });
      expect(answer.body["message"]).toBe('namespaces "no-such-namespace" not found');
    },
  },
  {
    name: "a body that is not JSON, and one of another kind, is answered with 400",
    async run({ ask, core }) {
      expect((await ask.send("POST", `${core}/configmaps`, '{"metadata":')).status).toBe(400);
      expect((await ask.post(`${core}/configmaps`, daemonSet("a"))).status).toBe(400);
    },
  },
  {
    name: "a patch of an unknown type is answered with 415",
    async run({ ask, core }) {
      await ask.post(`${core}/configmaps`, configMap("a"));
      const answer = await ask.send("PATCH", `${core}/configmaps/a`, "{}", "application/nothing");
      expect(answer.status).toBe(415);
    },
  },
  {
    name: "a merge patch changes what it names, and null removes",
    async run({ ask, core }) {
      await ask.post(`${core}/configmaps`, configMap("a", { x: "1", y: "2" }));
      const { status, body } = await ask.patch(`${core}/configmaps/a`, { data: { x: null, z: "3" } });
      expect({ status, data: body["data"] }).toEqual({ status: 200, data: { y: "2", z: "3" } });
    },
  },
  {
    name: "a patch that changes nothing leaves the resourceVersion",
    async run({ ask, core }) {
      const { body } = await ask.post(`${core}/configmaps`, configMap("a", { x: "1" }));
      const again = (await ask.patch(`${core}/configmaps/a`, { data: { x: "1" } })).body;
      expect(versionOf(again)).toBe(versionOf(body));
    },
  },
  {
    name: "a patch that says an older resourceVersion is a conflict",
    async run({ ask, core }) {
      const { body } = await ask.post(`${core}/configmaps`, configMap("a", { x: "1" }));
      await ask.patch(`${core}/configmaps/a`, { data: { x: "2" } });
      const metadata = { resourceVersion: versionOf(body) };
      expect(failure(await ask.patch(`${core}/configmaps/a`, { metadata, data: { x: "3" } }))).toEqual({
        status: 409,
        reason: "Conflict",
      });
    },
  },
  {
    name: "of two that replace the same version of a Lease one gets a conflict",
    async run({ ask, namespace }) {
      const path = `${LEASES(namespace)}/l`;
      const { body } = await ask.post(LEASES(namespace), lease("l", { leaseDurationSeconds: 15 }));
      const metadata = { resourceVersion: versionOf(body) };
      const answers = await Promise.all(
        ["a", "b"].map((holderIdentity) =>
          ask.put(path, lease("l", { holderIdentity, leaseDurationSeconds: 15 }, metadata)),
        ),
      );
      expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409]);
    },
  },
  {
    name: "a Lease is not replaced without a resourceVersion, and its duration is more than 0",
    async run({ ask, namespace }) {
      await ask.post(LEASES(namespace), lease("l", { leaseDurationSeconds: 15 }));
      const blind = await ask.put(`${LEASES(namespace)}/l`, lease("l", { leaseDurationSeconds: 15 }));
      expect(failure(blind)).toEqual({ status: 422, reason: "Invalid" });
      const none = await ask.post(LEASES(namespace), lease("m", { leaseDurationSeconds: 0 }));
      expect(failure(none)).toEqual({ status: 422, reason: "Invalid" });
      expect(at(none.body, "details", "causes")).toMatchObject([{ field: "spec.leaseDurationSeconds" }]);
    },
  },
  {
    name: "a Lease's times keep their microseconds",
    async run({ ask, namespace }) {
      const renewTime = "2026-01-02T03:04:05.000006Z";
      const { body } = await ask.post(LEASES(namespace), lease("l", { renewTime }));
      expect(at(body, "spec", "renewTime")).toBe(renewTime);
    },
  },
  {
    name: "deleting answers Success, and then the object is gone",
    async run({ ask, core }) {
      const { body } = await ask.post(`${core}/configmaps`, configMap("a"));
      const deleted = await ask.delete(`${core}/configmaps/a`);
      expect(deleted).toMatchObject({ status: 200, body: { kind: "Status", status: "Success" } });
      expect(at(deleted.body, "details")).toEqual({
        name: "a",
        kind: "configmaps",
        uid: at(body, "metadata", "uid"),
      });
      expect((await ask.get(`${core}/configmaps/a`)).status).toBe(404);
      expect((await ask.delete(`${core}/configmaps/a`)).status).toBe(404);
    },
  },
  {
    name: "a deletion that means another uid is a conflict",
    async run({ ask, core }) {
      await ask.post(`${core}/configmaps`, configMap("a"));
      const options = { kind: "DeleteOptions", apiVersion: "v1", preconditions: { uid: "another" } };
      expect(failure(await ask.delete(`${core}/configmaps/a`, options))).toEqual({
        status: 409,
        reason: "Conflict",
      });
    },
  },
  {
    name: "a collection is deleted by its selector",
    async run({ ask, core }) {
      for (const name of ["a", "b"])
        await ask.post(`${core}/configmaps`, configMap(name, {}, { labels: { name, suite: "yes" } }));
      expect((await ask.delete(`${core}/configmaps?labelSelector=name%3Da`)).status).toBe(200);
      const { body } = await ask.get(`${core}/configmaps?labelSelector=suite`);
      expect(listOf(body["items"]).map((item) => at(item, "metadata", "name"))).toEqual(["b"]);
    },
  },
  {
    name: "with a finalizer an object stays, with a deletionTimestamp, until the finalizer is gone",
    async run({ ask, core }) {
      const path = `${core}/configmaps/a`;
      await ask.post(`${core}/configmaps`, configMap("a", {}, { finalizers: ["example.com/wait"] }));
      const { status, body } = await ask.delete(path);
      expect(status).toBe(200);
      expect(at(body, "metadata", "deletionTimestamp")).toMatch(/Z$/);
      const again = await ask.delete(path);
      expect(again.status).toBe(200);
      expect(at((await ask.get(path)).body, "metadata", "deletionTimestamp")).toBe(
        at(body, "metadata", "deletionTimestamp"),
      );
      const another = { metadata: { finalizers: ["example.com/wait", "example.com/other"] } };
      expect(failure(await ask.patch(path, another))).toEqual({ status: 422, reason: "Invalid" });
      expect((await ask.patch(path, { metadata: { finalizers: null } })).status).toBe(200);
      expect((await ask.get(path)).status).toBe(404);
    },
  },
  {
    name: "what an object owns goes with it",
    async run({ ask, core }) {
      const { body } = await ask.post(`${core}/configmaps`, configMap("owner"));
      const uid = at(body, "metadata", "uid");
      const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid }];
      await ask.post(`${core}/configmaps`, configMap("owned", {}, { ownerReferences }));
      await ask.delete(`${core}/configmaps/owner`);
      await soon(async () => (await ask.get(`${core}/configmaps/owned`)).status === 404);
    },
  },
  {
    name: "a deleted namespace takes along what is in it, and takes nothing new",
    async run({ ask }) {
      const name = `conformance-gone-${crypto.randomUUID().slice(0, 8)}`;
      const path = `/api/v1/namespaces/${name}`;
      await ask.post("/api/v1/namespaces", { metadata: { name } });
      const held = configMap("a", {}, { finalizers: ["example.com/wait"] });
      await ask.post(`${path}/configmaps`, held);
      const deleted = await ask.delete(path);
      expect(deleted).toMatchObject({ status: 200, body: { status: { phase: "Terminating" } } });
      await soon(async () => (await ask.post(`${path}/configmaps`, configMap("b"))).status === 403);
      await ask.patch(`${path}/configmaps/a`, { metadata: { finalizers: null } });
      await soon(async () => (await ask.get(path)).status === 404);
      expect((await ask.get(`${path}/configmaps/a`)).status).toBe(404);
    },
  },
  {
    name: "a dry run answers and stores nothing",
    async run({ ask, core }) {
      const { status, body } = await ask.post(`${core}/configmaps?dryRun=All`, configMap("a", { x: "1" }));
      expect({ status, data: body["data"] }).toEqual({ status: 201, data: { x: "1" } });
      expect((await ask.get(`${core}/configmaps/a`)).status).toBe(404);
    },
  },
  {
    name: "a DaemonSet's generation counts the changes of its spec",
    async run({ ask, apps }) {
      const path = `${apps}/daemonsets/d`;
      const { body } = await ask.post(`${apps}/daemonsets`, daemonSet("d"));
      expect(at(body, "metadata", "generation")).toBe(1);
      const labelled = await ask.patch(path, { metadata: { labels: { x: "y" } } });
      expect(at(labelled.body, "metadata", "generation")).toBe(1);
      const changed = await ask.patch(path, { spec: { minReadySeconds: 5 } });
      expect(at(changed.body, "metadata", "generation")).toBe(2);
    },
  },
  {
    name: "a DaemonSet's status is written through its subresource only",
    async run({ ask, apps }) {
      const path = `${apps}/daemonsets/d`;
      await ask.post(`${apps}/daemonsets`, daemonSet("d", {}, { minReadySeconds: 1 }));
      const status = { collisionCount: 7 };
      expect(at((await ask.patch(path, { status })).body, "status", "collisionCount")).toBeUndefined();
      const { body } = await ask.patch(`${path}/status`, { status, spec: { minReadySeconds: 9 } });
      expect(at(body, "status", "collisionCount")).toBe(7);
      expect(at(body, "spec", "minReadySeconds")).toBe(1);
    },
  },
  {
    name: "a DaemonSet is refused whose selector does not match, changes, or whose container has no image",
    async run({ ask, apps }) {
      const causes = async (change: unknown) => {
        const answer = await ask.patch(`${apps}/daemonsets/d`, change);
        expect(failure(answer)).toEqual({ status: 422, reason: "Invalid" });
        return listOf(at(answer.body, "details", "causes")).map((cause) => at(cause, "field"));
      };
      await ask.post(`${apps}/daemonsets`, daemonSet("d"));
      const labels = { app: "another" };
      expect(await causes({ spec: { template: { metadata: { labels } } } })).toContain(
        "spec.template.metadata.labels",
      );
      expect(
        await causes({ spec: { selector: { matchLabels: labels }, template: { metadata: { labels } } } }),
      ).toContain("spec.selector");
      expect(await causes({ spec: { template: { spec: { containers: [{ name: "main" }] } } } })).toContain(
        "spec.template.spec.containers[0].image",
      );
    },
  },
  {
    name: "the server fills in what a pod template leaves out",
    async run({ ask, apps }) {
      const probe = { httpGet: { port: 9847 } };
      const ports = [{ containerPort: 9847 }];
      const { body } = await ask.post(`${apps}/daemonsets`, daemonSet("d", { livenessProbe: probe, ports }));
      expect(body["spec"]).toMatchObject({
        revisionHistoryLimit: 10,
        updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1 } },
        template: {
          spec: {
            restartPolicy: "Always",
            terminationGracePeriodSeconds: 30,
            dnsPolicy: "ClusterFirst",
            schedulerName: "default-scheduler",
            securityContext: {},
            containers: [
              {
                name: "main",
                resources: {},
                imagePullPolicy: "IfNotPresent",
                terminationMessagePath: "/dev/termination-log",
                ports: [{ containerPort: 9847, protocol: "TCP" }],
                livenessProbe: {
                  httpGet: { path: "/", port: 9847, scheme: "HTTP" },
                  timeoutSeconds: 1,
                  periodSeconds: 10,
                  successThreshold: 1,
                  failureThreshold: 3,
                },
              },
            ],
          },
        },
      });
    },
  },
];
