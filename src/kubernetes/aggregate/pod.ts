/** An exporter that is asked. */
export interface ExporterPod {
  readonly node: string;
  /** `http://10.0.0.7:9847/metrics`. */
  readonly url: string;
  /** Globs of the families that are kept: `ebs_*`. */
  readonly families: readonly string[];
  /** Added as `cluster_id` to series that have none. */
  readonly clusterId: string | undefined;
}
