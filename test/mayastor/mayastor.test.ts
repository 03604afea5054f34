/** The collector as a whole: what it asks for, what it serves of what it got, and what `plumbline check` tells. */
import { describe, expect, test } from "bun:test";
import type { Settings } from "../../src/config/settings.ts";
import { FaultLog } from "../../src/log/faults.ts";
import { MayastorClient } from "../../src/mayastor/client.ts";
import { MAYASTOR, MayastorCollector } from "../../src/mayastor/mayastor.ts";
import { RESOURCES } from "../../src/mayastor/model.ts";
import type { Finding } from "../../src/metrics/collector.ts";
import { FAILURE_REASONS, type FailureReason, RestFailure } from "../../src/rest/failure.ts";
import { ownMetrics } from "../support/csi-node.ts";
import { echoToken, HostileServer, json, redirect, restError } from "../support/hostile-server.ts";
import {
  fetchSuccess,
  HEALTHY,
  healthy,
  MayastorScraping,
  ofMayastor,
  resources,
  TemporaryFile,
} from "../support/mayastor-scraping.ts";
import { MAYASTOR_DEFAULTS } from "../support/mayastor-settings.ts";
import { RecordedLog } from "../support/nvme-simulated-host.ts";

type Mayastor = Settings["mayastor"];

const paths = ({ asked }: HostileServer): string[] => asked.map(({ path }) => path).sort();

describe("what is asked for", () => {
  const askedFor = async (mayastor: Partial<Mayastor>): Promise<string[]> => {
    await using server = await HostileServer.start(healthy);
    using scraping = new MayastorScraping({ endpoint: `${server.origin}/v0`, ...mayastor });
    await scraping.scrape();
    return paths(server);
  };

  test("is the nodes alone, where nothing else is configured", async () => {
    expect(await askedFor({})).toEqual(["/v0/nodes"]);
  });

  test("is each resource that is configured, once", async () => {
    expect(await askedFor({ resources: ["volumes", "pools"] })).toEqual([
      "/v0/pools",
      "/v0/volumes?max_entries=500",
    ]);
  });

  test("is one node's own, where it is named, and all volumes", async () => {
    expect(await askedFor({ resources: RESOURCES, nodeName: "node a/b?" })).toEqual([
      "/v0/nodes/node%20a%2Fb%3F",
      "/v0/nodes/node%20a%2Fb%3F/pools",
      "/v0/nodes/node%20a%2Fb%3F/replicas",
      "/v0/volumes?max_entries=500",
    ]);
  });

  test("is asked for once by scrapes that come at the same time", async () => {
    await using server = await HostileServer.start(healthy);
    using scraping = new MayastorScraping({ endpoint: `${server.origin}/v0` });
    await Promise.all([scraping.scrape(), scraping.scrape(), scraping.scrape()]);
    expect(paths(server)).toEqual(["/v0/nodes"]);
  });
});

