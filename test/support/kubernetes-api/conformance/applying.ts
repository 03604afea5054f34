/** Server-side apply, and who owns which field. */
import { expect } from "bun:test";
import { at, listOf, membersOf } from "../json.ts";
import { type Behaviour, configMap, daemonSet, failure, ownedBy, versionOf } from "./server.ts";

const containersOf = (set: unknown) => listOf(at(set, "spec", "template", "spec", "containers"));
const mainOf = (set: unknown) => membersOf(containersOf(set)[0]);

export const APPLYING: readonly Behaviour[] = [
  {
    name: "apply creates, and applying the same again changes nothing",
    async run({ ask, core }) {
      const path = `${core}/configmaps/a`;
      const first = await ask.apply(path, "one", configMap("a", { x: "1" }));
      expect(first.status).toBe(201);
      expect(ownedBy(first.body, "one")).toEqual({ "f:data": { "f:x": {} } });
      const second = await ask.apply(path, "one", configMap("a", { x: "1" }));
      expect(second.status).toBe(200);
      expect(versionOf(second.body)).toBe(versionOf(first.body));
    },
  },
  {
    name: "apply needs a field manager",
    async run({ ask, core }) {
      const answer = await ask.send(
        "PATCH",
        `${core}/configmaps/a`,
        configMap("a"),
        "application/apply-patch+yaml",
      );
      expect(answer.status).toBeOneOf([400, 422]);
    },
  },
  {
    name: "apply takes YAML",
    async run({ ask, core }) {
      const yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: é\n";
      const { status, body } = await ask.apply(`${core}/configmaps/a`, "one", yaml);
      expect({ status, data: body["data"] }).toEqual({ status: 201, data: { x: "é" } });
    },
  },
  {
    name: "another manager's field is a conflict, which names the manager and the field",
    async run({ ask, core }) {
      const path = `${core}/configmaps/a`;
      await ask.apply(path, "one", configMap("a", { x: "1" }));
      const answer = await ask.apply(path, "two", configMap("a", { x: "2" }));
      expect(failure(answer)).toEqual({ status: 409, reason: "Conflict" });
      expect(at(answer.body, "details", "causes")).toMatchObject([
        { reason: "FieldManagerConflict", field: ".data.x" },
      ]);
      expect(answer.body["message"]).toContain('conflict with "one"');
      expect(at((await ask.get(path)).body, "data", "x")).toBe("1");
    },
  },
  {
    name: "force takes the field, and the other manager does not own it any more",
    async run({ ask, core }) {
      const path = `${core}/configmaps/a`;
      await ask.apply(path, "one", configMap("a", { x: "1", y: "1" }));
      const { status, body } = await ask.apply(path, "two", configMap("a", { x: "2" }), true);
      expect({ status, data: body["data"] }).toEqual({ status: 200, data: { x: "2", y: "1" } });
      expect(ownedBy(body, "two")).toEqual({ "f:data": { "f:x": {} } });
      expect(ownedBy(body, "one")).toEqual({ "f:data": { "f:y": {} } });
    },
  },
  {
    name: "two managers that say the same share the field, and it stays until both have given it up",
    async run({ ask, core }) {
      const path = `${core}/configmaps/a`;
      await ask.apply(path, "one", configMap("a", { x: "1", y: "1" }));
      await ask.apply(path, "two", configMap("a", { x: "1" }));
      const less = await ask.apply(path, "one", configMap("a", { y: "1" }));
      expect(less.body["data"]).toEqual({ x: "1", y: "1" });
      const none = await ask.apply(path, "two", configMap("a", {}));
      expect(none.body["data"]).toEqual({ y: "1" });
    },
  },
  {
    name: "what the manager leaves out is removed",
    async run({ ask, apps }) {
      const path = `${apps}/daemonsets/d`;
      await ask.apply(path, "one", daemonSet("d", { args: ["serve"], env: [{ name: "A", value: "1" }] }));
      const { status, body } = await ask.apply(path, "one", daemonSet("d"));
      expect(status).toBe(200);
      expect(Object.keys(mainOf(body))).not.toContain("args");
      expect(Object.keys(mainOf(body))).not.toContain("env");
      expect(mainOf(body)).toMatchObject({ image: "example.com/main:1" });
    },
  },
  {
    name: "what the server had filled in goes with the field that the manager leaves out",
    // 1.20 keeps the rest of the probe, and then refuses it with 422.
    since: 22,
    async run({ ask, apps }) {
      const path = `${apps}/daemonsets/d`;
      const livenessProbe = { httpGet: { path: "/-/healthy", port: 9847 } };
      const { body } = await ask.apply(path, "one", daemonSet("d", { livenessProbe }));
      expect(mainOf(body)).toMatchObject({ livenessProbe: { periodSeconds: 10 } });
      const without = await ask.apply(path, "one", daemonSet("d"));
      expect(without.status).toBe(200);
      expect(Object.keys(mainOf(without.body))).not.toContain("livenessProbe");
    },
  },
  {
    name: "fields that the manager does not name are left to others",
    async run({ ask, core }) {
      const path = `${core}/configmaps/a`;
      await ask.apply(path, "one", configMap("a", { x: "1" }));
      await ask.patch(path, { metadata: { annotations: { mesh: "on" } }, data: { theirs: "2" } });
      const { body } = await ask.apply(path, "one", configMap("a", { x: "2" }));
      expect(body["data"]).toEqual({ x: "2", theirs: "2" });
      expect(at(body, "metadata", "annotations")).toEqual({ mesh: "on" });
    },
  },
  {
    name: "a hand's change takes the field away from the applier, and force takes it back",
    async run({ ask, core }) {
      const path = `${core}/configmaps/a`;
      await ask.apply(path, "one", configMap("a", { x: "1", y: "1" }));
      const edited = (await ask.patch(`${path}?fieldManager=hand`, { data: { x: "2" } })).body;
      expect(ownedBy(edited, "one")).toEqual({ "f:data": { "f:y": {} } });
      expect(ownedBy(edited, "hand", "Update")).toEqual({ "f:data": { "f:x": {} } });
      const refused = await ask.apply(path, "one", configMap("a", { x: "1", y: "1" }));
      expect(refused.status).toBe(409);
      const forced = (await ask.apply(path, "one", configMap("a", { x: "1", y: "1" }), true)).body;
      expect(forced["data"]).toEqual({ x: "1", y: "1" });
      expect(ownedBy(forced, "one")).toEqual({ "f:data": { "f:x": {}, "f:y": {} } });
    },
  },
  {
    name: "a field that a hand removes is not the applier's any more",
    async run({ ask, core }) {
      const path = `${core}/configmaps/a`;
      await ask.apply(path, "one", configMap("a", { x: "1", y: "1" }));
      const { body } = await ask.patch(path, { data: { x: null } });
      expect(ownedBy(body, "one")).toEqual({ "f:data": { "f:y": {} } });
    },
  },
  {
    name: "a hand that leaves the object as it is leaves the owners as they are",
    async run({ ask, core }) {
      const path = `${core}/configmaps/a`;
      const { body } = await ask.apply(path, "one", configMap("a", { x: "1" }));
      const same = (await ask.patch(path, { data: { x: "1" } })).body;
      expect(at(same, "metadata", "managedFields")).toEqual(at(body, "metadata", "managedFields"));
    },
  },
  {
    name: "items of a list with keys are fields of their own: another's stay, in their order",
    async run({ ask, apps }) {
      const path = `${apps}/daemonsets/d`;
      const ours = [{ name: "A", value: "1" }];
      await ask.apply(path, "one", daemonSet("d", { env: ours }));
      const theirs = daemonSet("d", { env: [{ name: "B", value: "2" }] });
      await ask.apply(path, "two", theirs);
      const changed = daemonSet("d", { env: [{ name: "A", value: "3" }] });
      const { body } = await ask.apply(path, "one", changed);
      expect(mainOf(body)["env"]).toEqual([
        { name: "A", value: "3" },
        { name: "B", value: "2" },
      ]);
      const { body: without } = await ask.apply(path, "one", daemonSet("d"));
      expect(mainOf(without)["env"]).toEqual([{ name: "B", value: "2" }]);
    },
  },
  {
    name: "a whole item of another, as a sidecar, stays",
    async run({ ask, apps }) {
      const path = `${apps}/daemonsets/d`;
      await ask.apply(path, "one", daemonSet("d"));
      const set = (await ask.get(path)).body;
      const sidecar = { name: "mesh", image: "example.com/mesh:1" };
      const containers = [...containersOf(set), sidecar];
      await ask.patch(`${path}?fieldManager=mesh`, { spec: { template: { spec: { containers } } } });
      const { body } = await ask.apply(path, "one", daemonSet("d", { image: "example.com/main:2" }));
      expect(containersOf(body).map((container) => at(container, "image"))).toEqual([
        "example.com/main:2",
        "example.com/mesh:1",
      ]);
    },
  },
  {
    name: "a list without keys is one field",
    async run({ ask, apps }) {
      const path = `${apps}/daemonsets/d`;
      await ask.apply(path, "one", daemonSet("d", { args: ["serve", "--x"] }));
      const answer = await ask.apply(path, "two", daemonSet("d", { args: ["serve"] }));
      expect(failure(answer)).toEqual({ status: 409, reason: "Conflict" });
      const { body } = await ask.apply(path, "two", daemonSet("d", { args: ["serve"] }), true);
      expect(mainOf(body)["args"]).toEqual(["serve"]);
    },
  },
  {
    name: "fieldsV1 of a DaemonSet names items by their keys, and what is atomic as a whole",
    async run({ ask, apps }) {
      const container = {
        args: ["serve"],
        env: [{ name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }],
        ports: [{ name: "metrics", containerPort: 9847 }],
        resources: { requests: { cpu: "20m" } },
        volumeMounts: [{ name: "sys", mountPath: "/sys", readOnly: true }],
        securityContext: { capabilities: { drop: ["ALL"] } },
      };
      const set = daemonSet("d", container);
      const volumes = [{ name: "sys", hostPath: { path: "/sys" } }];
      const template = { ...set.spec.template, spec: { ...set.spec.template.spec, volumes } };
      const metadata = { ...set.metadata, labels: { a: "b" } };
      const { body } = await ask.apply(`${apps}/daemonsets/d`, "one", {
        ...set,
        metadata,
        spec: { ...set.spec, template },
      });
      expect(ownedBy(body, "one")).toMatchObject({
        "f:metadata": { "f:labels": { "f:a": {} } },
        "f:spec": {
          "f:selector": {},
          "f:template": {
            "f:metadata": { "f:labels": { "f:app": {} } },
            "f:spec": {
              "f:nodeSelector": {},
              "f:containers": {
                'k:{"name":"main"}': {
                  ".": {},
                  "f:args": {},
                  "f:env": {
                    'k:{"name":"NODE_NAME"}': { ".": {}, "f:name": {}, "f:valueFrom": {} },
                  },
                  "f:image": {},
                  "f:name": {},
                  "f:ports": {
                    'k:{"containerPort":9847,"protocol":"TCP"}': {
                      ".": {},
                      "f:containerPort": {},
                      "f:name": {},
                    },
                  },
                  "f:resources": { "f:requests": { "f:cpu": {} } },
                  "f:securityContext": { "f:capabilities": { "f:drop": {} } },
                  "f:volumeMounts": {
                    'k:{"mountPath":"/sys"}': { ".": {}, "f:mountPath": {}, "f:name": {}, "f:readOnly": {} },
                  },
                },
              },
              "f:volumes": {
                'k:{"name":"sys"}': { ".": {}, "f:hostPath": { "f:path": {} }, "f:name": {} },
              },
            },
          },
        },
      });
    },
  },
  {
    name: "ownerReferences are told apart by uid, finalizers by their value",
    async run({ ask, core }) {
      const owner = (await ask.post(`${core}/configmaps`, configMap("owner"))).body;
      const uid = String(at(owner, "metadata", "uid"));
      const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid }];
      const metadata = { ownerReferences, finalizers: ["example.com/wait"] };
      const { body } = await ask.apply(`${core}/configmaps/a`, "one", configMap("a", {}, metadata));
      expect(ownedBy(body, "one")).toMatchObject({
        "f:metadata": {
          "f:finalizers": { 'v:"example.com/wait"': {} },
          "f:ownerReferences": { [`k:{"uid":"${uid}"}`]: {} },
        },
      });
      await ask.patch(`${core}/configmaps/a`, { metadata: { finalizers: null } });
    },
  },
  {
    name: "apply with an older resourceVersion is a conflict, with managedFields it is refused",
    async run({ ask, core }) {
      const path = `${core}/configmaps/a`;
      const { body } = await ask.apply(path, "one", configMap("a", { x: "1" }));
      await ask.patch(path, { data: { y: "2" } });
      const older = configMap("a", { x: "2" }, { resourceVersion: versionOf(body) });
      expect(failure(await ask.apply(path, "one", older))).toEqual({ status: 409, reason: "Conflict" });
      const managedFields = at(body, "metadata", "managedFields");
      const answer = await ask.apply(path, "one", configMap("a", {}, { managedFields }));
      expect(answer.status).toBe(400);
    },
  },
  {
    name: "a dry run of apply changes nothing",
    async run({ ask, core }) {
      const path = `${core}/configmaps/a`;
      await ask.apply(path, "one", configMap("a", { x: "1" }));
      const { body } = await ask.apply(`${path}`, "one&dryRun=All", configMap("a", { x: "2" }));
      expect(at(body, "data", "x")).toBe("2");
      expect(at((await ask.get(path)).body, "data", "x")).toBe("1");
    },
  },
];
