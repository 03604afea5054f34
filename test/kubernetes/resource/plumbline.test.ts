import { describe, expect, test } from "bun:test";
import { type Parsed, parsePlumbline } from "../../../src/kubernetes/resource/plumbline.ts";
import { NOT_IN_CONFIG, type PlumblineSpec } from "../../../src/kubernetes/resource/spec-schema.ts";
import { unknownMembers, wrongSections, wrongValues } from "./wrong-fields.ts";

const parse = (spec: unknown, name = "cluster"): Parsed => parsePlumbline({ metadata: { name }, spec });

const problems = (spec: unknown, name?: string) => {
  const parsed = parse(spec, name);
  return "problems" in parsed ? parsed.problems : [];
};

const messages = (spec: unknown) => problems(spec).map(({ message }) => message);

function accepted(spec: unknown): PlumblineSpec {
  const parsed = parse(spec);
  if ("problems" in parsed) throw new Error(parsed.problems.map(({ message }) => message).join("\n"));
  return parsed.spec;
}

describe("a Plumbline with one field wrong", () => {
  test.each(wrongValues())("names $path", ({ path, spec }) => {
    const found = problems(spec).find((problem) => problem.path === path);
    expect(found?.message).toStartWith(path);
  });

  test.each(wrongSections())("names $path where there is no mapping or list", ({ path, spec }) => {
    const found = problems(spec).find((problem) => problem.path === path);
    expect(found?.message).toStartWith(path);
  });

  test.each(unknownMembers())("names $path, which does not exist", ({ path, spec }) => {
    const section = path.slice(0, -".nosuch".length);
    const found = problems(spec).find((problem) => problem.path === path);
    expect(found?.message).toStartWith(`unknown key \`nosuch\` in ${section}; `);
  });
});

describe("what a Plumbline says", () => {
  test("nothing is enough: all has defaults", () => {
    expect(accepted(undefined)).toEqual({
      config: {},
      nodeSelector: {},
      tolerations: [{ operator: "Exists" }],
      resources: { requests: { cpu: "20m", memory: "64Mi" }, limits: { memory: "256Mi" } },
      collectors: { csi: true, nvme: true, ebs: true, instance_store: true },
      deviceAccess: "Privileged",
      secrets: [],
      monitoring: { enabled: "auto", interval: "30s", labels: {} },
      aggregate: { enabled: true, families: ["ebs_*", "csi_*", "nvme_*", "ec2_instance_store_*"] },
      clusterId: "auto",
    });
  });

  test("the configuration stays as it is written, without the defaults of the file", () => {
    const config = {
      mayastor: { endpoint: "https://mayastor:8080/", timeout: "1m 30s" },
      scrape: { timeout: 5 },
    };
    expect(accepted({ config }).config).toEqual(config);
  });

  test("a mistyped key is told with the one that may be meant", () => {
    expect(messages({ config: { mayastor: { timout: "5s" } }, colectors: {} })).toEqual([
      "unknown key `timout` in spec.config.mayastor; did you mean `timeout`?",
      "unknown key `colectors` in spec; did you mean `collectors`?",
    ]);
  });

  test("every wrong field is told, not the first alone", () => {
    expect(
      problems({ image: "", monitoring: { interval: "soon" }, clusterId: 7 }).map(({ path }) => path),
    ).toEqual(["spec.image", "spec.monitoring.interval", "spec.clusterId"]);
  });

  test.each(["a.b", "A", "-a", "a-", "", "a".repeat(53), "operator"])("the name %p is refused", (name) => {
    expect(problems({}, name).map(({ path }) => path)).toEqual(["metadata.name"]);
  });

  test("a name of 52 characters is taken", () => {
    expect(problems({}, "a".repeat(52))).toEqual([]);
  });

  test.each(["0s", "30", "s", "", "1s1m", "-1s"])("the interval %p is refused", (interval) => {
    expect(problems({ monitoring: { interval } }).map(({ path }) => path)).toEqual([
      "spec.monitoring.interval",
    ]);
  });

  test.each(["1.5", 2, "100m", "64Mi", "1e3", 0.5])("%p is a quantity", (cpu) => {
    expect(problems({ resources: { limits: { cpu } } })).toEqual([]);
  });

  test.each(["1 Gi", "64mi", "-1", -1, ""])("%p is no quantity", (memory) => {
    expect(problems({ resources: { limits: { memory } } }).map(({ path }) => path)).toEqual([
      "spec.resources.limits.memory",
    ]);
  });
});

describe("what a Plumbline's configuration cannot have", () => {
  const written = (path: string, value: unknown): unknown =>
    path.split(/\.|(?=\[\])/).reduceRight((inner, key) => (key === "[]" ? [inner] : { [key]: inner }), value);

  test.each(NOT_IN_CONFIG)("%s is refused with what to do instead", (path, instead) => {
    const named = `spec.config.${path.replace("[]", "[0]")}`;
    const found = problems({ config: written(path, "hunter2") }).find((problem) => problem.path === named);
    expect(found?.message).toBe(`${named} ${instead}`);
  });

  test("a secret that stands there is not repeated", () => {
    const target = {
      name: "a",
      endpoints: ["a"],
      user: "a@pve",
      password: "hunter2",
      token_value: "hunter2",
    };
    expect(JSON.stringify(problems({ config: { pve: { targets: [target] } } }))).not.toContain("hunter2");
  });

  test.each(["127.0.0.1:9847", "unix:///run/p.sock", ":0", "node-a:9847"])(
    "an exporter that listens at %s alone could not be asked",
    (address) => {
      expect(messages({ config: { web: { listen_addresses: [address] } } })).toEqual([
        "spec.config.web.listen_addresses must hold one at which the pod's own address answers, such as :9847",
      ]);
    },
  );
});

describe("settings that are right one by one and not together", () => {
  test("Mayastor's token over plain HTTP", () => {
    const mayastor = { endpoint: "http://mayastor:8080", token_file: "/a" };
    const [problem] = problems({ config: { mayastor } });
    expect(problem?.path).toBe("spec.config.mayastor");
    expect(problem?.message).toStartWith("spec.config.mayastor.token_file would be shown to everybody");
  });

  test("a certificate without its key", () => {
    expect(messages({ config: { mayastor: { cert_file: "/a" } } })).toEqual([
      "spec.config.mayastor.cert_file and mayastor.key_file belong together; set both or neither",
    ]);
  });

  const target = { name: "a", endpoints: ["a"], user: "a@pve" };

  test("a target of Proxmox VE without a way to log in, and with two", () => {
    const [none, both] = [
      { ...target },
      { ...target, name: "b", token_name: "t", token_file: "/a", password_file: "/b" },
    ];
    const found = problems({ config: { pve: { targets: [none, both] } } });
    expect(found.map(({ path }) => path)).toEqual([
      "spec.config.pve.targets[0]",
      "spec.config.pve.targets[1]",
    ]);
  });

  test("two targets of one name", () => {
    const login = { ...target, password_file: "/no/such/file" };
    const [problem] = problems({ config: { pve: { targets: [login, login] } } });
    expect(problem?.path).toBe("spec.config.pve.targets[1].name");
  });

  test("files that only the pods have are not looked for", () => {
    const login = { ...target, token_name: "t", token_file: "/no/such/file" };
    expect(problems({ config: { pve: { targets: [login] } } })).toEqual([]);
  });
});