describe("with a node of its own", () => {
  const [volume] = HEALTHY.volumes.entries;
  const published = (uuid: string, node: string, replica: string) => ({
    spec: { ...volume.spec, uuid },
    state: {
      ...volume.state,
      uuid,
      target: {
        children: [],
        deviceUri: "",
        node,
        rebuilds: 0,
        protocol: "nvmf",
        size: 1,
        state: "Online",
        uuid,
      },
      replica_topology: { [replica]: { node: "node-a", pool: "pool-a", state: "Online" } },
    },
  });
  const [replica] = HEALTHY.replicas;
  const ANSWERS: Readonly<Record<string, unknown>> = {
    "/v0/nodes/node-a": HEALTHY.nodes[0],
    "/v0/nodes/node-a/pools": HEALTHY.pools,
    "/v0/nodes/node-a/replicas": [replica],
    "/v0/volumes?max_entries=500": {
      entries: [published("on-a", "node-a", "elsewhere"), published("on-b", "node-b", replica.uuid), volume],
    },
  };

  const scraped = async (nodeName: string) => {
    await using server = await HostileServer.start((connection, asked) => {
      const body = ANSWERS[asked.path];
      (body === undefined ? restError(404, "NotFound") : json(body))(connection, asked);
    });
    using scraping = new MayastorScraping({
      endpoint: `${server.origin}/v0`,
      nodeName,
      resources: RESOURCES,
    });
    return await scraping.scrape();
  };

  test("it serves that node, its pools and replicas, and the volumes whose target is there", async () => {
    const series = await scraped("node-a");
    expect(series.get('plumbline_collector_success{collector="mayastor"}')).toBe(1);
    expect(series.get('mayastor_node_online{node_id="node-a"}')).toBe(1);
    expect(series.get('mayastor_pool_capacity_bytes{node_id="node-a",pool="pool-a"}')).toBe(1000);
    const volumes = [...series.keys()].filter((key) => key.startsWith("mayastor_volume_published"));
    expect(volumes).toEqual(['mayastor_volume_published{volume="on-a"}']);
  });

  test("its replicas name their volumes, wherever the targets of those are", async () => {
    const info = [...(await scraped("node-a")).keys()].filter((key) =>
      key.startsWith("mayastor_replica_info"),
    );
    expect(info).toEqual([expect.stringContaining('volume="on-b"')]);
  });

  test("that nobody knows, all of it fails as not found, but for the volumes", async () => {
    const series = await scraped("node-z");
    expect(RESOURCES.map((resource) => fetchSuccess(series, resource))).toEqual([0, 0, 1, 0]);
    expect(series.get('mayastor_node_status_fetch_errors_total{reason="not_found"}')).toBe(1);
    expect(ofMayastor(series).filter((key) => /^mayastor_(?:node_online|pool_)/.test(key))).toEqual([]);
  });
});

