/** Sentences about what an API server refused: they say which right or which field, and nothing else of the answer. */
import { describe, expect, test } from "bun:test";
import { type Asked, refusal } from "../../../src/kubernetes/client/failure.ts";

const PATCH: Asked = {
  verb: "patch",
  group: "apps",
  resource: "daemonsets",
  name: "plumbline-a",
  namespace: "n",
};

const forbidden = (message: string, asked: Asked = PATCH) =>
  refusal(asked, 403, { kind: "Status", message }, null).message;

describe("403", () => {
  const ROLE =
    "cannot patch daemonsets plumbline-a in namespace n (403): the operator's Role in namespace n lacks the rule ";

  test("names the rule of the Role that is lacking", () => {
    const message =
      'daemonsets.apps "plumbline-a" is forbidden: User "system:serviceaccount:n:operator" cannot patch resource "daemonsets" in API group "apps" in the namespace "n"';
    expect(forbidden(message)).toBe(
      `${ROLE}{"apiGroups":["apps"],"resources":["daemonsets"],"verbs":["patch"]}`,
    );
  });

  test("names the right to create, where a patch finds nothing to change", () => {
    const lacksCreate = `${ROLE}{"apiGroups":["apps"],"resources":["daemonsets"],"verbs":["create"]}`;
    expect(forbidden('daemonsets.apps "plumbline-a" is forbidden: ')).toBe(lacksCreate);
    expect(forbidden('daemonsets.apps "plumbline-a" is forbidden: RBAC: role "x" not found')).toBe(
      lacksCreate,
    );
  });

  test("names the rule of the ClusterRole for what is in no namespace, and a subresource as such", () => {
    const get: Asked = {
      verb: "get",
      group: "",
      resource: "namespaces",
      name: "kube-system",
      namespace: undefined,
    };
    const message =
      'namespaces "kube-system" is forbidden: User "x" cannot get resource "namespaces" in API group ""';
    expect(forbidden(message, get)).toEndWith(
      'the operator\'s ClusterRole lacks the rule {"apiGroups":[""],"resources":["namespaces"],"verbs":["get"]}',
    );
    expect(forbidden("", { ...PATCH, resource: "plumblines/status" })).toContain(
      '"resources":["plumblines/status"]',
    );
  });

  test("says what no rule would help against", () => {
    expect(forbidden('pods "x" is forbidden: exceeded quota: planted')).toEndWith(
      "not for lack of a right, but by a policy, a quota or an admission webhook of the cluster",
    );
    const owner =
      'daemonsets.apps "x" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can\'t set finalizers on: planted';
    expect(forbidden(owner)).toEndWith("grant update on plumblines/finalizers of plumbline.dev");
  });
});

describe("422", () => {
  const invalid = (...causes: readonly unknown[]) =>
    refusal(PATCH, 422, { kind: "Status", message: "planted", details: { causes } }, null).message;

  test("names the fields and in what way they are wrong, each once and five at most", () => {
    expect(
      invalid({
        field: "spec.template.spec.containers[0].image",
        reason: "FieldValueRequired",
        message: "planted",
      }),
    ).toEndWith(
      "the API server finds it invalid: spec.template.spec.containers[0].image (FieldValueRequired)",
    );
    expect(
      invalid({ field: "a" }, { field: "a" }, ..."bcdefg".split("").map((field) => ({ field }))),
    ).toEndWith("invalid: a, b, c, d, e");
  });

  test("names no field that could be anything else", () => {
    for (const field of ["metadata.labels[planted label]", "planted\n", `${"planted".repeat(40)}`])
      expect(invalid({ field })).toEndWith("the API server finds it invalid");
    expect(invalid({ field: "a", reason: "planted reason" })).toEndWith("invalid: a");
  });
});

describe("409", () => {
  test("tells what exists already from what has changed meanwhile", () => {
    const conflict = (reason: string) => refusal(PATCH, 409, { kind: "Status", reason }, null).message;
    expect(conflict("AlreadyExists")).toEndWith("(409): it exists already");
    expect(conflict("Conflict")).toEndWith("(409): it has changed meanwhile");
  });
});

describe("the time to wait", () => {
  const waitMs = (body: unknown, header: string | null) => refusal(PATCH, 429, body, header).retryAfterMs;

  test("is that of the header, else that of the body, else none", () => {
    const body = { details: { retryAfterSeconds: 3 } };
    expect([waitMs(body, "2"), waitMs(body, null), waitMs({}, null)]).toEqual([2000, 3000, undefined]);
    expect([waitMs("planted", null), waitMs({ details: { retryAfterSeconds: -1 } }, null)]).toEqual([
      undefined,
      undefined,
    ]);
  });

  test("may be a date", () => {
    const inAMinute = new Date(Date.now() + 60_000).toUTCString();
    expect(waitMs({}, inAMinute)).toBeGreaterThan(50_000);
  });
});

describe("404", () => {
  const create: Asked = { ...PATCH, verb: "create" };
  const message = (kind: string) => refusal(create, 404, { kind: "Status", details: { kind } }, null).message;

  test("tells a namespace that is missing from what is missing in it", () => {
    expect(message("namespaces")).toBe(
      "cannot create daemonsets plumbline-a in namespace n (404): the namespace does not exist; make it, or name another one",
    );
    expect(message("daemonsets")).toEndWith("it does not exist, or the server does not know the kind");
  });
});
