import { afterEach, describe, expect, test } from "bun:test";
import { FaultLog } from "../../src/log/faults.ts";
import { gauge } from "../../src/metrics/descriptor.ts";
import type { PveCollector, Round } from "../../src/pve/contract.ts";
import { PveFailure } from "../../src/pve/failure.ts";
import { TargetRound, type Way } from "../../src/pve/round.ts";
import { Site } from "../../src/pve/site.ts";
import type { PveTarget } from "../../src/pve/target.ts";
import { recordingLog, seriesOf } from "../scrape/fakes.ts";
import {
  clusterRow,
  connectTo,
  FakeEndpoint,
  HANG,
  memberRow,
  nodeGone,
  THREE_NODES,
  targetOf,
  unanswered,
  unauthorized,
} from "../support/pve-site.ts";

const ASKED = gauge("pve_asked", "A path that was answered", ["cluster", "path"]);

interface Options {
  readonly way?: Way;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const sites: Site[] = [];
const rounds: TargetRound[] = [];
afterEach(() => {
  for (const round of rounds.splice(0)) round.close();
  for (const site of sites.splice(0)) site.close();
});

function siteOf(endpoints: Readonly<Record<string, FakeEndpoint>>, more: Partial<PveTarget> = {}): Site {
  const site = new Site(targetOf(Object.keys(endpoints), more), connectTo(endpoints));
  sites.push(site);
  return site;
}

function roundAt(site: Site, { way = "metrics", timeoutMs = 5000, signal }: Options = {}) {
  const log = recordingLog();
  const round = new TargetRound(
    site,
    { signal: signal ?? new AbortController().signal, deadline: performance.now() + timeoutMs },
    {
      way,
      options: {
        zeroStates: true,
        deprecatedGauges: true,
        physicalDisks: site.target.physicalDisks,
        configGuestLimit: undefined,
      },
      faults: new FaultLog(log),
    },
  );
  rounds.push(round);
  return {
    round,
    log,
    warnings: () => log.lines.filter(({ level }) => level === "warn" || level === "error"),
  };
}

function collector(name: string, collect: PveCollector["collect"]): PveCollector {
  const defaults = { pve: true, metrics: true };
  return { name, help: "Fake", scope: "cluster", defaults, descriptors: [ASKED], always: [ASKED], collect };
}

/** Asks each path for itself, and tells which was answered. */
const asking = (name: string, paths: readonly (readonly [path: string, node?: string, limitMs?: number])[]) =>
  collector(name, async (round, report) => {
    await Promise.all(
      paths.map(async ([path, node, limitMs]) => {
        try {
          await round.get(path, { ...(node && { node }), ...(limitMs && { limitMs }) });
          report.add(ASKED, { path }, 1);
        } catch (error) {
          report.failed(error);
        }
      }),
    );
  });

/** What a collector of scope `node` asks. */
const nodesOf = async (round: TargetRound): Promise<readonly string[] | string> => {
  let nodes: readonly string[] = [];
  const { failures } = await round.run(
    collector("nodes", async (seen) => {
      nodes = await seen.nodes();
    }),
  );
  const [failure] = failures.values();
  return failure?.message ?? nodes;
};

const answered = ({ samples }: { samples: Parameters<typeof seriesOf>[0][number] }) =>
  seriesOf([samples]).map((line) => /path="([^"]+)"/.exec(line)?.[1]);

