/**
 * What may stand in a Plumbline's `spec`: the one description, in the words of the configuration, from which come its
 * checks, their messages and the CRD.
 */
import * as v from "valibot";
import { configSchema } from "../../config/schema.ts";
import { SOME_TEXT, SWITCH, section, setting, text } from "../../config/setting.ts";
import { COLLECTORS } from "../../scrape/sources.ts";

export interface PlumblineSpec extends Omit<v.InferOutput<typeof SPEC>, "config"> {
  /** As written: it is the exporter that reads it. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Those that read the node itself: what they need decides about mounts and rights. */
export const NODE_COLLECTORS = ["csi", "nvme", "ebs", "instance_store"] as const;

const quantity = v.union([
  v.pipe(v.string(), v.regex(/^\d+(?:\.\d+)?(?:[KMGTPE]i|[numkMGTPE]|[eE]\d+)?$/)),
  v.pipe(v.number(), v.minValue(0)),
]);
const quantities = v.record(
  v.string(),
  setting(quantity, {
    description: "How much of it",
    expected: "a quantity such as 20m, 64Mi, 1.5 or 2",
  }),
);

const nodeSwitch = (what: string) =>
  v.optional(setting(v.boolean(), { description: `Collect ${what}`, expected: SWITCH }), true);

const secretName = v.pipe(v.string(), v.maxLength(253), v.regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/));

export const SPEC = section("What the exporter of a cluster's nodes is to be like", {
  image: v.optional(
    setting(v.pipe(v.string(), v.regex(/^[\w][\w./:@-]*$/)), {
      description: "Image of the exporter; left out, it is that of the operator itself",
      expected: "the name of an image, such as registry.example/plumbline:1.0.0",
    }),
  ),
  config: v.optional(
    v.pipe(
      configSchema(COLLECTORS.map(({ name }) => name)),
      v.title("What the exporter's configuration file is to hold; see docs/configuration.md"),
    ),
    {},
  ),
  nodeSelector: v.optional(
    v.pipe(
      v.record(
        v.string(),
        setting(v.string(), { description: "Value of the label", expected: "a text, in quotes if need be" }),
      ),
      v.title("Labels that a node must have to get a pod, beside kubernetes.io/os: linux"),
    ),
    {},
  ),
  tolerations: v.optional(
    v.pipe(
      v.array(
        section("One of the tolerations", {
          key: v.optional(
            setting(v.string(), { description: "Key of the taint; left out, all keys", expected: "a text" }),
          ),
          operator: v.optional(
            setting(v.picklist(["Exists", "Equal"]), {
              description: "How key and value are held against the taint; left out, Equal",
              expected: "Exists or Equal",
            }),
          ),
          value: v.optional(
            setting(v.string(), { description: "Value of the taint, with Equal", expected: "a text" }),
          ),
          effect: v.optional(
            setting(v.picklist(["NoSchedule", "PreferNoSchedule", "NoExecute"]), {
              description: "Effect of the taint; left out, all effects",
              expected: "NoSchedule, PreferNoSchedule or NoExecute",
            }),
          ),
          tolerationSeconds: v.optional(
            setting(v.pipe(v.number(), v.safeInteger()), {
              description: "For how many seconds a pod stays after a taint of effect NoExecute appears",
              expected: "a whole number of seconds",
            }),
          ),
        }),
      ),
      v.title("Which taints of nodes the pods tolerate; left out, all of them"),
    ),
    [{ operator: "Exists" }],
  ),
  resources: v.optional(
    section("What a pod may take", {
      requests: v.optional(v.pipe(quantities, v.title("What is kept free for it")), {
        cpu: "20m",
        memory: "64Mi",
      }),
      limits: v.optional(v.pipe(quantities, v.title("What it may take at most")), { memory: "256Mi" }),
    }),
    {},
  ),
  priorityClassName: v.optional(
    setting(v.pipe(v.string(), v.maxLength(253), v.regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/)), {
      description: "PriorityClass of the pods, such as system-node-critical; left out, the cluster's default",
      expected: "the name of a PriorityClass",
    }),
  ),
  collectors: v.optional(
    section(
      "What is collected on the nodes. It decides what the pods mount, which rights they have, and which rules there are",
      {
        csi: nodeSwitch(
          "which device carries each CSI volume; needs the kubelet's directory and DAC_READ_SEARCH",
        ),
        nvme: nodeSwitch("health and wear of NVMe controllers; needs /dev and what deviceAccess says"),
        ebs: nodeSwitch("I/O and throttling of EBS volumes; needs /dev and what deviceAccess says"),
        instance_store: nodeSwitch(
          "I/O and throttling of EC2 instance store; needs /dev and what deviceAccess says",
        ),
      },
    ),
    {},
  ),
  deviceAccess: v.optional(
    setting(v.picklist(["Privileged", "Capabilities"]), {
      description:
        "How the collectors nvme, ebs and instance_store come to their devices. Privileged: as privileged pods, for containerd and CRI-O deny all others the host's devices. Capabilities: with SYS_ADMIN and DAC_READ_SEARCH alone, where the runtime is set up to allow the devices",
      expected: "Privileged or Capabilities",
    }),
    "Privileged",
  ),
  secrets: v.optional(
    setting(v.array(secretName), {
      description:
        "Names of Secrets of this namespace, whose keys the pods find as files in /var/run/secrets/plumbline/NAME: tokens and authorities that config names",
      expected: "a list of names of Secrets",
      expectedItem: "the name of a Secret",
    }),
    [],
  ),
  monitoring: v.optional(
    section("PodMonitor and PrometheusRule for the Prometheus operator", {
      enabled: v.optional(
        setting(v.union([v.literal("auto"), v.boolean()]), {
          description:
            "Whether there are a PodMonitor and a PrometheusRule: true, false, or auto, as soon as their CRDs exist",
          expected: "auto, true or false",
        }),
        "auto",
      ),
      interval: v.optional(
        setting(
          v.pipe(
            v.string(),
            v.minLength(2),
            v.regex(/^(?:[1-9]\d*h)?(?:[1-9]\d*m)?(?:[1-9]\d*s)?(?:[1-9]\d*ms)?$/),
          ),
          {
            description: "How often Prometheus scrapes each pod",
            expected: "a duration such as 30s or 1m30s",
          },
        ),
        "30s",
      ),
      labels: v.optional(
        v.pipe(
          v.record(
            v.string(),
            setting(v.string(), {
              description: "Value of the label",
              expected: "a text, in quotes if need be",
            }),
          ),
          v.title(
            "Further labels of the two, where Prometheus selects by one, as kube-prometheus-stack by release",
          ),
        ),
        {},
      ),
    }),
    {},
  ),
  aggregate: v.optional(
    section("The metrics of all nodes, which the operator serves at its port 8383", {
      enabled: v.optional(
        setting(v.boolean(), {
          description: "Whether the operator asks these pods when it is scraped",
          expected: SWITCH,
        }),
        true,
      ),
      families: v.optional(
        setting(v.array(v.pipe(v.string(), v.regex(/^[a-zA-Z_:*][a-zA-Z0-9_:*]*$/))), {
          description: "Names of the metrics that are taken over; * stands for any characters",
          expected: "a list of names of metrics",
          expectedItem: "the name of a metric, in which * may stand for any characters, such as ebs_*",
        }),
        ["ebs_*", "csi_*", "nvme_*", "ec2_instance_store_*"],
      ),
    }),
    {},
  ),
  clusterId: v.optional(
    setting(text, {
      description:
        "Value of the label cluster_id; auto: the id of OpenShift's ClusterVersion, else the UID of the namespace kube-system",
      expected: SOME_TEXT,
    }),
    "auto",
  ),
});

