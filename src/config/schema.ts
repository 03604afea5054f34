/**
 * The one description of the configuration. From it come the types, the flags, the variables, the checks of the file
 * and their messages, `docs/configuration.md` and `docs/plumbline.schema.json`.
 */
import * as v from "valibot";
import { durationMs, humantimeMs } from "./duration.ts";
import { linearPattern } from "./linear-pattern.ts";
import { parseListenAddress } from "./listen-address.ts";
import { pveSection } from "./pve-schema.ts";
import { restEndpoint } from "./rest-endpoint.ts";
import { duration, FILE, MAX_DURATION_MS, SOME_TEXT, SWITCH, section, setting, text } from "./setting.ts";

export type Config = v.InferOutput<ReturnType<typeof configSchema>>;

/** `collectors`: the names of all collectors that exist. */
export function configSchema(collectors: readonly string[]) {
  return v.strictObject({
    web: v.optional(
      section("HTTP service", {
        listen_addresses: v.optional(
          setting(v.pipe(v.array(listenAddress), v.minLength(1)), {
            description:
              "Where to listen: host:port, [::]:port, or unix:///path; several addresses as a list, by repeating the flag, or in the variable separated by commas",
            expected: "a list of one or more addresses such as :9847",
            expectedItem: "an address of the form host:port, :port, [::1]:port or unix:///path",
            flag: "web.listen-address",
            placeholder: "address",
          }),
          [":9847"],
        ),
        telemetry_path: v.optional(
          setting(v.pipe(v.string(), v.regex(/^\/(?!-(\/|$))(?!.*\/\.\.?(\/|$))[\w~./%-]+$/)), {
            description: "Path of the metrics",
            expected:
              'a path such as /metrics: of letters, digits and "~._%-/", with more than "/", no part "." or "..", and not under /-/',
            placeholder: "path",
          }),
          "/metrics",
        ),
        config_file: v.optional(
          setting(text, {
            description:
              "TLS, client certificates, basic authentication and headers, in exporter-toolkit's format",
            expected: "the path of a file",
            flag: "web.config.file",
            placeholder: "file",
            besideFile: true,
          }),
        ),
        cert_file: v.optional(
          setting(text, {
            ...FILE,
            description: "The service's certificate (PEM), where web.config_file does not name one",
            flag: "server.certfile",
          }),
        ),
        key_file: v.optional(
          setting(text, {
            ...FILE,
            description: "The key (PEM) of web.cert_file",
            flag: "server.keyfile",
            isCredential: true,
          }),
        ),
        max_requests: v.optional(
          setting(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), {
            description: "Scrapes that run at a time; more are answered 503 with Retry-After. 0: no limit",
            expected: "a whole number, 0 or more",
            placeholder: "number",
          }),
          40,
        ),
        timeout_offset: v.optional(
          setting(duration(0), {
            description: "Taken off the time that Prometheus allows (X-Prometheus-Scrape-Timeout-Seconds)",
            expected: "a duration such as 500ms or 0.5 (seconds), from 0 to 24h",
            placeholder: "duration",
          }),
          "500ms",
        ),
        enable_lifecycle: v.optional(
          setting(v.boolean(), { description: "Allow POST /-/reload and POST /-/quit", expected: SWITCH }),
          false,
        ),
        disable_exporter_metrics: v.optional(
          setting(v.boolean(), {
            description: "Leave out the metrics of the exporter's own process and runtime",
            expected: SWITCH,
          }),
          false,
        ),
      }),
      {},
    ),
    scrape: v.optional(
      section("Scrapes", {
        timeout: v.optional(
          setting(duration(1), {
            description: "Deadline of a scrape that names none, and of the command textfile",
            expected: POSITIVE_DURATION,
            placeholder: "duration",
          }),
          "10s",
        ),
        timeout_max: v.optional(
          setting(duration(1), {
            description: "Longest deadline, whatever the scrape asks for",
            expected: POSITIVE_DURATION,
            placeholder: "duration",
          }),
          "120s",
        ),
      }),
      {},
    ),
    collectors: v.optional(
      section("Collectors", {
        disable_defaults: v.optional(
          setting(v.boolean(), {
            description: "Switch all collectors off but those that are switched on by name",
            expected: SWITCH,
            flag: "collector.disable-defaults",
          }),
          false,
        ),
        ...Object.fromEntries(collectors.map((name) => [name, collectorSwitch(name)])),
      }),
      {},
    ),
    path: v.optional(
      section("Paths", {
        rootfs: v.optional(
          setting(text, { ...PATH, description: "Where the host's file system is mounted" }),
          "/",
        ),
        procfs: v.optional(setting(text, { ...PATH, description: "Where procfs is mounted" }), "/proc"),
        sysfs: v.optional(setting(text, { ...PATH, description: "Where sysfs is mounted" }), "/sys"),
        devfs: v.optional(setting(text, { ...PATH, description: "Where the device nodes are" }), "/dev"),
        kubelet: v.optional(
          setting(text, {
            ...PATH,
            description: "The kubelet's directory",
            defaultText: "var/lib/kubelet below path.rootfs",
          }),
        ),
      }),
      {},
    ),
    node_name: v.optional(
      setting(text, {
        description: "Value of the label node",
        expected: SOME_TEXT,
        placeholder: "name",
        environment: [{ name: "NODE_NAME" }, { name: "MY_NODE_NAME" }],
        defaultText: "the host name",
      }),
    ),
    cluster_id: v.optional(
      setting(text, {
        description:
          "Value of the label cluster_id on the metrics of Amazon's volumes; without it they have no such label",
        expected: SOME_TEXT,
        placeholder: "id",
      }),
    ),
    ebs: v.optional(
      section("Amazon EBS", {
        device: v.optional(
          setting(text, {
            description:
              "The only device that the collector ebs looks at, such as /dev/nvme1n1 or /dev/nvme1",
            expected: "the path of a device",
            placeholder: "device",
            environment: [{ name: "EBS_DEVICE" }],
            defaultText: "all of them",
          }),
        ),
      }),
      {},
    ),
    csi: v.optional(
      section("CSI volumes", {
        vendor_files: v.optional(
          setting(v.array(v.picklist(["trident", "hpe"])), {
            description:
              "Storage vendors whose own files tell of volumes of which the kubelet's do not: trident, hpe; several as a list, by repeating the flag, or in the variable separated by commas",
            expected: "a list of trident and hpe",
            expectedItem: "trident or hpe",
            placeholder: "vendor",
            defaultText: "none",
          }),
        ),
      }),
      {},
    ),
    mayastor: v.optional(
      section("Mayastor", {
        endpoint: v.optional(
          setting(
            v.pipe(
              v.string(),
              v.check((text) => restEndpoint(text, "v0") !== undefined),
              v.transform((text) => restEndpoint(text, "v0") ?? ""),
            ),
            {
              description:
                "Address of Mayastor's REST service, such as https://mayastor-api-rest:8080; the collector mayastor needs it",
              expected:
                "an address such as https://mayastor-api-rest:8080: http or https, without user, password, query and fragment",
              placeholder: "url",
              environment: [{ name: "MAYASTOR_REST_ENDPOINT", afterFile: true }],
            },
          ),
        ),
        timeout: v.optional(
          setting(humantime, {
            description:
              "Longest time that fetching one resource may take; a scrape that has to answer earlier allows less",
            expected: 'a duration such as 10s, "1m 30s", 500ms or 10 (seconds), from 1ms to 1d',
            placeholder: "duration",
            environment: [{ name: "MAYASTOR_SCRAPE_TIMEOUT", afterFile: true }],
          }),
          "10s",
        ),
        node_name: v.optional(
          // A path ends before "." and goes up at "..".
          setting(v.pipe(text, v.regex(/^(?!\.\.?$)/)), {
            description:
              "Id of the only node that is asked about, with its pools, replicas and volume targets",
            expected: 'the id of a node: a text that is not empty, and neither "." nor ".."',
            placeholder: "id",
            defaultText: "the whole cluster",
          }),
        ),
        token_file: v.optional(
          setting(text, {
            ...FILE,
            description:
              "The file with the token (JWT) that is shown to the REST service; read for every request",
            isCredential: true,
          }),
        ),
        allow_plaintext_token: v.optional(
          setting(v.boolean(), {
            description: "Show the token over http as well, where everybody on the way can read it",
            expected: SWITCH,
          }),
          false,
        ),
        ca_file: v.optional(
          setting(text, {
            ...FILE,
            description: "The certificates (PEM) of the authorities that may vouch for the REST service",
            defaultText: "those that the runtime trusts",
          }),
        ),
        cert_file: v.optional(
          setting(text, {
            ...FILE,
            description: "plumbline's own certificate (PEM), where the REST service asks for one",
          }),
        ),
        key_file: v.optional(
          setting(text, {
            ...FILE,
            description: "The key (PEM) of mayastor.cert_file",
            isCredential: true,
          }),
        ),
        insecure_skip_verify: v.optional(
          setting(v.boolean(), {
            description: "Take whatever certificate the REST service shows, its dummy one as well",
            expected: SWITCH,
          }),
          false,
        ),
        resources: v.optional(
          setting(v.pipe(v.array(v.picklist(MAYASTOR_RESOURCES)), v.minLength(1)), {
            description:
              "What is asked for: nodes, pools, volumes, replicas; several as a list, by repeating the flag, or in the variable separated by commas",
            expected: "a list of nodes, pools, volumes and replicas",
            expectedItem: "nodes, pools, volumes or replicas",
            placeholder: "resource",
          }),
          ["nodes"],
        ),
        official_pool_names: v.optional(
          setting(v.boolean(), {
            description:
              "Give the metrics of pools under the names of the official exporter (diskpool_…) as well",
            expected: SWITCH,
          }),
          true,
        ),
        ignore_nodes: v.optional(
          setting(
            v.array(
              v.pipe(
                text,
                v.check((pattern) => linearPattern(pattern) !== undefined),
              ),
            ),
            {
              description:
                "Patterns of the ids of nodes to leave out, each of which has to match the whole id; several as a list, by repeating the flag, or in the variable separated by commas",
              expected: "a list of regular expressions",
              expectedItem:
                "a regular expression without look-around, references and word boundaries, of at most 1000 steps with all repetitions",
              placeholder: "pattern",
              defaultText: "none",
            },
          ),
        ),
      }),
      {},
    ),
    pve: v.optional(pveSection(collectors.flatMap((name) => pveName(name) ?? [])), {}),
    textfile: v.optional(
      section("Textfile", {
        directory: v.optional(
          setting(text, {
            description: "Directory of node_exporter's textfile collector; the command textfile needs it",
            expected: "the path of a directory",
            placeholder: "directory",
          }),
        ),
        name: v.optional(
          setting(v.pipe(v.string(), v.regex(/^[^./\0][^/\0]*\.prom$/)), {
            description: "Name of the file that the command textfile writes",
            expected: 'a file name that ends in .prom, without "/" and without a dot at its start',
            placeholder: "name",
          }),
          "plumbline.prom",
        ),
        strict: v.optional(
          setting(v.boolean(), {
            description: "The command textfile exits 3 if a collector failed",
            expected: SWITCH,
          }),
          false,
        ),
      }),
      {},
    ),
    state: v.optional(
      section("State", {
        directory: v.optional(
          setting(text, {
            description: "Where counters and the last readings are kept between runs of the command textfile",
            expected: "the path of a directory",
            placeholder: "directory",
            // systemd lists all directories of StateDirectory=, separated by colons; systemd.exec(5).
            environment: [{ name: "STATE_DIRECTORY", take: (list) => list.split(":", 1)[0] ?? "" }],
          }),
          "/var/lib/plumbline",
        ),
      }),
      {},
    ),
    operator: v.optional(
      section("Operator", {
        kubeconfig: v.optional(
          setting(text, {
            description:
              "The kubeconfig with which the API server is reached; several, separated by colons, are merged as kubectl does",
            expected: "the path of a file",
            flag: "kubeconfig",
            placeholder: "file",
            environment: [{ name: "KUBECONFIG" }],
            defaultText: "the pod's service account",
          }),
        ),
        namespace: v.optional(
          setting(v.pipe(v.string(), v.maxLength(63), v.regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/)), {
            description: "The namespace whose Plumbline resources the operator keeps true",
            expected: 'the name of a namespace: lower-case letters, digits and "-", at most 63 characters',
            flag: "namespace",
            placeholder: "namespace",
            environment: [{ name: "POD_NAMESPACE" }],
            defaultText: "that of the kubeconfig or of the service account",
          }),
        ),
        identity: v.optional(
          setting(text, {
            description: "What the operator calls itself in the Lease of the leader election",
            expected: SOME_TEXT,
            placeholder: "name",
            environment: [{ name: "POD_NAME" }],
            defaultText: "the host name",
          }),
        ),
        leader_elect: v.optional(
          setting(v.boolean(), {
            description: "Act only while holding the Lease, so that of several replicas one acts",
            expected: SWITCH,
            flag: "leader-elect",
          }),
          true,
        ),
        image: v.optional(
          setting(text, {
            description: "Image of the exporter where a Plumbline names none",
            expected: SOME_TEXT,
            placeholder: "image",
            defaultText: "that of the operator's own pod",
          }),
        ),
        metrics_listen_addresses: v.optional(
          setting(v.pipe(v.array(listenAddress), v.minLength(1)), {
            description: "Where the metrics of all nodes are served",
            expected: "a list of one or more addresses such as :8383",
            expectedItem: "an address of the form host:port, :port, [::1]:port or unix:///path",
            flag: "metrics.listen-address",
            placeholder: "address",
          }),
          [":8383"],
        ),
        metrics_config_file: v.optional(
          setting(text, {
            ...FILE,
            description:
              "TLS, client certificates and basic authentication of the metrics of all nodes, in exporter-toolkit's format",
            flag: "metrics.config-file",
          }),
        ),
        health_listen_addresses: v.optional(
          setting(v.pipe(v.array(listenAddress), v.minLength(1)), {
            description: "Where health, readiness and the operator's own metrics are served",
            expected: "a list of one or more addresses such as :8081",
            expectedItem: "an address of the form host:port, :port, [::1]:port or unix:///path",
            flag: "health.listen-address",
            placeholder: "address",
          }),
          [":8081"],
        ),
      }),
      {},
    ),
    log: v.optional(
      section("Log", {
        level: v.optional(
          setting(v.picklist(["debug", "info", "warn", "error"]), {
            description: "The least severe level that is logged: debug, info, warn or error",
            expected: "debug, info, warn or error",
            placeholder: "level",
          }),
          "info",
        ),
        format: v.optional(
          setting(v.picklist(["logfmt", "json"]), {
            description: "How a line of the log is written: logfmt or json",
            expected: "logfmt or json",
            placeholder: "format",
          }),
          "logfmt",
        ),
      }),
      {},
    ),
  });
}