describe("a round", () => {
  test("asks what all collectors need once", async () => {
    const endpoint = new FakeEndpoint();
    const { round } = roundAt(siteOf({ "https://a": endpoint }));
    const all = collector("all", async (seen: Round) => {
      await Promise.all([
        seen.status(),
        seen.resources(),
        seen.release(),
        seen.get("/version"),
        seen.nodes(),
      ]);
    });
    await Promise.all([round.run(all), round.run(all), round.run(all)]);
    expect(endpoint.asked.toSorted()).toEqual(["/cluster/resources", "/cluster/status", "/version"]);
  });

  test("tells of the release that answers, and of 9 where it cannot be known", async () => {
    const releases: unknown[] = [];
    const telling = collector("telling", async (round) => void releases.push(await round.release()));
    for (const version of [
      { release: "8.4" },
      { release: "nightly" },
      new PveFailure("error", "/version", "500"),
    ])
      await roundAt(siteOf({ "https://a": new FakeEndpoint({ "/version": version }) })).round.run(telling);
    expect(releases).toEqual([
      { text: "8.4", major: 8 },
      { text: "nightly", major: 9 },
      { text: "", major: 9 },
    ]);
  });

  test("exports HELP and TYPE of a collector also where it fails", async () => {
    const { round } = roundAt(
      siteOf({ "https://a": new FakeEndpoint({ "/x": new PveFailure("error", "/x", "500") }) }),
    );
    const { samples, success } = await round.run(asking("x", [["/x"]]));
    expect(success).toBe(false);
    expect([...samples.families.keys()]).toEqual([ASKED]);
  });

  test("loses one path alone where that is forbidden, and says so once with its path", async () => {
    const forbidden = new PveFailure("forbidden", "/x", "403 on /x", {
      status: 403,
      missing: { privilege: "Sys.Audit", path: "/" },
    });
    const { round, warnings } = roundAt(siteOf({ "https://a": new FakeEndpoint({ "/x": forbidden }) }));
    const result = await round.run(asking("x", [["/x"], ["/x?2"], ["/y"]]));
    expect(answered(result)).toEqual(["/y"]);
    expect(result.success).toBe(false);
    expect([...result.skipped]).toEqual([["forbidden", 2]]);
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]?.fields).toMatchObject({
      target: "home",
      collector: "pve-x",
      reason: "forbidden",
      path: "/x",
    });
  });

  test("does not take a guest that has gone for a failure", async () => {
    const gone = new PveFailure("gone", "/x", "no such guest", { status: 500 });
    const { round, warnings } = roundAt(siteOf({ "https://a": new FakeEndpoint({ "/x": gone }) }));
    const { success, skipped } = await round.run(asking("x", [["/x"], ["/y"]]));
    expect({ success, skipped: [...skipped] }).toEqual({ success: true, skipped: [["gone", 1]] });
    expect(warnings()).toEqual([]);
  });

  test("loses one collector where that breaks, and the others nothing", async () => {
    const { round, warnings } = roundAt(siteOf({ "https://a": new FakeEndpoint() }));
    const broken = collector("broken", async () => {
      throw new TypeError("undefined is not a function");
    });
    const [first, second] = await Promise.all([round.run(broken), round.run(asking("x", [["/x"]]))]);
    expect(first.success).toBe(false);
    expect(second.success).toBe(true);
    expect(warnings().map(({ level }) => level)).toEqual(["error"]);
  });

  test("says that guests and storages may be there and not be shown", async () => {
    const nodesOnly = [{ type: "node", id: "node/pve1", node: "pve1", status: "online" }];
    const { round, warnings } = roundAt(
      siteOf({ "https://a": new FakeEndpoint({ "/cluster/resources": nodesOnly }) }),
    );
    const { success } = await round.run(collector("x", async (seen) => void (await seen.resources())));
    expect(success).toBe(true);
    expect(warnings().map(({ fields }) => String(fields["remedy"]))).toEqual([
      expect.stringContaining("VM.Audit"),
      expect.stringContaining("Datastore.Audit"),
    ]);
  });

  test("ends with the reason of whoever does not wait for it any more", async () => {
    const abort = new AbortController();
    const endpoint = new FakeEndpoint({ "/x": HANG });
    const { round } = roundAt(siteOf({ "https://a": endpoint }), { signal: abort.signal });
    const running = round.run(asking("x", [["/x"]]));
    await round.opening;
    abort.abort(new Error("gone"));
    await expect(running).rejects.toThrow("gone");
  });
});

