import { describe, expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import { collector, testApp } from "./support.ts";

const text = async (response: Response | Promise<Response>) => (await response).text();

describe("the exposition", () => {
  test("is served in the text format, with charset and version", async () => {
    const response = await testApp().get("/metrics");
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const body = await response.text();
    expect(body).toContain('test_alpha_value{series="number-0"} 0\n');
    expect(body).toContain('plumbline_collector_success{collector="beta"} 1\n');
    expect(body).toContain('plumbline_build_info{version="1.2.3"');
  });

  test("names its node in a header, by which the operator knows whose answer it is", async () => {
    expect((await testApp().get("/metrics")).headers.get("x-plumbline-node")).toBe("node-a");
  });

  test("is served as OpenMetrics to a scraper that prefers it", async () => {
    const response = await testApp().get("/metrics", {
      headers: { accept: "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5" },
    });
    expect(response.headers.get("content-type")).toBe(
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
    );
    expect(await response.text()).toEndWith("# EOF\n");
  });

  test("is compressed for a client that takes gzip, and is the same text then", async () => {
    const app = testApp([collector("alpha", undefined, 500)]);
    const plain = await app.get("/metrics?collect[]=alpha");
    expect(plain.headers.get("content-encoding")).toBeNull();
    const zipped = await app.get("/metrics?collect[]=alpha", {
      headers: { "accept-encoding": "br, gzip;q=0.5" },
    });
    expect(zipped.headers.get("content-encoding")).toBe("gzip");
    const unzipped = gunzipSync(await zipped.arrayBuffer()).toString();
    const series = (body: string) => body.split("\n").filter((line) => line.startsWith("test_"));
    expect(series(unzipped)).toEqual(series(await plain.text()));
  });

  test("is not compressed for a client that forbids gzip", async () => {
    const app = testApp([collector("alpha", undefined, 500)]);
    for (const header of ["gzip;q=0", "identity", "gzip;q=0, *"]) {
      const response = await app.get("/metrics", { headers: { "accept-encoding": header } });
      expect(response.headers.get("content-encoding")).toBeNull();
    }
  });

  test("answers HEAD with the head of GET", async () => {
    const response = await testApp().get("/metrics", { method: "HEAD" });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await response.text()).toBe("");
  });

  test("is served under the path that is configured, also after a reload has moved it", async () => {
    const app = testApp([], { web: { telemetryPath: "/storage/metrics" } });
    expect((await app.get("/storage/metrics")).status).toBe(200);
    expect((await app.get("/metrics")).status).toBe(404);
    app.settings = { ...app.settings, web: { ...app.settings.web, telemetryPath: "/elsewhere" } };
    expect((await app.get("/elsewhere")).status).toBe(200);
    expect((await app.get("/storage/metrics")).status).toBe(404);
  });

  test("is found under a host name of one letter on port 80", async () => {
    const app = testApp();
    expect((await app.handle(new Request("http://a/metrics"))).status).toBe(200);
  });

  test("counts answers by their code, and each scrape's duration", async () => {
    const app = testApp();
    await app.get("/metrics");
    await app.get("/metrics?collect[]=nothing");
    const body = await text(app.get("/metrics"));
    expect(body).toContain('plumbline_scrapes_total{code="200"} 1\n');
    expect(body).toContain('plumbline_scrapes_total{code="400"} 1\n');
    expect(body).toContain("plumbline_scrape_duration_seconds_count 1\n");
  });

  test("two collectors giving the same series: the first is served, the other counted and logged", async () => {
    const app = testApp([collector("alpha"), { ...collector("alpha"), name: "beta" }]);
    const body = await text(app.get("/metrics"));
    expect(body.match(/^test_alpha_value\{/gm)).toHaveLength(1);
    expect(await text(app.get("/metrics"))).toContain("plumbline_duplicate_series_total 1\n");
    expect(app.log.lines.filter(({ message }) => message.startsWith("series are given twice"))).toHaveLength(
      1,
    );
  });
});

describe("the choice of collectors", () => {
  const chosen = (body: string) =>
    [...body.matchAll(/^plumbline_collector_success\{collector="(.*)"\}/gm)].map(([, name]) => name);

  test("collect[] takes those that are named, as Prometheus writes it and as people do", async () => {
    const app = testApp([collector("alpha"), collector("beta"), collector("gamma")]);
    expect(chosen(await text(app.get("/metrics?collect%5B%5D=gamma&collect%5B%5D=alpha")))).toEqual([
      "alpha",
      "gamma",
    ]);
    expect(chosen(await text(app.get("/metrics?collect[]=beta")))).toEqual(["beta"]);
  });

  test("exclude[] takes all others", async () => {
    const app = testApp([collector("alpha"), collector("beta"), collector("gamma")]);
    expect(chosen(await text(app.get("/metrics?exclude[]=beta")))).toEqual(["alpha", "gamma"]);
  });

  test("an unknown collector in collect[] or exclude[] is answered 400 with the names that there are", async () => {
    for (const query of ["collect[]=nvmee", "exclude[]=nvmee", "collect[]=alpha&collect[]="]) {
      const response = await testApp().get(`/metrics?${query}`);
      expect(response.status).toBe(400);
      expect(await response.text()).toContain("the collectors are: alpha, beta\n");
    }
  });

  test("collect[] and exclude[] together are answered 400 with the names that there are", async () => {
    const response = await testApp().get("/metrics?collect[]=alpha&exclude[]=beta");
    expect(response.status).toBe(400);
    expect(await response.text()).toBe(
      "collect[] and exclude[] cannot both be given; the collectors are: alpha, beta\n",
    );
  });

  test("a name of a megabyte, with markup and line breaks, is not echoed as it came", async () => {
    const name = encodeURIComponent(`<script>\n${"x".repeat(1_000_000)}`);
    const response = await testApp().get(`/metrics?collect[]=${name}`);
    expect(response.headers.get("content-type")).toStartWith("text/plain");
    const body = await response.text();
    expect(body.length).toBeLessThan(300);
    expect(body.trimEnd()).not.toContain("\n");
  });
});

describe("scrapes at once", () => {
  test("those that come while one runs share its result, its text, and its compression", async () => {
    const gate = Promise.withResolvers<void>();
    const alpha = collector("alpha", () => gate.promise, 100);
    const app = testApp([alpha]);
    const answers = Array.from({ length: 40 }, () =>
      app.get("/metrics", { headers: { "accept-encoding": "gzip" } }),
    );
    await Bun.sleep(1);
    gate.resolve();
    const bodies = await Promise.all((await Promise.all(answers)).map((answer) => answer.arrayBuffer()));
    expect(alpha.runs).toBe(1);
    expect(new Set(bodies.map((body) => Buffer.from(body).toString("base64"))).size).toBe(1);
  });

  test("beyond --web.max-requests they are answered 503 with Retry-After, and later ones are served again", async () => {
    const gate = Promise.withResolvers<void>();
    const app = testApp([collector("alpha", () => gate.promise)], { web: { maxRequests: 2 } });
    const running = [app.get("/metrics"), app.get("/metrics")];
    const refused = await app.get("/metrics");
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await refused.text()).toContain("--web.max-requests");
    gate.resolve();
    for (const answer of await Promise.all(running)) expect(answer.status).toBe(200);
    expect((await app.get("/metrics")).status).toBe(200);
    expect(await text(app.get("/metrics"))).toContain('plumbline_scrapes_total{code="503"} 1\n');
  });

  test("have no limit with --web.max-requests=0", async () => {
    const gate = Promise.withResolvers<void>();
    const app = testApp([collector("alpha", () => gate.promise)], { web: { maxRequests: 0 } });
    const running = Array.from({ length: 100 }, () => app.get("/metrics"));
    gate.resolve();
    for (const answer of await Promise.all(running)) expect(answer.status).toBe(200);
  });

  test("a client that disconnects in mid-scrape takes nothing from another that shares the scrape", async () => {
    const gate = Promise.withResolvers<void>();
    const alpha = collector("alpha", () => gate.promise);
    const app = testApp([alpha]);
    const leaving = new AbortController();
    const left = app.get("/metrics", { signal: leaving.signal });
    const stayed = app.get("/metrics");
    await Bun.sleep(1);
    leaving.abort();
    await left;
    gate.resolve();
    expect(await text(stayed)).toContain('test_alpha_value{series="number-0"} 0\n');
    expect(alpha.runs).toBe(1);
    expect(app.log.text).toBe("");
  });
});

