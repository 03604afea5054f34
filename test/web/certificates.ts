/** Certificates made with openssl when the tests run: a CA, what it signed, and what it did not. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Identity {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  readonly directory: string;
  readonly ca: Identity;
  /** For localhost and 127.0.0.1. */
  readonly server: Identity;
  /** What the server's certificate is renewed with. */
  readonly renewed: Identity;
  /** SANs: DNS:prometheus.example, email:ops@example.com, URI:spiffe://example/a,b, IP:192.0.2.7, IP:2001:db8::1 */
  readonly client: Identity;
  /** Signed by another CA, with the client's DNS name. */
  readonly stranger: Identity;
  readonly expired: Identity;
}

/** A comma inside a name: the text that runtimes make of all names could not be taken apart again. */
const CLIENT_NAMES = `subjectAltName=@names
[names]
DNS.1=prometheus.example
email.1=ops@example.com
URI.1=spiffe://example/a,b
IP.1=192.0.2.7
IP.2=2001:db8::1
`;

const openssl = (...args: string[]): void => void execFileSync("openssl", args, { stdio: "pipe" });

export function makeCertificates(): Certificates {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-tls-"));
  const file = (name: string) => join(directory, name);
  const identity = (name: string): Identity => ({
    certFile: file(`${name}.pem`),
    keyFile: file(`${name}.key`),
    cert: readFileSync(file(`${name}.pem`), "utf8"),
    key: readFileSync(file(`${name}.key`), "utf8"),
  });
  const newKey = (name: string) => [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-keyout",
    file(`${name}.key`),
  ];
  const authority = (name: string): Identity => {
    openssl(
      "req",
      "-x509",
      ...newKey(name),
      "-out",
      file(`${name}.pem`),
      "-days",
      "30",
      "-subj",
      `/CN=${name}`,
    );
    return identity(name);
  };
  const signed = (name: string, by: Identity, extensions: string, days = "30"): Identity => {
    openssl("req", ...newKey(name), "-out", file(`${name}.csr`), "-subj", `/CN=${name}`);
    writeFileSync(file(`${name}.ext`), extensions);
    openssl(
      ...["x509", "-req", "-in", file(`${name}.csr`), "-CA", by.certFile, "-CAkey", by.keyFile],
      ...[
        "-set_serial",
        String(serial++),
        "-days",
        days,
        "-out",
        file(`${name}.pem`),
        "-extfile",
        file(`${name}.ext`),
      ],
    );
    return identity(name);
  };
  let serial = 1;
  const ca = authority("ca");
  const otherCa = authority("other-ca");
  const local = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
  return {
    directory,
    ca,
    server: signed("server", ca, local),
    renewed: signed("renewed", ca, local),
    client: signed("client", ca, CLIENT_NAMES),
    stranger: signed("stranger", otherCa, "subjectAltName=DNS:prometheus.example\n"),
    expired: signed("expired", ca, "subjectAltName=DNS:prometheus.example\n", "-1"),
  };
}