describe("the nodes that are asked", () => {
  test("are those that are online; the others are left out", async () => {
    const { round } = roundAt(siteOf({ "https://a": new FakeEndpoint() }));
    expect(await nodesOf(round)).toEqual(["pve1", "pve2"]);
    const { success, skipped } = await round.run(
      collector("x", async (seen) => {
        await seen.nodes();
        await seen.nodes();
      }),
    );
    expect({ success, skipped: [...skipped] }).toEqual({ success: true, skipped: [["node_offline", 1]] });
    expect([...(await round.health()).nodes]).toEqual([
      ["pve1", true],
      ["pve2", true],
      ["pve3", false],
    ]);
  });

  test("are those of /cluster/resources where /cluster/status failed", async () => {
    const failing = new FakeEndpoint({
      "/cluster/status": new PveFailure("forbidden", "/cluster/status", "403", { status: 403 }),
    });
    expect(await nodesOf(roundAt(siteOf({ "https://a": failing })).round)).toEqual(["pve1", "pve2"]);
  });

  test("on /pve are the one that answers, which is unknown where /cluster/status failed", async () => {
    const way = "pve";
    const { round } = roundAt(siteOf({ "https://a": new FakeEndpoint() }), { way });
    expect(await nodesOf(round)).toEqual(["pve1"]);
    const forbidden = new PveFailure("forbidden", "/cluster/status", "may not see it", { status: 403 });
    const failing = new FakeEndpoint({ "/cluster/status": forbidden });
    expect(await nodesOf(roundAt(siteOf({ "https://a": failing }), { way }).round)).toBe("may not see it");
    const shy = new FakeEndpoint({ "/cluster/status": [clusterRow(), memberRow("pve1")] });
    expect(await nodesOf(roundAt(siteOf({ "https://a": shy }), { way }).round)).toContain(
      "which node answers",
    );
  });
});

describe("a node that cannot be reached", () => {
  test.each([
    ["595", nodeGone()],
    ["596", new PveFailure("timeout", "/nodes/pve2", "596", { status: 596 })],
    ["597", new PveFailure("unreachable", "/nodes/pve2", "597", { status: 597 })],
    ["599", new PveFailure("unreachable", "/nodes/pve2", "599", { status: 599 })],
  ])("by %s is asked nothing more, told once, and the others are complete", async (_, failure) => {
    const endpoint = new FakeEndpoint({ "/nodes/pve2": failure });
    const { round, warnings } = roundAt(siteOf({ "https://a": endpoint }));
    const paths = ["pve1", "pve2"].flatMap((node) =>
      ["x", "y", "z"].map((what) => [`/nodes/${node}/${what}`, node] as const),
    );
    const results = await Promise.all([round.run(asking("a", paths)), round.run(asking("b", paths))]);
    for (const result of results) {
      expect(answered(result)).toEqual(["/nodes/pve1/x", "/nodes/pve1/y", "/nodes/pve1/z"]);
      expect([...result.skipped]).toEqual([[failure.reason, 3]]);
      expect(result.success).toBe(false);
    }
    expect(endpoint.asked.filter((path) => path.startsWith("/nodes/pve2"))).toHaveLength(1);
    expect(warnings().map(({ fields }) => fields["node"])).toEqual(["pve2"]);
    expect((await round.health()).nodes.get("pve2")).toBe(false);
  });

  test("in our own time is asked nothing more either, where the call had all its time", async () => {
    const endpoint = new FakeEndpoint({ "/nodes/pve2": HANG });
    const module = { ...targetOf([]).module, timeoutMs: 30 };
    const { round } = roundAt(siteOf({ "https://a": endpoint }, { module }));
    const result = await round.run(
      asking("a", [
        ["/nodes/pve2/x", "pve2"],
        ["/nodes/pve2/y", "pve2"],
      ]),
    );
    expect([...result.skipped]).toEqual([["timeout", 2]]);
    expect(endpoint.times("/nodes/pve2/y")).toBe(0);
    expect((await round.health()).nodes.get("pve2")).toBe(false);
  });

  test("is not taken for one because a call that is given less time than others takes longer", async () => {
    const endpoint = new FakeEndpoint({ "/nodes/pve2/agent": HANG });
    const { round } = roundAt(siteOf({ "https://a": endpoint }));
    const result = await round.run(
      asking("a", [
        ["/nodes/pve2/agent", "pve2", 20],
        ["/nodes/pve2/x", "pve2"],
      ]),
    );
    expect(answered(result)).toEqual(["/nodes/pve2/x"]);
    expect((await round.health()).nodes.get("pve2")).toBe(true);
  });

  test("is told again when it answers", async () => {
    const endpoint = new FakeEndpoint({ "/nodes/pve2": nodeGone() });
    const site = siteOf({ "https://a": endpoint });
    const log = recordingLog();
    const around = {
      way: "metrics",
      options: {
        zeroStates: true,
        deprecatedGauges: true,
        physicalDisks: site.target.physicalDisks,
        configGuestLimit: 1,
      },
      faults: new FaultLog(log),
    } as const;
    for (let scrape = 0; scrape < 2; scrape++) {
      const context = { signal: new AbortController().signal, deadline: performance.now() + 5000 };
      const round = new TargetRound(site, context, around);
      await round.run(asking("a", [["/nodes/pve2/x", "pve2"]]));
      round.close();
      endpoint.answers["/nodes/pve2"] = [];
    }
    expect(log.lines.filter(({ level }) => level !== "debug").map(({ message }) => message)).toEqual([
      "cannot ask a node of Proxmox VE",
      "the node answers again",
    ]);
  });
});

