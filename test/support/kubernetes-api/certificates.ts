/** The cluster's certificates, made with openssl once a process: its CA, its server's, and the admin's as a client. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** In PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface ClusterCertificates {
  readonly ca: Certificate;
  readonly server: Certificate;
  readonly client: Certificate;
  readonly expired: Certificate;
}

let made: Promise<ClusterCertificates> | undefined;

export function clusterCertificates(): Promise<ClusterCertificates> {
  made ??= inFolder(make);
  return made;
}

async function inFolder<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-cluster-"));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const EC_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const NAMES = "subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1\n";
const CLIENT = "extendedKeyUsage=clientAuth\n";
const ADMIN = "/O=system:masters/CN=admin";

async function make(directory: string): Promise<ClusterCertificates> {
  const files = (name: string) => ({
    certFile: join(directory, `${name}.crt`),
    keyFile: join(directory, `${name}.key`),
  });
  const ca = files("ca");
  await openssl(
    ...["req", "-x509", ...EC_KEY, "-keyout", ca.keyFile, "-out", ca.certFile],
    ...["-days", "30", "-subj", "/CN=kubernetes-ca"],
  );
  const signed = async (
    name: string,
    subject: string,
    extensions: string,
    days: string,
  ): Promise<Certificate> => {
    const { certFile, keyFile } = files(name);
    const [request, extensionFile] = [join(directory, `${name}.csr`), join(directory, `${name}.ext`)];
    writeFileSync(extensionFile, extensions);
    await openssl("req", ...EC_KEY, "-keyout", keyFile, "-out", request, "-subj", subject);
    await openssl(
      ...["x509", "-req", "-in", request, "-CA", ca.certFile, "-CAkey", ca.keyFile, "-out", certFile],
      ...["-set_serial", String(serial++), "-days", days, "-extfile", extensionFile],
    );
    return loaded({ certFile, keyFile });
  };
  let serial = 1;
  const [server, client, expired] = await Promise.all([
    signed("server", "/CN=kube-apiserver", NAMES, "30"),
    signed("admin", ADMIN, CLIENT, "30"),
    signed("expired", ADMIN, CLIENT, "-1"),
  ]);
  return { ca: loaded(ca), server, client, expired };
}

const loaded = (files: { readonly certFile: string; readonly keyFile: string }): Certificate => ({
  cert: readFileSync(files.certFile, "utf8"),
  key: readFileSync(files.keyFile, "utf8"),
});

const run = promisify(execFile);
const openssl = async (...args: string[]): Promise<void> => void (await run("openssl", args));
