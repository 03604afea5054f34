/** What may stand in a Plumbline's `spec`: the one description, from which come its checks and its CRD. */

export interface PlumblineSpec {
  /** Undefined: the operator's own image. */
  readonly image: string | undefined;
  /** As written: what the configuration file will hold beside what the operator puts there. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly Readonly<Record<string, unknown>>[];
  readonly resources: Readonly<Record<string, unknown>>;
  readonly priorityClassName: string | undefined;
  /** By the collector's name. */
  readonly collectors: Readonly<Record<string, boolean>>;
  readonly deviceAccess: "Privileged" | "Capabilities";
  /** Names of Secrets, mounted at /var/run/secrets/plumbline/NAME. */
  readonly secrets: readonly string[];
  readonly monitoring: { readonly enabled: "auto" | "true" | "false"; readonly interval: string };
  readonly aggregate: {
    readonly enabled: boolean;
    /** Globs of family names. */
    readonly families: readonly string[];
  };
  /** `auto` or the id itself. */
  readonly clusterId: string;
}