describe("the deadline", () => {
  test("ends all calls early enough to hand in what has arrived", async () => {
    const endpoint = new FakeEndpoint({ "/slow": HANG });
    const { round } = roundAt(siteOf({ "https://a": endpoint }), { timeoutMs: 400 });
    expect(round.end - performance.now()).toBeLessThanOrEqual(200);
    const slow = Array.from({ length: 9 }, (_, index) => [`/slow/${index}`] as const);
    const result = await round.run(asking("a", [["/quick"], ...slow]));
    expect(answered(result)).toEqual(["/quick"]);
    expect([...result.skipped]).toEqual([["timeout", 9]]);
  });

  test("takes what a collector has that does not come back", async () => {
    const { round } = roundAt(siteOf({ "https://a": new FakeEndpoint() }), { timeoutMs: 100 });
    const stuck = collector("stuck", async (_, report) => {
      report.add(ASKED, { path: "/first" }, 1);
      await new Promise(() => {});
    });
    const result = await round.run(stuck);
    expect(answered(result)).toEqual(["/first"]);
    expect({ success: result.success, skipped: [...result.skipped] }).toEqual({
      success: false,
      skipped: [["timeout", 1]],
    });
  });

  test("does not end a slow reading, which the next round may have", async () => {
    const endpoint = new FakeEndpoint({ "/nodes/pve1/disks": HANG });
    const { round } = roundAt(siteOf({ "https://a": endpoint }), { timeoutMs: 50 });
    let reading: Promise<unknown> = Promise.resolve();
    await round.run(
      collector("slow", async (seen) => {
        reading = seen
          .getLasting("/nodes/pve1/disks", { node: "pve1", limitMs: 250 })
          .catch(() => "its own time was over");
      }),
    );
    round.close();
    expect(await Promise.race([reading, "still under way"])).toBe("still under way");
    expect(await reading).toBe("its own time was over");
  });
});

describe("401", () => {
  test("ends all calls, is told once, and does not go on to another endpoint", async () => {
    const first = new FakeEndpoint({ "/cluster/status": unauthorized() });
    const second = new FakeEndpoint();
    const { round, warnings } = roundAt(siteOf({ "https://a": first, "https://b": second }));
    const results = await Promise.all([round.run(asking("a", [["/x"]])), round.run(asking("b", [["/y"]]))]);
    expect(results.map(({ success, skipped }) => [success, ...skipped])).toEqual([
      [false, ["unauthorized", 1]],
      [false, ["unauthorized", 1]],
    ]);
    expect(first.asked).toEqual(["/cluster/status"]);
    expect(second.asked).toEqual([]);
    expect(warnings()).toHaveLength(1);
    expect(await round.health()).toMatchObject({ isUp: false });
  });

  test("in the midst of a round ends the rest of it", async () => {
    const endpoint = new FakeEndpoint({ "/x": unauthorized(), "/nodes": HANG });
    const { round } = roundAt(siteOf({ "https://a": endpoint }));
    const result = await round.run(
      asking("a", [["/nodes/pve1/x", "pve1"], ["/nodes/pve1/y", "pve1"], ["/x"]]),
    );
    expect([...result.skipped]).toEqual([["unauthorized", 3]]);
    expect(endpoint.times("/nodes/pve1/y")).toBe(0);
  });
});

