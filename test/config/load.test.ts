import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { catalogue, type Setting } from "../../src/config/catalogue.ts";
import { ConfigError } from "../../src/config/error.ts";
import { type Environment, type FlagValues, load } from "../../src/config/load.ts";
import { NO_PVE } from "../../src/config/pve.ts";
import { MAYASTOR_DEFAULTS } from "../support/mayastor-settings.ts";
import { NO_OPERATOR } from "../support/operator-settings.ts";

const COLLECTORS = ["nvme", "ebs", "instance_store"];
const SETTINGS = catalogue(COLLECTORS).settings.filter(({ path }) => path.length > 0);
const scratch = mkdtempSync(join(tmpdir(), "plumbline-load-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const loaded = (flags: FlagValues = {}, environment: Environment = {}) =>
  load(flags, environment, COLLECTORS);

function originOf(name: string, flags: FlagValues, environment: Environment) {
  return loaded(flags, environment).origins.find((origin) => origin.name === name);
}

function errorOf(flags: FlagValues, environment: Environment = {}): ConfigError {
  try {
    loaded(flags, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("accepted");
}

/** Three different values that the setting takes, as text. */
const VALUES: Readonly<Record<string, readonly [string, string, string]>> = {
  "web.listen_addresses": [":1", ":2", ":3"],
  "web.telemetry_path": ["/a", "/b", "/c"],
  "web.max_requests": ["1", "2", "3"],
  "textfile.name": ["a.prom", "b.prom", "c.prom"],
  "csi.vendor_files": ["trident", "hpe", "trident"],
  "mayastor.endpoint": ["http://a", "http://b", "http://c"],
  "mayastor.resources": ["pools", "volumes", "replicas"],
  "pve.allowed_targets": ["*.lan", "192.0.2.0/24", "pve1"],
  "pve.modules_file": [modulesFile("a"), modulesFile("b"), modulesFile("c")],
  "operator.namespace": ["a", "b", "c"],
  "operator.metrics_listen_addresses": [":1", ":2", ":3"],
  "operator.health_listen_addresses": [":1", ":2", ":3"],
  "log.level": ["debug", "warn", "error"],
  "log.format": ["json", "logfmt", "json"],
};

function modulesFile(name: string): string {
  const path = join(scratch, `${name}.yml`);
  writeFileSync(path, `${name}: {user: u@pve, password: p}\n`);
  return path;
}

/** Flags without which a setting cannot be set. */
const COMPANIONS: Readonly<Record<string, FlagValues>> = {
  "mayastor.cert_file": { "mayastor.key-file": "/key" },
  "mayastor.key_file": { "mayastor.cert-file": "/cert" },
  "web.cert_file": { "server.keyfile": "/key" },
  "web.key_file": { "server.certfile": "/cert" },
};

function valuesOf({ name, kind, fallback }: Setting): readonly [string, string, string] {
  const own = VALUES[name];
  if (own !== undefined) return own;
  if (kind === "switch") return ["true", "false", "true"];
  if (typeof fallback === "string" && /^\d/.test(fallback)) return ["1s", "2s", "3s"];
  return ["/a", "/b", "/c"];
}

const inFile = ({ kind }: Setting, text: string): unknown =>
  kind === "list" ? [text] : kind === "number" ? Number(text) : kind === "switch" ? text === "true" : text;

function configFile(setting: Setting, text: string): string {
  const path = join(scratch, `${setting.name}.yaml`);
  const value = setting.path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), inFile(setting, text));
  writeFileSync(path, stringify(value));
  return path;
}

describe("every setting", () => {
  test.each(SETTINGS.map((setting) => [setting.name, setting] as const))(
    "%s is taken from flag, environment, file and default, in this order",
    (name, setting) => {
      const [flagText, variableText, fileText] = valuesOf(setting);
      const path = configFile(setting, fileText);
      const flag: FlagValues = {
        [setting.flag]: setting.kind === "switch" ? flagText === "true" : flagText,
      };
      const others = COMPANIONS[name] ?? {};
      const file: FlagValues = { ...others, "config.file": path };
      for (const variable of setting.variables) {
        const environment = { [variable.name]: variableText };
        expect(originOf(name, { ...file, ...flag }, environment)).toMatchObject({
          value: flagText,
          from: "flag",
          detail: `--${setting.flag}`,
        });
        const byVariable = { value: variableText, from: "environment", detail: variable.name };
        expect(originOf(name, others, environment)).toMatchObject(byVariable);
        expect(originOf(name, file, environment)).toMatchObject(
          variable.afterFile ? { value: fileText, from: "file" } : byVariable,
        );
      }
      expect(originOf(name, file, {})).toMatchObject({ value: fileText, from: "file" });
      expect(originOf(name, file, {})?.detail).toMatch(
        new RegExp(`^${path}:${setting.path.length}:${setting.path.length === 1 ? 1 : 3}$`),
      );
      expect(originOf(name, {}, {})?.from).toBe("default");
    },
  );

  test("has a flag and a variable of its own", () => {
    const all = catalogue(COLLECTORS).settings;
    expect(new Set(all.map(({ flag }) => flag)).size).toBe(all.length);
    const variables = all.flatMap(({ variables }) => variables.map(({ name }) => name));
    expect(new Set(variables).size).toBe(variables.length);
    expect(variables).toContain("PLUMBLINE_WEB_LISTEN_ADDRESS");
    expect(variables).toContain("PLUMBLINE_COLLECTOR_INSTANCE_STORE");
    expect(variables).toContain("PLUMBLINE_NODE_NAME");
  });
});

describe("without anything set", () => {
  const { settings, origins, warnings } = loaded();

  test("the settings are those that the documentation promises", () => {
    expect(settings).toEqual({
      configFile: undefined,
      web: {
        listenAddresses: [":9847"],
        telemetryPath: "/metrics",
        configFile: undefined,
        keyPair: undefined,
        maxRequests: 40,
        timeoutOffsetMs: 500,
        enableLifecycle: false,
        disableExporterMetrics: false,
      },
      scrape: { timeoutMs: 10_000, timeoutMaxMs: 120_000 },
      collectors: { disableDefaults: false, chosen: {} },
      path: { rootfs: "/", procfs: "/proc", sysfs: "/sys", devfs: "/dev", kubelet: "/var/lib/kubelet" },
      kubeletIsNamed: false,
      nodeName: hostname(),
      nodeNameIsHostName: true,
      clusterId: undefined,
      ebs: { device: undefined },
      csi: { vendorFiles: [] },
      mayastor: MAYASTOR_DEFAULTS,
      pve: NO_PVE,
      operator: NO_OPERATOR,
      textfile: { directory: undefined, name: "plumbline.prom", strict: false },
      state: { directory: "/var/lib/plumbline" },
      log: { level: "info", format: "logfmt" },
    });
    expect(warnings).toEqual([]);
  });

  test("each setting is listed with its default, derived ones with what they come to", () => {
    expect(origins).toHaveLength(SETTINGS.length + 1);
    expect(origins.every(({ from }) => from === "default")).toBe(true);
    expect(origins).toContainEqual({ name: "node_name", value: hostname(), from: "default" });
    expect(origins).toContainEqual({ name: "path.kubelet", value: "/var/lib/kubelet", from: "default" });
    expect(origins).toContainEqual({ name: "web.listen_addresses", value: ":9847", from: "default" });
  });
});

describe("flags", () => {
  test("a repeated flag is a list", () => {
    expect(
      loaded({ "web.listen-address": [":1", "unix:///run/p.sock"] }).settings.web.listenAddresses,
    ).toEqual([":1", "unix:///run/p.sock"]);
  });

  test("a switch that is off by --no- is told as such", () => {
    expect(originOf("collectors.nvme", { "collector.nvme": false }, {})).toEqual({
      name: "collectors.nvme",
      value: "false",
      from: "flag",
      detail: "--no-collector.nvme",
    });
    expect(loaded({ "collector.nvme": false }).settings.collectors.chosen).toEqual({ nvme: false });
  });

  test("a wrong value is a wrong use of the command line, and names the flag", () => {
    const error = errorOf({ "web.max-requests": "many" });
    expect(error.message).toBe('--web.max-requests must be a whole number, 0 or more; it is "many"');
    expect(error.usage).toBe(true);
  });

  test("an empty value is no value", () => {
    expect(errorOf({ "node-name": "" }).message).toBe(
      '--node-name must be a text that is not empty; it is ""',
    );
    expect(errorOf({ "config.file": "" }).usage).toBe(true);
  });
});

describe("variables", () => {
  test("a wrong value is an error of the configuration, and names the variable", () => {
    const error = errorOf({}, { PLUMBLINE_SCRAPE_TIMEOUT: "soon" });
    expect(error.message).toBe(
      'PLUMBLINE_SCRAPE_TIMEOUT must be a duration such as 10s, 500ms, 1m30s or 10 (seconds), above 0 and at most 24h; it is "soon"',
    );
    expect(error.usage).toBe(false);
  });

  test("an empty variable counts as not set", () => {
    expect(loaded({}, { PLUMBLINE_NODE_NAME: "", NODE_NAME: "b" }).settings.nodeName).toBe("b");
  });

  test("NODE_NAME goes before MY_NODE_NAME, and PLUMBLINE_NODE_NAME before both", () => {
    const both = { NODE_NAME: "b", MY_NODE_NAME: "c" };
    expect(loaded({}, both).settings.nodeName).toBe("b");
    expect(loaded({}, { MY_NODE_NAME: "c" }).settings.nodeName).toBe("c");
    expect(loaded({}, { ...both, PLUMBLINE_NODE_NAME: "a" }).settings.nodeName).toBe("a");
  });

  test("EBS_DEVICE limits the collector ebs", () => {
    expect(loaded({}, { EBS_DEVICE: "/dev/nvme1n1" }).settings.ebs.device).toBe("/dev/nvme1n1");
  });

  test("Mayastor's own two are honoured where neither ours nor the file says anything", () => {
    const environment = { MAYASTOR_REST_ENDPOINT: "http://theirs:8081", MAYASTOR_SCRAPE_TIMEOUT: "1m 30s" };
    const mayastor = (more: Environment, file?: string) => {
      const path = join(scratch, "mayastor.yaml");
      writeFileSync(path, file ?? "");
      return loaded({ "config.file": path }, { ...environment, ...more }).settings.mayastor;
    };
    expect(mayastor({})).toMatchObject({ endpoint: "http://theirs:8081/v0", timeoutMs: 90_000 });
    expect(mayastor({}, "mayastor: {endpoint: http://file, timeout: 2s}")).toMatchObject({
      ...{ endpoint: "http://file/v0", timeoutMs: 2000 },
    });
    expect(
      mayastor({ PLUMBLINE_MAYASTOR_ENDPOINT: "http://ours", PLUMBLINE_MAYASTOR_TIMEOUT: "3s" }),
    ).toMatchObject({ endpoint: "http://ours/v0", timeoutMs: 3000 });
  });

  test.each(["soon", "10 parsecs", "0s", "-1s", "2d"])(
    "a MAYASTOR_SCRAPE_TIMEOUT of %p is refused with its name",
    (text) => {
      expect(errorOf({}, { MAYASTOR_SCRAPE_TIMEOUT: text }).message).toBe(
        `MAYASTOR_SCRAPE_TIMEOUT must be a duration such as 10s, "1m 30s", 500ms or 10 (seconds), from 1ms to 1d; it is "${text}"`,
      );
    },
  );

  test("the node's name alone never narrows what Mayastor is asked for", () => {
    const environment = { NODE_NAME: "a", MY_NODE_NAME: "b", PLUMBLINE_NODE_NAME: "c" };
    expect(loaded({ "node-name": "d" }, environment).settings.mayastor.nodeName).toBeUndefined();
  });

  test("a name by any variable is not the host's by default", () => {
    expect(loaded({}, { NODE_NAME: hostname() }).settings.nodeNameIsHostName).toBe(false);
    expect(loaded().settings.nodeNameIsHostName).toBe(true);
  });

  test("the first of systemd's state directories is used", () => {
    const environment = { STATE_DIRECTORY: "/var/lib/plumbline-a:/var/lib/plumbline-b" };
    expect(loaded({}, environment).settings.state.directory).toBe("/var/lib/plumbline-a");
  });

  test("a list is separated by commas", () => {
    const environment = { PLUMBLINE_WEB_LISTEN_ADDRESS: ":1, [::1]:2" };
    expect(loaded({}, environment).settings.web.listenAddresses).toEqual([":1", "[::1]:2"]);
  });

  test.each([
    ["1", true],
    ["yes", true],
    ["ON", true],
    ["True", true],
    ["0", false],
    ["no", false],
    ["off", false],
    ["FALSE", false],
  ])("%s switches to %p", (text, on) => {
    const environment = { PLUMBLINE_COLLECTOR_NVME: text };
    expect(loaded({}, environment).settings.collectors.chosen).toEqual({ nvme: on });
  });

  test("a number in another notation than ours is refused", () => {
    expect(errorOf({}, { PLUMBLINE_WEB_MAX_REQUESTS: "0x10" }).message).toContain('it is "0x10"');
    expect(errorOf({}, { PLUMBLINE_WEB_MAX_REQUESTS: "1e3" }).message).toContain('it is "1e3"');
  });

  test("one that is mistyped is a warning with the one that may be meant", () => {
    expect(loaded({}, { PLUMBLINE_LOG_LEVL: "debug" }).warnings).toEqual([
      "variable PLUMBLINE_LOG_LEVL is not known; did you mean PLUMBLINE_LOG_LEVEL?",
    ]);
  });

  test("those that Kubernetes adds for a Service called plumbline are no mistakes", () => {
    const environment = {
      PLUMBLINE_PORT: "tcp://10.0.0.1:9847",
      PLUMBLINE_PORT_9847_TCP: "tcp://10.0.0.1:9847",
      PLUMBLINE_PORT_9847_TCP_ADDR: "10.0.0.1",
      PLUMBLINE_PORT_9847_TCP_PORT: "9847",
      PLUMBLINE_PORT_9847_TCP_PROTO: "tcp",
      PLUMBLINE_SERVICE_HOST: "10.0.0.1",
      PLUMBLINE_SERVICE_PORT: "9847",
      PLUMBLINE_SERVICE_PORT_METRICS: "9847",
    };
    expect(loaded({}, environment)).toEqual(loaded());
  });

  test("the file may be named by a variable", () => {
    const path = join(scratch, "named.yaml");
    writeFileSync(path, "node_name: from-file\n");
    const { settings, origins } = loaded({}, { PLUMBLINE_CONFIG_FILE: path });
    expect(settings.nodeName).toBe("from-file");
    expect(origins[0]).toEqual({
      name: "config.file",
      value: path,
      from: "environment",
      detail: "PLUMBLINE_CONFIG_FILE",
    });
  });
});

test("loading again reads the file anew, and a file that is wrong now leaves what was loaded as it was", () => {
  const path = join(scratch, "again.yaml");
  writeFileSync(path, "node_name: a\n");
  const before = loaded({ "config.file": path });
  writeFileSync(path, "node_name: b\n");
  expect(loaded({ "config.file": path }).settings.nodeName).toBe("b");
  writeFileSync(path, "node_nam: c\n");
  expect(errorOf({ "config.file": path }).message).toContain("did you mean `node_name`?");
  expect(before.settings.nodeName).toBe("a");
});

describe("Mayastor's REST service", () => {
  const ENDPOINT = "https://h:8080";

  test.each([
    ["https://h:8080", "https://h:8080/v0"],
    ["http://h:8081/", "http://h:8081/v0"],
    ["https://h/v0", "https://h/v0"],
    ["HTTPS://H/v0/", "https://h/v0"],
    ["https://[::1]:8080/v0", "https://[::1]:8080/v0"],
    ["https://gateway/mayastor", "https://gateway/mayastor/v0"],
  ])("at %s is asked at %s", (text, base) => {
    expect(loaded({ "mayastor.endpoint": text }).settings.mayastor.endpoint).toBe(base);
  });

  test.each([
    ["mayastor-api-rest:8080", '"mayastor-api-rest:8080"'],
    ["ftp://h", '"ftp://h"'],
    ["http:h", '"http:h"'],
    ["https://", '"https://"'],
    ["https://h#v0", '"https://h?<set>"'],
    ["https://user:hunter2@h", '"https://<set>@h"'],
    ["https://user:/hunter2@h", '"https://<set>@h"'],
    ["user:hunter2@h", '"<set>@h"'],
    ["https://hunter2@h/v0", '"https://<set>@h/v0"'],
    ["https://h/v0?token=hunter2", '"https://h/v0?<set>"'],
  ])("cannot be at %s, and the message holds no password", (text, shown) => {
    const { message } = errorOf({ "mayastor.endpoint": text });
    expect(message).toContain(`user, password, query and fragment; it is ${shown}`);
    expect(message).not.toContain("hunter2");
  });

  test("is shown no token over http, unless that is allowed by name", () => {
    const flags = { "mayastor.endpoint": "http://h", "mayastor.token-file": "/token" };
    expect(errorOf(flags).message).toBe(
      "mayastor.token_file would be shown to everybody on the way, as mayastor.endpoint is http; use https, or set mayastor.allow_plaintext_token to true",
    );
    expect(loaded({ ...flags, "mayastor.allow-plaintext-token": true }).settings.mayastor.tokenFile).toBe(
      "/token",
    );
    expect(loaded({ ...flags, "mayastor.endpoint": ENDPOINT }).settings.mayastor.tokenFile).toBe("/token");
  });

  test.each(["mayastor.cert-file", "mayastor.key-file"])("is not given %s alone", (flag) => {
    expect(errorOf({ [flag]: "/file" }).message).toBe(
      "mayastor.cert_file and mayastor.key_file belong together; set both or neither",
    );
  });

  test("is asked for each resource once, in whatever way it was named", () => {
    const flags = { "mayastor.resources": ["pools", "nodes", "pools"] };
    expect(loaded(flags).settings.mayastor.resources).toEqual(["pools", "nodes"]);
  });

  test("is told how to be asked for several resources where one flag names them all", () => {
    expect(errorOf({ "mayastor.resources": ["nodes,pools"] }).message).toBe(
      '--mayastor.resources must be nodes, pools, volumes or replicas; it is "nodes,pools"; to give several, repeat the flag',
    );
    expect(errorOf({ "mayastor.resources": ["pool"] }).message).toEndWith('it is "pool"');
    const { mayastor } = loaded({}, { PLUMBLINE_MAYASTOR_RESOURCES: "nodes,pools" }).settings;
    expect(mayastor.resources).toEqual(["nodes", "pools"]);
  });

  test("has its files beside the configuration file, or among systemd's credentials", () => {
    const path = join(scratch, "credentials.yaml");
    writeFileSync(path, "mayastor: {token_file: token, ca_file: ca.pem, cert_file: c.pem, key_file: key}\n");
    writeFileSync(join(scratch, "token"), "");
    const beside = loaded({ "config.file": path }).settings.mayastor;
    expect(beside).toMatchObject({ tokenFile: join(scratch, "token"), caFile: join(scratch, "ca.pem") });
    const credentials = mkdtempSync(join(scratch, "credentials-"));
    writeFileSync(join(credentials, "key"), "");
    const environment = { CREDENTIALS_DIRECTORY: credentials };
    expect(loaded({ "config.file": path }, environment).settings.mayastor).toMatchObject({
      ...{ tokenFile: join(scratch, "token"), keyFile: join(credentials, "key") },
    });
    const flags = { "mayastor.cert-file": "/c", "mayastor.key-file": "key" };
    expect(loaded(flags, environment).settings.mayastor.keyFile).toBe(join(credentials, "key"));
    expect(loaded(flags).settings.mayastor.keyFile).toBe("key");
  });

  test("has no node ignored by a pattern that is none", () => {
    expect(errorOf({ "mayastor.ignore-nodes": ["old-.*", "(old"] }).message).toBe(
      '--mayastor.ignore-nodes must be a regular expression without look-around, references and word boundaries, of at most 1000 steps with all repetitions; it is "(old"',
    );
    expect(loaded({ "mayastor.ignore-nodes": ["old-.*"] }).settings.mayastor.ignoreNodes).toEqual(["old-.*"]);
  });
});