/** Where the file is cannot stand in the file, so this setting stands beside the schema. */
export const CONFIG_FILE = setting(v.pipe(v.string(), v.minLength(1)), {
  description: "The configuration file (YAML)",
  expected: "the path of a file",
  flag: "config.file",
  placeholder: "file",
});

const MAYASTOR_RESOURCES = ["nodes", "pools", "volumes", "replicas"] as const;
const POSITIVE_DURATION = "a duration such as 10s, 500ms, 1m30s or 10 (seconds), above 0 and at most 24h";
const PATH = { expected: "the path of a directory", placeholder: "directory" } as const;

const listenAddress = v.pipe(
  v.string(),
  v.check((address) => parseListenAddress(address) !== undefined),
);

/** As Mayastor's own programs write durations, and as ours do. */
const humantime = v.pipe(
  v.union([v.string(), v.number()]),
  v.transform((written) => humantimeMs(written) ?? durationMs(written) ?? Number.NaN),
  v.check((ms) => ms >= 1 && ms <= MAX_DURATION_MS),
);

function collectorSwitch(name: string) {
  const bare = pveName(name);
  return v.optional(
    setting(v.boolean(), {
      description: `Switch the collector ${name} on or off`,
      expected: SWITCH,
      flag: `collector.${name}`,
      ...(bare !== undefined && { otherFlag: `collector.${bare}` }),
      defaultText: bare === undefined ? "on where its source exists" : "see docs/proxmox-ve.md",
    }),
  );
}

/** `status` of `pve-status`, as prometheus-pve-exporter calls it; undefined for collectors of other sources. */
export const pveName = (collector: string): string | undefined => /^pve-(.+)$/.exec(collector)?.[1];