describe("of several endpoints", () => {
  const asked = async (site: Site) => (await roundAt(site).round.opening).endpoint.url;
  const lost = [clusterRow({ quorate: 0 }), ...THREE_NODES.slice(1)];

  test.each([
    ["refuses the connection", unanswered("connect")],
    ["has no certificate that is trusted", unanswered("tls")],
    ["does not answer in time", new PveFailure("timeout", "/cluster/status", "late")],
  ])("the next is asked where one %s, and is the first from then on", async (_, failure) => {
    const first = new FakeEndpoint({ "/cluster/status": failure });
    const site = siteOf({ "https://a": first, "https://b": new FakeEndpoint() });
    expect(await asked(site)).toBe("https://b");
    first.answers["/cluster/status"] = THREE_NODES;
    expect(await asked(site)).toBe("https://b");
    expect(first.asked).toHaveLength(1);
  });

  test("each gets its share of the time, so that the last is asked too", async () => {
    const hanging = () => new FakeEndpoint({ "/cluster/status": HANG });
    const site = siteOf({ "https://a": hanging(), "https://b": hanging(), "https://c": new FakeEndpoint() });
    const { round } = roundAt(site, { timeoutMs: 600 });
    expect((await round.opening).endpoint.url).toBe("https://c");
  });

  test("another is not asked where one answers with an error", async () => {
    const first = new FakeEndpoint({
      "/cluster/status": new PveFailure("forbidden", "/cluster/status", "403", { status: 403 }),
    });
    expect(await asked(siteOf({ "https://a": first, "https://b": new FakeEndpoint() }))).toBe("https://a");
  });

  test("the one that has the majority wins over one that lost it", async () => {
    const minority = () => new FakeEndpoint({ "/cluster/status": lost });
    const site = siteOf({
      "https://a": minority(),
      "https://b": minority(),
      "https://c": new FakeEndpoint(),
    });
    expect(await asked(site)).toBe("https://c");
  });

  test("the first that answered wins where none has the majority", async () => {
    const site = siteOf({
      "https://a": new FakeEndpoint({ "/cluster/status": unanswered() }),
      "https://b": new FakeEndpoint({ "/cluster/status": lost }),
      "https://c": new FakeEndpoint({ "/cluster/status": lost }),
    });
    expect(await asked(site)).toBe("https://b");
  });

  test("where none answers the target is down, and that is told once", async () => {
    const silent = () => new FakeEndpoint({ "/cluster/status": unanswered() });
    const { round, warnings } = roundAt(siteOf({ "https://a": silent(), "https://b": silent() }));
    await Promise.all([round.run(asking("a", [["/x"]])), round.run(asking("b", [["/y"]]))]);
    expect(warnings()).toHaveLength(1);
    expect(await round.health()).toMatchObject({ isUp: false, endpoint: "https://a" });
  });
});

describe("the cluster", () => {
  const nameOf = (status: unknown, more: Partial<PveTarget> = {}) =>
    roundAt(siteOf({ "https://a": new FakeEndpoint({ "/cluster/status": status }) }, more)).round.cluster();

  test("is called as the configuration has it, else by its own name, else by its only node's", async () => {
    expect(await nameOf(THREE_NODES, { cluster: "mine" })).toBe("mine");
    expect(await nameOf(THREE_NODES)).toBe("prod");
    expect(await nameOf([memberRow("pve1", { nodeid: 0, local: 1 })])).toBe("pve1");
    expect(await nameOf(unanswered())).toBeUndefined();
  });
});
