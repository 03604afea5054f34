/** Kubeconfigs as they should be, and as they are found: each bad one is refused in a sentence that says what to do. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { ConfigError } from "../../../src/config/error.ts";
import {
  type AccessOptions,
  type ClusterAccess,
  clusterAccess,
} from "../../../src/kubernetes/client/access.ts";
import { type Certificates, makeCertificates } from "../../web/certificates.ts";

let directory: string;
let made: Certificates;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-kubeconfig-"));
  made = makeCertificates();
});
afterAll(() => {
  for (const path of [directory, made.directory]) rmSync(path, { recursive: true });
});

const base64 = (text: string): string => Buffer.from(text).toString("base64");

let written = 0;
function file(content: string, name = `file-${written++}`): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

type Entry = Readonly<Record<string, unknown>>;
interface Parts {
  readonly cluster?: Entry;
  readonly user?: Entry;
  readonly context?: Entry;
  readonly more?: Entry;
}

/** A good one, but for these parts; undefined takes a member away. */
function kubeconfig({ cluster = {}, user = {}, context = {}, more = {} }: Parts = {}): string {
  const authority = { "certificate-authority-data": base64(made.ca.cert) };
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "here",
    clusters: [{ name: "c", cluster: { server: "https://api.example:6443/", ...authority, ...cluster } }],
    users: [{ name: "u", user: { token: "planted", ...user } }],
    contexts: [{ name: "here", context: { cluster: "c", user: "u", ...context } }],
    ...more,
  });
}

const access = (path: string, options: Partial<AccessOptions> = {}): ClusterAccess =>
  clusterAccess({ kubeconfig: path, env: {}, warn() {}, ...options });

