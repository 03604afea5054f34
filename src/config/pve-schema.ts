/** The part of the configuration's schema that is about Proxmox VE, and that of pve.yml. */
import * as v from "valibot";
import { isHostPattern, isPathPrefix, PVE_PORT, pveEndpoint } from "./pve-host.ts";
import { duration, FILE, SOME_TEXT, SWITCH, SWITCH_WORDS, section, setting, text } from "./setting.ts";

export type TargetEntry = v.InferOutput<ReturnType<typeof targetSchema>>;
export type ModuleEntry = v.InferOutput<typeof MODULE>;

/** `collectors`: the bare names of those of Proxmox VE, "physical-disks". */
export function pveSection(collectors: readonly string[]) {
  return section("Proxmox VE", {
    allowed_targets: v.optional(
      setting(v.array(v.pipe(text, v.check(isHostPattern))), {
        description:
          "The hosts that /pve may be sent to: names in which * stands for any characters, addresses and ranges such as 192.0.2.0/24; several as a list, by repeating the flag, or in the variable separated by commas",
        expected: "a list of host names and addresses",
        expectedItem:
          "a host name such as pve1.lan or *.lan, an address or a range such as 192.0.2.0/24, without a port",
        placeholder: "host",
        defaultText: "any",
      }),
    ),
    modules_file: v.optional(
      setting(text, {
        ...FILE,
        description: "The pve.yml of prometheus-pve-exporter: how /pve logs in, module by module",
        isCredential: true,
      }),
    ),
    zero_states: v.optional(
      setting(v.boolean(), {
        description: "Give pve_ha_state and pve_lock_state also for the states that are not the case",
        expected: SWITCH,
      }),
      true,
    ),
    deprecated_gauges: v.optional(
      setting(v.boolean(), {
        description:
          "Give the four gauges of network and disk traffic as well that have become counters; without them /metrics may be asked for OpenMetrics",
        expected: SWITCH,
      }),
      true,
    ),
    api_metrics: v.optional(
      setting(v.boolean(), {
        description:
          "Give pve_scrape_api_duration_seconds and pve_scrape_api_errors_total for each URL that /pve asks",
        expected: SWITCH,
        flag: "collector.pve-api-metrics",
      }),
      false,
    ),
    target_metrics: v.optional(
      setting(v.boolean(), {
        description:
          "Give pve_scrape_target_duration_seconds and pve_scrape_target_errors_total for each target of /pve",
        expected: SWITCH,
        flag: "collector.target-metrics",
      }),
      false,
    ),
    targets: v.optional(
      v.pipe(v.array(targetSchema(collectors)), v.title("The clusters that are asked at every scrape")),
      [],
    ),
  });
}

/** One cluster that is asked at every scrape. */
export function targetSchema(collectors: readonly string[]) {
  return v.strictObject({
    name: setting(v.pipe(v.string(), v.regex(/^[^\p{Cc}]{1,100}$/u)), {
      description: "What the target is called: the label target",
      expected: "a name of at most 100 characters",
    }),
    endpoints: setting(v.pipe(v.array(endpoint), v.minLength(1)), {
      description:
        "Hosts of one cluster, of which the first that answers is asked: pve1.lan, pve2.lan:8006, https://proxy/pve",
      expected: "a list of one or more hosts such as pve1.lan or pve1.lan:8006",
      expectedItem:
        "a host such as pve1.lan, pve1.lan:8006, [2001:db8::1]:8006 or https://proxy.lan:443/pve1, without user and query",
    }),
    user,
    token_name: tokenName,
    token_value: v.optional(setting(word, TOKEN_VALUE)),
    token_file: v.optional(
      setting(text, {
        ...FILE,
        description: "The file with the token's secret; read again when it changes",
        isCredential: true,
      }),
    ),
    password: v.optional(setting(text, PASSWORD)),
    password_file: v.optional(
      setting(text, {
        ...FILE,
        description: "The file with the user's password; read again when it changes",
        isCredential: true,
      }),
    ),
    otp: v.optional(setting(text, OTP)),
    ca_file: v.optional(
      setting(text, {
        ...FILE,
        description:
          "The certificates (PEM) of the authorities that may vouch for the hosts: of a cluster /etc/pve/pve-root-ca.pem",
      }),
    ),
    fingerprint: v.optional(
      setting(v.pipe(v.string(), v.regex(/^(?:[0-9a-f]{2}:){31}[0-9a-f]{2}$|^[0-9a-f]{64}$/i)), {
        description: "The SHA-256 of the certificate that the hosts show, in place of an authority",
        expected: "64 hexadecimal digits, in pairs with colons between them or without",
      }),
    ),
    verify_ssl: v.optional(
      setting(v.boolean(), {
        description: "Whether the certificate is verified; false: whatever certificate is shown is taken",
        expected: SWITCH,
      }),
      true,
    ),
    timeout: v.optional(setting(duration(1), CALL_TIMEOUT), "5s"),
    cluster: v.optional(
      setting(v.pipe(v.string(), v.regex(/^[^\p{Cc}]{1,100}$/u)), {
        description: "The label cluster, where what the cluster calls itself is not its own alone",
        expected: "a name of at most 100 characters",
      }),
    ),
    collectors: v.optional(
      section("Collectors of this target, where it differs from the others", {
        ...Object.fromEntries(collectors.map((name) => [name, v.optional(collectorSwitch(name))])),
        "physical-disks": v.optional(PHYSICAL_DISKS),
        config: v.optional(CONFIG),
      }),
      {},
    ),
  });
}

