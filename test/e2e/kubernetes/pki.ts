/** The certificates of a cluster: its authority, its API server, and clients of it. */
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Pki {
  readonly ca: string;
  readonly caFile: string;
  /** A client's certificate; Kubernetes takes its CN for the user and its O for the user's group. */
  client(user: string, group: string, days?: number): { readonly certFile: string; readonly keyFile: string };
  readonly serverCertFile: string;
  readonly serverKeyFile: string;
  /** With which the tokens of service accounts are signed. */
  readonly accountKeyFile: string;
  readonly accountPublicKeyFile: string;
}

export function makePki(directory: string): Pki {
  const file = (name: string) => join(directory, name);
  const openssl = (...args: string[]): void => void execFileSync("openssl", args, { stdio: "pipe" });
  const newKey = (name: string) => [
    ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", file(`${name}.key`)],
  ];
  const authority = ["-days", "2", "-subj", "/CN=test-cluster", "-addext", "keyUsage=keyCertSign,cRLSign"];
  openssl("req", "-x509", ...newKey("ca"), "-out", file("ca.crt"), ...authority);

  let serial = 1;
  const signed = (name: string, subject: string, extensions: readonly string[], days: number) => {
    openssl("req", ...newKey(name), "-subj", subject, "-out", file(`${name}.csr`));
    writeFileSync(file(`${name}.ext`), `${extensions.join("\n")}\n`);
    const by = ["-CA", file("ca.crt"), "-CAkey", file("ca.key"), "-set_serial", String(serial++)];
    const how = ["-days", String(days), "-extfile", file(`${name}.ext`), "-out", file(`${name}.crt`)];
    openssl("x509", "-req", "-in", file(`${name}.csr`), ...by, ...how);
    return { certFile: file(`${name}.crt`), keyFile: file(`${name}.key`) };
  };
  const names = ["IP:127.0.0.1", "DNS:localhost", "DNS:kubernetes.default.svc"];
  const server = signed(
    "apiserver",
    "/CN=kube-apiserver",
    ["extendedKeyUsage=serverAuth", `subjectAltName=${names.join(",")}`],
    2,
  );

  const account = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  writeFileSync(file("account.key"), account.privateKey.export({ type: "sec1", format: "pem" }));
  writeFileSync(file("account.pub"), account.publicKey.export({ type: "spki", format: "pem" }));
  return {
    ca: readFileSync(file("ca.crt"), "utf8"),
    caFile: file("ca.crt"),
    serverCertFile: server.certFile,
    serverKeyFile: server.keyFile,
    accountKeyFile: file("account.key"),
    accountPublicKeyFile: file("account.pub"),
    client: (user, group, days = 2) =>
      signed(`client-${serial}`, `/O=${group}/CN=${user}`, ["extendedKeyUsage=clientAuth"], days),
  };
}