/** Of a name, `plumbline-NAME` has to be good for a label and a pod's name. */
export const MAX_NAME_LENGTH = 52;

/**
 * Settings of the configuration that a Plumbline says elsewhere or cannot have; `[]` stands for any item of a list. What
 * it cannot have is not in the CRD either.
 */
export const NOT_IN_CONFIG: readonly (readonly [path: string, instead: string])[] = [
  ["web.config_file", "is not for pods: the operator and the kubelet ask them over plain HTTP"],
  ["web.cert_file", "is not for pods: the operator and the kubelet ask them over plain HTTP"],
  ["web.key_file", "is not for pods: the operator and the kubelet ask them over plain HTTP"],
  ["collectors.disable_defaults", "has no use here; set spec.collectors"],
  ...NODE_COLLECTORS.map((name) => [`collectors.${name}`, `is set by spec.collectors.${name}`] as const),
  ["path.rootfs", "follows from what the pods mount; leave it out"],
  ["path.procfs", "follows from what the pods mount; leave it out"],
  ["path.sysfs", "follows from what the pods mount; leave it out"],
  ["path.devfs", "follows from what the pods mount; leave it out"],
  ["node_name", "is the name of each pod's node; leave it out"],
  ["cluster_id", "is set by spec.clusterId"],
  ...["token_value", "password", "otp"].map(
    (name) =>
      [
        `pve.targets[].${name}`,
        "would stand open in a ConfigMap; put it into a Secret, name that in spec.secrets and its file in token_file or password_file",
      ] as const,
  ),
  ["textfile", "is for the command textfile, which pods do not run"],
  ["state", "is for the command textfile, which pods do not run"],
  ["operator", "is for the operator itself, which has flags and variables of its own"],
];