const endpoint = v.pipe(
  v.string(),
  v.check((written) => pveEndpoint(written) !== undefined),
  v.transform((written) => pveEndpoint(written) ?? ""),
);

const user = setting(
  v.pipe(v.string(), v.regex(/^[^\s:/!@\p{Cc}]+(?:@[^\s:/!@\p{Cc}]+)*@[A-Za-z][\w.-]+$/u)),
  {
    description: "Who logs in, with the realm",
    expected: "a user with the realm, such as plumbline@pve",
  },
);

const tokenName = v.optional(
  setting(v.pipe(v.string(), v.regex(/^(?:[^\s!]+!)?[A-Za-z][\w.-]*$/)), {
    description: "The name of the API token: of plumbline@pve!metrics the part after the !",
    expected: "the name of a token such as metrics, which is the part after the !",
  }),
);

/** It becomes part of a header. */
const word = v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/));
const TOKEN_VALUE = {
  description: "The token's secret, which may be that of a variable in braces after a $",
  expected: "the secret that Proxmox VE showed when the token was made, a text without blanks",
  secret: true,
} as const;
const PASSWORD = {
  description: "The user's password, which may be that of a variable in braces after a $",
  expected: SOME_TEXT,
  secret: true,
} as const;
const OTP = {
  description: "A one-time password, for realms that ask for one beside the password",
  expected: SOME_TEXT,
  secret: true,
} as const;
const CALL_TIMEOUT = {
  description: "Longest time of one call",
  expected: "a duration such as 5s, 500ms or 5 (seconds), above 0 and at most 24h",
  placeholder: "duration",
} as const;

const PHYSICAL_DISKS = switchOr(
  "The collector pve-physical-disks for this target: on, off, or its settings",
  {
    smart_interval: v.optional(
      setting(v.union([v.literal("never"), duration(0)]), {
        description: "How often health and wear are read, which wakes sleeping drives",
        expected: "a duration such as 1h, 0 (at every scrape) or never",
      }),
      "1h",
    ),
    exclude_nodes: v.optional(
      setting(v.array(v.pipe(v.string(), v.regex(/^[A-Za-z0-9-]{1,63}$/))), {
        description: "Names of nodes whose disks are left alone",
        expected: "a list of names of nodes",
        expectedItem: "the name of a node",
      }),
      [],
    ),
  },
);

const CONFIG = switchOr("The collector pve-config for this target: on, off, or its settings", {
  guest_limit: v.optional(
    setting(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), {
      description: "With more guests than that none is asked for its configuration",
      expected: "a whole number, 0 or more",
    }),
    500,
  ),
});

const number = v.union([v.number(), v.pipe(v.string(), v.regex(/^\d{1,9}$/), v.transform(Number))]);

/** A module of pve.yml, with what PyYAML's users may write: words for switches, numbers in quotes and passwords without. */
export const MODULE = v.strictObject({
  user,
  password: v.optional(setting(anyText(text), PASSWORD)),
  token_name: tokenName,
  token_value: v.optional(setting(anyText(word), TOKEN_VALUE)),
  otp: v.optional(setting(anyText(text), OTP)),
  verify_ssl: v.optional(
    setting(
      v.union([
        v.boolean(),
        v.pipe(
          text,
          v.transform((written) => SWITCH_WORDS.get(written.toLowerCase()) ?? written),
        ),
      ]),
      {
        description: "Whether the certificate is verified, or the authorities that may vouch for it",
        expected: "true, false or the path of a file with certificates (PEM)",
      },
    ),
    true,
  ),
  port: v.optional(
    setting(v.pipe(number, v.safeInteger(), v.minValue(1), v.maxValue(65_535)), {
      description: "The port of a target that names none",
      expected: "a port from 1 to 65535",
    }),
    PVE_PORT,
  ),
  timeout: v.optional(setting(duration(1), CALL_TIMEOUT), "5s"),
  path_prefix: v.optional(
    setting(v.pipe(v.string(), v.transform(slashed), v.check(isPathPrefix)), {
      description: "What stands before /api2 where a proxy wants it",
      expected: "a path such as pve1 or proxied/pve1",
    }),
    "",
  ),
  service: v.optional(
    setting(v.pipe(v.string(), v.toUpperCase(), v.literal("PVE")), {
      description: "Which product is asked",
      expected: "PVE: the other products of Proxmox are not asked",
    }),
  ),
  backend: v.optional(
    setting(v.pipe(v.string(), v.toLowerCase(), v.literal("https")), {
      description: "How the API is reached",
      expected: "https: the other backends are not to be had",
    }),
  ),
});

/** YAML takes a password of digits for a number. */
function anyText<Schema extends v.GenericSchema<string, string>>(schema: Schema) {
  return v.pipe(v.union([v.string(), v.number()]), v.transform(String), schema);
}

function slashed(path: string): string {
  const inner = path.replace(/^\/+|\/+$/g, "");
  return inner === "" ? "" : `/${inner}`;
}

function collectorSwitch(name: string) {
  return setting(v.boolean(), {
    description: `Switch the collector pve-${name} on or off for this target`,
    expected: SWITCH,
  });
}

/** `true`, `false`, or a section, which says nothing of on or off. */
function switchOr<const Entries extends v.ObjectEntries>(title: string, entries: Entries) {
  return v.pipe(
    v.union([
      setting(v.boolean(), {
        description: "On or off",
        expected: "true, false or a mapping of its settings",
      }),
      v.strictObject(entries),
    ]),
    v.title(title),
  );
}