describe("the scrape timeout header", () => {
  const deadlineFor = async (header: string | undefined) => {
    let allowedMs = 0;
    const app = testApp([
      collector("alpha", ({ deadline }) => {
        allowedMs = deadline - performance.now();
      }),
    ]);
    const headers: Record<string, string> = {};
    if (header !== undefined) headers["X-Prometheus-Scrape-Timeout-Seconds"] = header;
    expect((await app.get("/metrics", { headers })).status).toBe(200);
    return Math.round(allowedMs / 10) / 100;
  };

  test("gives the collectors its time less the offset", async () => {
    expect(await deadlineFor("5")).toBe(4.5);
  });

  test("X-Prometheus-Scrape-Timeout-Seconds: abc, -1, 0.1 and 1e9 neither break the scrape nor stretch it", async () => {
    expect(await deadlineFor("abc")).toBe(10);
    expect(await deadlineFor("-1")).toBe(10);
    expect(await deadlineFor("0.1")).toBe(0.05);
    expect(await deadlineFor("1e9")).toBe(120);
  });
});

describe("health", () => {
  test("is told as long as the process serves", async () => {
    const response = await testApp().get("/-/healthy");
    expect([response.status, await response.text()]).toEqual([200, "healthy\n"]);
  });

  test("readiness names the collectors that are still waited for", async () => {
    let waitingFor = ["nvme", "ebs"];
    const app = testApp([], { readiness: () => ({ ready: waitingFor.length === 0, waitingFor }) });
    const before = await app.get("/-/ready");
    expect(before.status).toBe(503);
    expect(await before.text()).toBe("not ready; waiting for the first collection of: nvme, ebs\n");
    waitingFor = [];
    const after = await app.get("/-/ready");
    expect([after.status, await after.text()]).toEqual([200, "ready\n"]);
  });
});

