import type { Resource } from "../../../src/mayastor/model.ts";

/** What one exposition says of the fetches. */
export class Fetches {
  readonly errors = new Map<string, number>();
  readonly success = new Map<string, number>();
  readonly last = new Map<string, number>();
  /** How many nodes, pools, volumes and replicas it has. */
  readonly things = new Map<string, number>();
  leftOut = 0;

  static of(exposition: string): Fetches {
    const fetches = new Fetches();
    for (const line of exposition.split("\n")) {
      const series = /^(mayastor_[a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (series === null) continue;
      const [, name = "", labels = "", text] = series;
      const value = Number(text);
      const resource = label(labels, "resource") ?? "nodes";
      if (name.endsWith("fetch_errors_total"))
        fetches.errors.set(`${resource} ${label(labels, "reason")}`, value);
      else if (name.endsWith("fetch_success")) fetches.success.set(resource, value);
      else if (name.endsWith("last_fetch_seconds")) fetches.last.set(resource, value);
      else if (/_(?:items_skipped|unrecognized_values)_total$/.test(name)) fetches.leftOut += value;
      const thing = ONE_FOR_EACH[name];
      if (thing !== undefined && label(labels, "status") === "online")
        fetches.things.set(thing, (fetches.things.get(thing) ?? 0) + 1);
    }
    return fetches;
  }

  /** The reasons that were counted for `resource` since `before`. */
  since(before: Fetches, resource: Resource): string[] {
    return [...this.errors].flatMap(([key, value]) => {
      const [of, reason = ""] = key.split(" ");
      if (of !== resource) return [];
      return Array.from({ length: value - (before.errors.get(key) ?? 0) }, () => reason);
    });
  }
}

/** State sets have one series of `online` for each thing. */
const ONE_FOR_EACH: Readonly<Record<string, Resource>> = {
  mayastor_node_status: "nodes",
  mayastor_pool_status: "pools",
  mayastor_volume_status: "volumes",
  mayastor_replica_status: "replicas",
};

const label = (labels: string, name: string): string | undefined =>
  new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1];
