/**
 * The floor of the collector mayastor: JSON.parse of each body, and the same lines that plumbline gives, joined as plain
 * strings in the order in which the entries come. Nothing is checked, ordered or escaped.
 */
import type { Node, Pool, Replica, Volumes } from "../../src/demo/mayastor-api.ts";

export interface Bodies {
  readonly nodes: Uint8Array;
  readonly pools: Uint8Array;
  readonly volumes: readonly Uint8Array[];
  readonly replicas: Uint8Array;
}

const CORDON_STATES = ["cordoned", "drained", "draining", "none", "unknown"];
const NODE_STATUSES = ["absent", "offline", "online", "unknown"];
const POOL_STATUSES = ["absent", "degraded", "faulted", "online", "suspected", "unknown"];
const SPEC_STATUSES = ["created", "creating", "deleted", "deleting"];
const VOLUME_STATUSES = ["degraded", "faulted", "online", "shutdown", "unknown"];
const TARGET_STATES = ["degraded", "faulted", "online", "shutdown", "shuttingdown", "unknown"];
const HEALTHS = ["degraded", "faulted", "online", "unknown"];

/** `metadata`: the HELP and TYPE lines of a family. The cluster is as `largeCluster` makes it. */
export function plainText(bodies: Bodies, metadata: (family: string) => string): Uint8Array {
  const parsedNodes: Node[] = parse(bodies.nodes);
  const parsedPools: Pool[] = parse(bodies.pools);
  const parsedVolumes = bodies.volumes.map((page): Volumes => parse(page)).flatMap(({ entries }) => entries);
  const parsedReplicas: Replica[] = parse(bodies.replicas);

  let text = "";
  const line = (name: string, labels: string, value: number | undefined): void => {
    if (value !== undefined) text += `${name}{${labels}} ${value}\n`;
  };
  const series = <T extends { labels: string }>(
    name: string,
    of: readonly T[],
    value: (entry: T) => number | undefined,
  ): void => {
    text += metadata(name);
    for (const entry of of) line(name, entry.labels, value(entry));
  };
  const info = <T extends { labels: string }>(
    name: string,
    of: readonly T[],
    more: (entry: T) => string,
  ): void => {
    text += metadata(name);
    for (const entry of of) text += `${name}{${entry.labels},${more(entry)}} 1\n`;
  };
  const states = <T extends { labels: string }>(
    name: string,
    of: readonly T[],
    label: string,
    names: readonly string[],
    value: (entry: T, name: string) => number,
  ): void => {
    text += metadata(name);
    for (const entry of of) {
      for (const state of names)
        text += `${name}{${entry.labels},${label}="${state}"} ${value(entry, state)}\n`;
    }
  };

  const nodes = parsedNodes.map(({ id, state }) => ({
    labels: `node_id="${id}"`,
    state,
    status: lower(state?.status),
  }));
  series("mayastor_node_online", nodes, ({ status }) => (status === "online" ? 1 : 0));
  for (const name of ["cordoned", "draining", "cordon_labels", "drain_labels"])
    series(`mayastor_node_${name}`, nodes, () => 0);
  states("mayastor_node_status", nodes, "status", NODE_STATUSES, ({ status }, name) =>
    status === name ? 1 : 0,
  );
  states("mayastor_node_cordon_state", nodes, "state", CORDON_STATES, (_, name) => (name === "none" ? 1 : 0));
  info(
    "mayastor_node_info",
    nodes,
    ({ state }) => `version="${state?.version}",grpc_endpoint="${state?.grpcEndpoint}"`,
  );

  const pools = parsedPools.map(({ id, spec, state }) => ({
    labels: `node_id="${state?.node}",pool="${id}"`,
    official: `node="${state?.node}",name="${id}"`,
    status: lower(state?.status),
    specStatus: lower(spec?.status),
    state,
  }));
  states("mayastor_pool_status", pools, "status", POOL_STATUSES, ({ status }, name) =>
    status === name ? 1 : 0,
  );
  states("mayastor_pool_spec_status", pools, "status", SPEC_STATUSES, ({ specStatus }, name) =>
    specStatus === name ? 1 : 0,
  );
  series("mayastor_pool_capacity_bytes", pools, ({ state }) => state?.capacity);
  series("mayastor_pool_used_bytes", pools, ({ state }) => state?.used);
  series("mayastor_pool_committed_bytes", pools, ({ state }) => state?.committed);
  series("mayastor_pool_disk_capacity_bytes", pools, ({ state }) => state?.disk_capacity);
  series("mayastor_pool_max_expandable_bytes", pools, ({ state }) => state?.max_expandable_size);
  info("mayastor_pool_disk_info", pools, ({ state }) => `disk="${state?.disks[0]?.split("?")[0]}"`);
  const official = pools.map(({ official, state }) => ({ labels: official, state }));
  series("diskpool_status", official, () => 1);
  series("diskpool_total_size_bytes", official, ({ state }) => state?.capacity);
  series("diskpool_used_size_bytes", official, ({ state }) => state?.used);
  series("diskpool_committed_size_bytes", official, ({ state }) => state?.committed);
  series("diskpool_disk_capacity_bytes", official, ({ state }) => state?.disk_capacity);
  series("diskpool_max_expandable_size", official, ({ state }) => state?.max_expandable_size);

  const volumes = parsedVolumes.map(({ spec, state }) => ({
    labels: `volume="${spec.uuid}"`,
    spec,
    state,
    status: lower(state.status),
    target: lower(state.target?.state),
    children: (state.target?.children ?? []).map((child) => lower(child.state)),
    replicas: Object.entries(state.replica_topology).map(([uuid, replica]) => ({
      labels: `volume="${spec.uuid}",replica="${uuid}"`,
      uuid,
      state: lower(replica.state),
      child: lower(replica["child-status"]),
      progress: replica["rebuild-progress"],
    })),
  }));
  states("mayastor_volume_status", volumes, "status", VOLUME_STATUSES, ({ status }, name) =>
    status === name ? 1 : 0,
  );
  info(
    "mayastor_volume_info",
    volumes,
    ({ spec, state }) =>
      `pv_name="pvc-${spec.uuid}",target_node_id="${state.target?.node ?? ""}",thin="${spec.thin}",affinity_group="${spec.affinity_group?.id ?? ""}"`,
  );
  series("mayastor_volume_size_bytes", volumes, ({ state }) => state.size);
  series("mayastor_volume_allocated_bytes", volumes, ({ state }) => state.usage?.allocated);
  series("mayastor_volume_total_allocated_bytes", volumes, ({ state }) => state.usage?.total_allocated);
  series(
    "mayastor_volume_allocated_snapshots_bytes",
    volumes,
    ({ state }) => state.usage?.allocated_snapshots,
  );
  series("mayastor_volume_replicas_desired", volumes, ({ spec }) => spec.num_replicas);
  series("mayastor_volume_snapshots", volumes, ({ spec }) => spec.num_snapshots);
  states("mayastor_volume_replicas", volumes, "status", HEALTHS, ({ replicas }, name) =>
    replicas.reduce((sum, { state }) => (state === name ? sum + 1 : sum), 0),
  );
  states("mayastor_volume_children", volumes, "status", HEALTHS, ({ children }, name) =>
    children.reduce((sum, state) => (state === name ? sum + 1 : sum), 0),
  );
  series("mayastor_volume_published", volumes, ({ state }) => (state.target === undefined ? 0 : 1));
  states("mayastor_volume_target_state", volumes, "state", TARGET_STATES, ({ target }, name) =>
    target === name ? 1 : 0,
  );
  series("mayastor_volume_rebuilds", volumes, ({ state }) => state.target?.rebuilds);
  const children = volumes.flatMap(({ replicas }) => replicas);
  states("mayastor_replica_child_status", children, "status", HEALTHS, ({ child }, name) =>
    child === name ? 1 : 0,
  );

  const volumeOf = new Map(
    volumes.flatMap(({ spec, replicas }) => replicas.map(({ uuid }): [string, string] => [uuid, spec.uuid])),
  );
  const replicas = parsedReplicas.map((replica) => ({
    labels: `node_id="${replica.node}",pool="${replica.pool}",replica="${replica.uuid}"`,
    replica,
    status: lower(replica.state),
  }));
  states("mayastor_replica_status", replicas, "status", HEALTHS, ({ status }, name) =>
    status === name ? 1 : 0,
  );
  info(
    "mayastor_replica_info",
    replicas,
    ({ replica: { uuid, kind, thin, share } }) =>
      `volume="${volumeOf.get(uuid) ?? ""}",kind="${lower(kind)}",thin="${thin}",share="${share}"`,
  );
  series("mayastor_replica_size_bytes", replicas, ({ replica }) => replica.size);
  series("mayastor_replica_allocated_bytes", replicas, ({ replica }) => replica.space?.allocated_bytes);
  series(
    "mayastor_replica_allocated_snapshots_bytes",
    replicas,
    ({ replica }) => replica.space?.allocated_bytes_snapshots,
  );
  return new TextEncoder().encode(text);
}

const lower = (word: string | undefined): string => word?.toLowerCase() ?? "absent";

const decoder = new TextDecoder();
const parse = (body: Uint8Array) => JSON.parse(decoder.decode(body));