describe("the lifecycle", () => {
  const lifecycle = { web: { enableLifecycle: true } };

  test("is off unless --web.enable-lifecycle is given, and says so", async () => {
    let called = 0;
    const app = testApp([], { reload: async () => void called++, quit: () => void called++ });
    for (const path of ["/-/reload", "/-/quit"]) {
      const response = await app.get(path, { method: "POST" });
      expect(response.status).toBe(403);
      expect(await response.text()).toContain("--web.enable-lifecycle");
    }
    expect(called).toBe(0);
  });

  test("reloads and quits by POST and by PUT, whatever body comes with it", async () => {
    const called: string[] = [];
    const app = testApp([], {
      ...lifecycle,
      reload: async () => void called.push("reload"),
      quit: () => void called.push("quit"),
    });
    for (const method of ["POST", "PUT"]) {
      for (const path of ["/-/reload", "/-/quit"]) {
        const init = { method, body: "{not json", headers: { "content-type": "application/json" } };
        expect((await app.get(path, init)).status).toBe(200);
      }
    }
    expect(called).toEqual(["reload", "quit", "reload", "quit"]);
  });

  test("a reload that fails is answered 500 with its message", async () => {
    const app = testApp([], {
      ...lifecycle,
      reload: () => Promise.reject(new Error('plumbline.yaml:3:1: unknown key "tocken"')),
    });
    const response = await app.get("/-/reload", { method: "POST" });
    expect([response.status, await response.text()]).toEqual([
      500,
      'plumbline.yaml:3:1: unknown key "tocken"\n',
    ]);
  });

  test("takes no orders from a page of another site", async () => {
    const app = testApp([], { ...lifecycle, quit: () => expect.unreachable() });
    const init = { method: "POST", headers: { "sec-fetch-site": "cross-site" } };
    expect((await app.get("/-/quit", init)).status).toBe(403);
  });
});

describe("everything else", () => {
  test("an unknown path is answered 404 in one line of text", async () => {
    for (const path of ["/nothing", "/metrics/", "/Metrics", "//metrics", "/-/", "/metrics%00"]) {
      const response = await testApp().get(path);
      expect([path, response.status]).toEqual([path, 404]);
      expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
      expect((await response.text()).split("\n")).toHaveLength(2);
    }
  });

  test("a wrong method is answered 405 with Allow", async () => {
    const app = testApp([], { web: { enableLifecycle: true } });
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"]) {
      const response = await app.get("/metrics", { method });
      expect([method, response.status]).toEqual([method, 405]);
      expect(response.headers.get("allow")).toBe("GET, HEAD");
    }
    for (const method of ["GET", "HEAD", "DELETE"]) {
      const response = await app.get("/-/reload", { method });
      expect([method, response.status]).toEqual([method, 405]);
      expect(response.headers.get("allow")).toBe("POST, PUT");
    }
  });

  test("an error inside is answered 500 in one line that tells nothing, and logged once", async () => {
    const app = testApp([], {
      readiness: () => {
        throw new Error("secret-inside /etc/shadow");
      },
      scraper: () => {
        throw "secret-inside, and no Error";
      },
    });
    for (const path of ["/-/ready", "/metrics", "/-/ready", "/", "/-/ready"]) {
      const response = await app.get(path);
      expect([path, response.status]).toEqual([path, 500]);
      expect(await response.text()).toBe("internal error; the log of plumbline says more\n");
    }
    expect(app.log.text).toContain("secret-inside /etc/shadow");
    expect(app.log.lines.length).toBeLessThanOrEqual(6);
  });

  test("a collector that throws a non-Error loses only its own metrics", async () => {
    const app = testApp([
      collector("alpha", () => {
        throw null;
      }),
      collector("beta"),
    ]);
    const body = await text(app.get("/metrics"));
    expect(body).toContain('plumbline_collector_success{collector="alpha"} 0\n');
    expect(body).toContain("test_beta_value");
  });
});