describe("what is served", () => {
  test("is what this scrape got: a node that has gone is gone", async () => {
    await using server = await HostileServer.start(healthy);
    using scraping = new MayastorScraping({ endpoint: `${server.origin}/v0` });
    expect((await scraping.scrape()).get('mayastor_node_online{node_id="node-a"}')).toBe(1);
    server.conduct = resources({ nodes: json([{ id: "node-b" }]) });
    const series = await scraping.scrape();
    expect(series.has('mayastor_node_online{node_id="node-a"}')).toBe(false);
    expect(series.get('mayastor_node_online{node_id="node-b"}')).toBe(0);
  });

  test("has the pools' official names, unless they are switched off", async () => {
    await using server = await HostileServer.start(healthy);
    for (const officialPoolNames of [true, false]) {
      const mayastor: Partial<Mayastor> = { endpoint: `${server.origin}/v0`, resources: ["pools"] };
      using scraping = new MayastorScraping({ ...mayastor, officialPoolNames });
      const series = await scraping.scrape();
      expect(series.has('diskpool_total_size_bytes{name="pool-a",node="node-a"}')).toBe(officialPoolNames);
      expect(series.has('mayastor_pool_capacity_bytes{node_id="node-a",pool="pool-a"}')).toBe(true);
    }
  });

  test("has families that are described, and no other", async () => {
    await using server = await HostileServer.start(healthy);
    using scraping = new MayastorScraping({ endpoint: `${server.origin}/v0`, resources: RESOURCES });
    const described = new Set(MAYASTOR.descriptors.map(({ name }) => name));
    const served = ofMayastor(await scraping.scrape()).map((key) => key.replace(/\{.*/, ""));
    expect(served.filter((name) => !described.has(name))).toEqual([]);
    expect(described.size).toBe(MAYASTOR.descriptors.length);
  });
});

describe("check", () => {
  const findings = async (
    client: Pick<MayastorClient, (typeof RESOURCES)[number]>,
    mayastor: Partial<Mayastor> = {},
  ): Promise<Finding[]> => {
    const settings = { ...MAYASTOR_DEFAULTS, endpoint: "https://rest/v0", ...mayastor };
    const faults = new FaultLog(new RecordedLog());
    const collector = new MayastorCollector(client, settings, ownMetrics(), faults);
    const { signal } = new AbortController();
    return collector.check({ signal, deadline: performance.now() + 5000 });
  };
  const at = async (server: HostileServer, mayastor: Partial<Mayastor> = {}): Promise<Finding[]> => {
    const settings = { ...MAYASTOR_DEFAULTS, ...mayastor };
    const client = new MayastorClient(`${server.origin}/v0`, settings);
    try {
      return await findings(client, settings);
    } finally {
      client.close();
    }
  };

  test("tells how many of each resource there are", async () => {
    await using server = await HostileServer.start(healthy);
    expect(await at(server, { resources: RESOURCES })).toEqual([
      { level: "ok", subject: "Mayastor's nodes", message: "1 node, 1 online" },
      { level: "ok", subject: "Mayastor's pools", message: "1 pool" },
      { level: "ok", subject: "Mayastor's volumes", message: "1 volume" },
      { level: "ok", subject: "Mayastor's replicas", message: "1 replica" },
    ]);
  });

  test("tells how many nodes are in which status, and what was left out", async () => {
    const [node] = HEALTHY.nodes;
    const nodes = [node, { ...node, id: "b" }, { id: "c" }, { id: 4 }, { id: "old" }];
    await using server = await HostileServer.start(resources({ nodes: json(nodes) }));
    expect(await at(server, { ignoreNodes: ["old"] })).toEqual([
      { level: "ok", subject: "Mayastor's nodes", message: "3 nodes, 2 online, 1 absent" },
      {
        level: "warning",
        subject: "Mayastor's nodes",
        message: "1 left out as malformed, 1 left out as ignored",
      },
    ]);
  });

  test("warns where any certificate is taken", async () => {
    await using server = await HostileServer.start(healthy);
    expect(await at(server, { insecureSkipVerify: true, endpoint: "https://rest/v0" })).toContainEqual({
      level: "warning",
      subject: "https://rest/v0",
      message: "whatever certificate it shows is taken",
      remedy: "set mayastor.ca_file instead of mayastor.insecure_skip_verify",
    });
  });

  test.each([...FAILURE_REASONS])("has a remedy for %s", async (reason: FailureReason) => {
    const fails = (): Promise<never> =>
      Promise.reject(new RestFailure(reason, "what failed", { status: 418, kind: "Internal" }));
    const client = { nodes: fails, pools: fails, volumes: fails, replicas: fails };
    expect(await findings(client)).toEqual([
      {
        level: "error",
        subject: "Mayastor's nodes",
        message: `${reason}: what failed (Internal)`,
        remedy: expect.stringMatching(/^\w.{20,}/),
      },
    ]);
  });

  test("tells of a token that is refused where to set another, and never the token", async () => {
    using token = new TemporaryFile("planted.token.here");
    await using server = await HostileServer.start(echoToken);
    const found = await at(server, { tokenFile: token.path });
    expect(found).toMatchObject([
      { level: "error", remedy: "set mayastor.token_file to a token that the service takes" },
    ]);
    expect(found[0]?.message).toStartWith("unauthorized: ");
    expect(JSON.stringify(found)).not.toContain("planted");
  });

  test("does not follow a redirect, nor names where it leads", async () => {
    await using server = await HostileServer.start(redirect(302, "http://planted.example/"));
    const found = await at(server);
    expect(found).toMatchObject([{ level: "error", message: expect.stringMatching(/^redirect: /) }]);
    expect(JSON.stringify(found)).not.toContain("planted");
  });

  test("counts nothing and opens no circuit", async () => {
    const own = ownMetrics();
    const fails = (): Promise<never> => Promise.reject(new RestFailure("timeout", "late"));
    const client = { nodes: fails, pools: fails, volumes: fails, replicas: fails };
    const settings = { ...MAYASTOR_DEFAULTS, endpoint: "https://rest/v0" };
    const collector = new MayastorCollector(client, settings, own, new FaultLog(new RecordedLog()));
    const context = { signal: new AbortController().signal, deadline: performance.now() + 5000 };
    for (let times = 0; times < 5; times++) {
      expect(await collector.check(context)).toMatchObject([{ message: "timeout: late" }]);
    }
    expect(Object.values(own.saved()).flat()).not.toContainEqual(expect.objectContaining({ value: 5 }));
  });
});
