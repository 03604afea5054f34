import { describe, expect, test } from "bun:test";
import { NO_PVE } from "../../src/config/pve.ts";
import { Secret } from "../../src/config/secret.ts";
import { collector, testApp } from "./support.ts";

const page = async (app: ReturnType<typeof testApp>) => (await app.get("/")).text();

describe("the status page", () => {
  test("shows version, host, and what to open", async () => {
    const app = testApp();
    const response = await app.get("/");
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const html = await response.text();
    expect(html).toContain("<dd>1.2.3</dd>");
    expect(html).toContain("plumbline on node-a");
    for (const link of ["metrics", "-/healthy", "-/ready"]) expect(html).toContain(`<a href="${link}">`);
  });

  test("needs no script and lets none run", async () => {
    const response = await testApp().get("/");
    expect(await response.text()).not.toContain("<script");
    expect(response.headers.get("content-security-policy")).toStartWith("default-src 'none';");
  });

  test("shows how each collector's last run ended, with time, duration, samples and error", async () => {
    const app = testApp([
      collector("alpha", undefined, 7),
      collector("beta", () => {
        throw new Error("cannot read /dev/nvme1: permission denied");
      }),
    ]);
    expect(await page(app)).toContain("not yet run");
    await app.get("/metrics");
    const html = await page(app);
    expect(html).not.toContain("not yet run");
    expect(html).toMatch(/alpha<\/a>.*>ok<.*s ago<.* ms<.*>7</);
    expect(html).toMatch(/beta<\/a>.*>failed<.*cannot read \/dev\/nvme1: permission denied/);
  });

  test("says where to look if nothing is collected", async () => {
    expect(await page(testApp([]))).toContain("plumbline check</code> tells why");
  });

  test("says how /pve is asked where there are modules, which is all that is served then", async () => {
    const app = testApp([]);
    const credentials = { kind: "password", user: "a@pve", password: Secret.of("planted") } as const;
    const module = { credentials, tls: { verify: true }, timeoutMs: 5000, port: 8006, pathPrefix: "" };
    app.settings = { ...app.settings, pve: { ...NO_PVE, modules: new Map([["lab<1>", module]]) } };
    const html = await page(app);
    expect(html).toContain("<code>/pve?target=HOST&#38;module=NAME</code>");
    expect(html).toContain("lab&#60;1&#62;");
    expect(html).not.toContain("No collector is enabled");
    expect(html).not.toContain("planted");
  });

  test("says nothing of /pve where there is no module", async () => {
    expect(await page(testApp())).not.toContain("/pve");
  });

  test("escapes whatever a collector says", async () => {
    const app = testApp([
      collector("alpha", () => {
        throw new Error(`<img src=x onerror="alert('1')">&`);
      }),
    ]);
    await app.get("/metrics");
    const html = await page(app);
    expect(html).not.toContain("<img");
    expect(html).toContain("&#60;img src=x onerror=&#34;alert(&#39;1&#39;)&#34;&#62;&#38;");
  });
});