function refused(path: string, options: Partial<AccessOptions> = {}): string {
  try {
    access(path, options);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("a kubeconfig", () => {
  test("says where the server is, whom to trust and who asks", async () => {
    const found = access(
      file(kubeconfig({ context: { namespace: "storage" }, cluster: { "tls-server-name": "kubernetes" } })),
    );
    expect(found.server).toBe("https://api.example:6443");
    expect(found.namespace).toBe("storage");
    expect(found.tls).toMatchObject({
      ca: made.ca.cert,
      serverName: "kubernetes",
      insecureSkipVerify: false,
    });
    expect(await found.authorization()).toBe("Bearer planted");
    expect(found.tls).toBe(found.tls);
  });

  test("of which much is null, or unknown, counts for what it says", async () => {
    const found = access(file(kubeconfig({ more: { preferences: null, extensions: [{ name: "x" }] } })));
    expect(found.namespace).toBeUndefined();
    expect(
      access(file(kubeconfig({ user: { "client-certificate": "", username: undefined } }))).namespace,
    ).toBeUndefined();
  });

  test("names files from its own folder, and sees that they change", async () => {
    file(made.ca.cert, "ca.crt");
    file(made.client.cert, "me.crt");
    file(made.client.key, "me.key");
    file("first\n", "token");
    const text = kubeconfig({
      cluster: { "certificate-authority-data": undefined, "certificate-authority": "ca.crt" },
      user: { tokenFile: "./token", "client-certificate": "me.crt", "client-key": join(directory, "me.key") },
    });
    const found = access(file(text));
    expect(found.tls).toMatchObject({ ca: made.ca.cert, cert: made.client.cert, key: made.client.key });
    expect(await found.authorization()).toBe("Bearer first");
    file("second\n", "token");
    file(made.stranger.cert, "ca.crt");
    expect(await found.authorization()).toBe("Bearer second");
    expect(found.tls).toMatchObject({ ca: made.stranger.cert });
  });

  test("may hold the client's certificate, which is enough", async () => {
    const own = {
      "client-certificate-data": base64(made.client.cert),
      "client-key-data": base64(made.client.key),
    };
    const found = access(file(kubeconfig({ user: { token: undefined, ...own } })));
    expect(found.tls).toMatchObject({ cert: made.client.cert, key: made.client.key });
    expect(await found.authorization()).toBeUndefined();
  });

  test("may lie in several files, of which the first that says something counts", () => {
    const one = file(
      stringify({
        clusters: [{ name: "c", cluster: { server: "https://one.example", "tls-server-name": "x" } }],
      }),
    );
    const two = file(kubeconfig());
    expect(access(`${one}:${two}`).server).toBe("https://one.example");
    expect(access(`${join(directory, "none")}:${two}:`).server).toBe("https://api.example:6443");
    expect(access("", { env: { KUBECONFIG: `${two}:${one}` } }).server).toBe("https://api.example:6443");
    expect(refused(`${directory}/none:${directory}/neither`)).toContain("none of the kubeconfig files");
  });

  test("that switches verification off is obeyed, with a warning", () => {
    const warnings: string[] = [];
    const cluster = { "certificate-authority-data": undefined, "insecure-skip-tls-verify": true };
    const found = access(file(kubeconfig({ cluster })), { warn: (warning) => warnings.push(warning) });
    expect(found.tls).toMatchObject({ ca: undefined, insecureSkipVerify: true });
    expect(warnings).toEqual([expect.stringContaining("certificate is not verified")]);
  });

  const bad: [string, () => string, string][] = [
    ["is missing", () => join(directory, "missing"), "no such file"],
    ["is empty", () => file(""), "no current-context"],
    ["is no YAML", () => file("users: [planted\n- }"), "is not valid YAML"],
    ["is another thing", () => file("planted"), "must be a mapping"],
    [
      "has no context that counts",
      () => file(kubeconfig({ more: { "current-context": "" } })),
      "choose one with kubectl config use-context",
    ],
    [
      "lacks its context",
      () => file(kubeconfig({ more: { "current-context": "gone" } })),
      '"gone", which is not among its contexts',
    ],
    [
      "lacks its cluster",
      () => file(kubeconfig({ more: { clusters: null } })),
      '"c", which is not among its clusters',
    ],
    ["lacks its user", () => file(kubeconfig({ more: { users: [] } })), '"u", which is not among its users'],
    [
      "has a context without a cluster",
      () => file(kubeconfig({ context: { cluster: undefined } })),
      "contexts.0.context.cluster",
    ],
    [
      "has a cluster of nothing",
      () => file(JSON.stringify({ clusters: [{ name: "c", cluster: null }] })),
      "clusters.0.cluster is missing",
    ],
    [
      "has a server that is a number",
      () => file(kubeconfig({ cluster: { server: 6443 } })),
      "clusters.0.cluster.server must be of type string",
    ],
    [
      "has no server",
      () => file(kubeconfig({ cluster: { server: "" } })),
      "the server of cluster c is missing",
    ],
    [
      "has a server without TLS",
      () => file(kubeconfig({ cluster: { server: "http://api.example" } })),
      "use https://",
    ],
    [
      "has a server that is no address",
      () => file(kubeconfig({ cluster: { server: "api.example:6443" } })),
      "must be like https://host:6443",
    ],
    [
      "has a password in the address",
      () => file(kubeconfig({ cluster: { server: "https://me:planted@api.example" } })),
      "must be like",
    ],
    [
      "wants a proxy",
      () => file(kubeconfig({ cluster: { "proxy-url": "http://planted" } })),
      "the proxy-url of cluster c is not supported",
    ],
    [
      "trusts everybody and somebody",
      () => file(kubeconfig({ cluster: { "insecure-skip-tls-verify": true } })),
      "keep one of them",
    ],
    [
      "has an authority that is not base64",
      () => file(kubeconfig({ cluster: { "certificate-authority-data": "planted!" } })),
      "certificate-authority-data of cluster c is not base64",
    ],
    [
      "has an authority that is no certificate",
      () => file(kubeconfig({ cluster: { "certificate-authority-data": base64("planted") } })),
      "it holds no certificate in PEM",
    ],
    [
      "names an authority that is not there",
      () =>
        file(
          kubeconfig({
            cluster: { "certificate-authority-data": undefined, "certificate-authority": "nowhere.crt" },
          }),
        ),
      "nowhere.crt: no such file",
    ],
    [
      "names a token file that is not there",
      () => file(kubeconfig({ user: { tokenFile: "nowhere" } })),
      "nowhere: no such file",
    ],
    ["has an empty token file", () => file(kubeconfig({ user: { tokenFile: file("") } })), "it is empty"],
    [
      "has a token of two lines",
      () => file(kubeconfig({ user: { token: "planted\nplanted" } })),
      "holds what no token may hold",
    ],
    [
      "has no credentials",
      () => file(kubeconfig({ user: { token: undefined } })),
      "user u has no credentials",
    ],
    [
      "has a password",
      () => file(kubeconfig({ user: { token: undefined, username: "u", password: "planted" } })),
      "user u has username, which Kubernetes knows no more",
    ],
    [
      "has an auth-provider",
      () => file(kubeconfig({ user: { token: undefined, "auth-provider": { name: "gcp" } } })),
      "user u has auth-provider",
    ],
    [
      "acts as somebody else",
      () => file(kubeconfig({ user: { as: "planted" } })),
      "user u has as: acting as somebody else",
    ],
    [
      "acts as a group",
      () => file(kubeconfig({ user: { "as-groups": ["planted"] } })),
      "user u has as-groups",
    ],
    [
      "has a certificate without its key",
      () => file(kubeconfig({ user: { "client-certificate-data": base64(made.client.cert) } })),
      "has a client-certificate and no client-key",
    ],
    [
      "has a key without its certificate",
      () => file(kubeconfig({ user: { "client-key-data": base64(made.client.key) } })),
      "has a client-key and no client-certificate",
    ],
    [
      "has the key of another certificate",
      () =>
        file(
          kubeconfig({
            user: { "client-certificate": made.client.certFile, "client-key": made.server.keyFile },
          }),
        ),
      "it is not the one of the certificate",
    ],
    [
      "has a certificate that has expired",
      () =>
        file(
          kubeconfig({
            user: { "client-certificate": made.expired.certFile, "client-key": made.expired.keyFile },
          }),
        ),
      "the client certificate for https://api.example:6443 expired at 20",
    ],
    [
      "trusts an authority that has expired",
      () => file(kubeconfig({ cluster: { "certificate-authority-data": base64(made.expired.cert) } })),
      "the certificate of the authority for https://api.example:6443 expired at 20",
    ],
    [
      "has an exec plugin of another time",
      () =>
        file(
          kubeconfig({
            user: {
              token: undefined,
              exec: { apiVersion: "client.authentication.k8s.io/v1alpha1", command: "planted" },
            },
          }),
        ),
      "use client.authentication.k8s.io/v1 or",
    ],
    [
      "has an exec plugin that asks",
      () =>
        file(
          kubeconfig({
            user: {
              token: undefined,
              exec: {
                apiVersion: "client.authentication.k8s.io/v1",
                command: "planted",
                interactiveMode: "Always",
              },
            },
          }),
        ),
      "wants a terminal",
    ],
    [
      "has an exec plugin without a command",
      () => file(kubeconfig({ user: { exec: { apiVersion: "client.authentication.k8s.io/v1" } } })),
      "users.0.user.exec.command",
    ],
  ];
  test.each(bad)("that %s is refused, and not quoted", (_, path, words) => {
    const sentence = refused(path());
    expect(sentence).toContain(words);
    expect(sentence).not.toContain("planted");
  });

  test("with an authority that has expired beside one that has not is taken", () => {
    const both = { "certificate-authority-data": base64(made.expired.cert + made.ca.cert) };
    expect(access(file(kubeconfig({ cluster: both }))).server).toBe("https://api.example:6443");
  });
});

describe("in a pod", () => {
  const env = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };
  function serviceAccount(): string {
    const folder = mkdtempSync(join(directory, "service-account-"));
    const put = (name: string, content: string) => writeFileSync(join(folder, name), content);
    put("token", "first.token");
    put("ca.crt", made.ca.cert);
    put("namespace", "plumbline");
    return folder;
  }

  test("the ServiceAccount is who asks, with the token that its file holds now", async () => {
    const serviceAccountDir = serviceAccount();
    const found = clusterAccess({ kubeconfig: undefined, warn() {}, env, serviceAccountDir });
    expect([found.server, found.namespace]).toEqual(["https://10.96.0.1", "plumbline"]);
    expect(found.tls).toMatchObject({ ca: made.ca.cert, insecureSkipVerify: false });
    expect(await found.authorization()).toBe("Bearer first.token");
    writeFileSync(join(serviceAccountDir, "token"), "second.token");
    expect(await found.authorization()).toBe("Bearer second.token");
    rmSync(join(serviceAccountDir, "token"));
    expect(found.authorization()).rejects.toThrow("no such file");
    writeFileSync(join(serviceAccountDir, "ca.crt"), made.stranger.cert);
    expect(found.tls).toMatchObject({ ca: made.stranger.cert });
  });

  test("the server may have an IPv6 address and another port", () => {
    const serviceAccountDir = serviceAccount();
    const there = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" };
    expect(clusterAccess({ kubeconfig: undefined, warn() {}, env: there, serviceAccountDir }).server).toBe(
      "https://[fd00::1]:6443",
    );
  });

  test.each([
    ["no host", { KUBERNETES_SERVICE_HOST: "api example" }],
    ["no port", { KUBERNETES_SERVICE_PORT: "tcp://10.96.0.1:443" }],
  ])("a server with %s is refused by the names of its variables", (_, wrong) => {
    const options = { kubeconfig: undefined, warn() {}, serviceAccountDir: serviceAccount() };
    expect(() => clusterAccess({ ...options, env: { ...env, ...wrong } })).toThrow(
      "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are no address",
    );
  });

  test("without a token, an authority or a server, the sentence says what to do", () => {
    const options = { kubeconfig: undefined, warn() {}, serviceAccountDir: join(directory, "nothing") };
    expect(() => clusterAccess({ ...options, env })).toThrow("nothing/ca.crt: no such file");
    expect(() => clusterAccess({ ...options, env: {} })).toThrow(
      "give --kubeconfig or KUBECONFIG, or run the operator in a pod",
    );
  });
});

describe("an exec plugin", () => {
  const V1 = "client.authentication.k8s.io/v1";
  const given = (credentials: Entry) =>
    JSON.stringify({ apiVersion: V1, kind: "ExecCredential", status: credentials });

  /** Each run adds a line to `runs`. */
  function plugin(
    script: string,
    exec: Entry = {},
  ): { readonly found: ClusterAccess; readonly runs: () => number } {
    const log = file("");
    const command = file(`#!/bin/sh\necho run >> ${log}\n${script}\n`, `plugin-${written++}`);
    const args = [command, "--secret=planted"];
    const user = { token: undefined, exec: { apiVersion: V1, command: "/bin/sh", args, ...exec } };
    const found = access(file(kubeconfig({ user })), { env: { PATH: "/usr/bin:/bin", OWN: "own" } });
    return { found, runs: () => readFileSync(log, "utf8").split("\n").length - 1 };
  }

  async function failureOf(found: ClusterAccess): Promise<string> {
    try {
      await found.authorization();
    } catch (error) {
      return String(error);
    }
    throw new Error("nothing failed");
  }

  test("is asked once for all, and again when its token was refused", async () => {
    const { found, runs } = plugin(`echo '${given({ token: "given" })}'`);
    expect(runs()).toBe(0);
    expect(await Promise.all([found.authorization(), found.authorization()])).toEqual([
      "Bearer given",
      "Bearer given",
    ]);
    await found.authorization();
    expect(runs()).toBe(1);
    found.rejected();
    await found.authorization();
    expect(runs()).toBe(2);
  });

  test("is asked again when what it gave has expired, and not before", async () => {
    const soon = new Date(Date.now() + 5000).toISOString();
    const late = new Date(Date.now() + 3_600_000).toISOString();
    const expiring = plugin(`echo '${given({ token: "given", expirationTimestamp: soon })}'`);
    const lasting = plugin(`echo '${given({ token: "given", expirationTimestamp: late })}'`);
    for (const { found } of [expiring, lasting, expiring, lasting]) await found.authorization();
    expect([expiring.runs(), lasting.runs()]).toEqual([2, 1]);
  });

  test("may give a certificate, which is that of the next connection", async () => {
    const pair = { clientCertificateData: made.client.cert, clientKeyData: made.client.key };
    const { found } = plugin(`cat <<'END'\n${given(pair)}\nEND`);
    expect(found.tls).toMatchObject({ cert: undefined });
    expect(await found.authorization()).toBeUndefined();
    expect(found.tls).toMatchObject({ ca: made.ca.cert, cert: made.client.cert, key: made.client.key });
  });

  test("knows what it is asked for, and has the environment and more", async () => {
    const seen = file("");
    const script = `printf '%s\\n' "$OWN $MORE" "$KUBERNETES_EXEC_INFO" > ${seen}\necho '${given({ token: "given" })}'`;
    const { found } = plugin(script, { env: [{ name: "MORE", value: "more" }], provideClusterInfo: true });
    await found.authorization();
    const [variables, told = ""] = (await Bun.file(seen).text()).split("\n");
    expect(variables).toBe("own more");
    expect(JSON.parse(told)).toEqual({
      apiVersion: V1,
      kind: "ExecCredential",
      spec: {
        interactive: false,
        cluster: { server: "https://api.example:6443", "certificate-authority-data": base64(made.ca.cert) },
      },
    });
  });

  test("may be a program beside the kubeconfig", async () => {
    const name = `beside-${written++}`;
    file(`#!/bin/sh\necho '${given({ token: "given" })}'\n`, name);
    chmodSync(join(directory, name), 0o755);
    const { found } = plugin("", { command: `./${name}`, args: null });
    expect(await found.authorization()).toBe("Bearer given");
  });

  test.each([
    ["fails", "echo planted; echo planted >&2; exit 7", "it ended with exit code 7"],
    ["is killed", "kill -9 $$", "it was killed"],
    ["says nothing", "", "something else than an ExecCredential"],
    ["says something else", "echo planted", "something else than an ExecCredential"],
    [
      "speaks another version",
      `echo '${given({ token: "planted" }).replace("/v1", "/v1beta1")}'`,
      "something else than an ExecCredential",
    ],
    ["gives nothing", `echo '${given({})}'`, "neither a token nor a certificate"],
    [
      "gives half a certificate",
      `echo '${given({ clientCertificateData: "planted" })}'`,
      "neither a token nor a certificate",
    ],
    [
      "gives a token with a blank",
      `echo '${given({ token: "planted planted" })}'`,
      "holds what no token may hold",
    ],
    [
      "gives a time that is none",
      `echo '${given({ token: "planted", expirationTimestamp: "planted" })}'`,
      "something else than an ExecCredential",
    ],
    ["says too much", "head -c 2000000 /dev/zero", "more than 1048576 bytes"],
  ])("that %s is a failure that tells nothing of what it wrote", async (_, script, words) => {
    const failure = await failureOf(plugin(script).found);
    expect(failure).toContain("no credentials from the exec plugin /bin/sh: ");
    expect(failure).toContain(words);
    expect(failure).not.toContain("planted");
  });

  test.each(["exec sleep 6", "sleep 6 & exit 0"])(
    "that does not end is named before a request's time is over: %s",
    async (script) => {
      const startedAt = performance.now();
      const { found, runs } = plugin(script);
      const failures = await Promise.all([failureOf(found), failureOf(found)]);
      expect(new Set(failures).size).toBe(1);
      expect(failures[0]).toContain(
        "no credentials from the exec plugin /bin/sh: it has not ended within 4 s",
      );
      expect(performance.now() - startedAt).toBeLessThan(4900);
      expect(runs()).toBe(1);
    },
    10_000,
  );

  test("that is slow has its answer taken by who asks next", async () => {
    const { found, runs } = plugin(`sleep 4.3; echo '${given({ token: "given" })}'`);
    expect(await failureOf(found)).toContain("it has not ended within 4 s");
    expect(await found.authorization()).toBe("Bearer given");
    expect(runs()).toBe(1);
  }, 10_000);

  test("that is not there is a failure that says so", async () => {
    expect(await failureOf(plugin("", { command: "plumbline-no-such-plugin" }).found)).toContain(
      "no such program",
    );
  });
});
