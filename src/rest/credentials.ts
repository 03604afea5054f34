/** The token and the certificates that a service is asked with, as their files are at this moment. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { codeOf, reasonOf } from "../host/system-error.ts";
import type { ClientTls } from "../runtime/index.ts";
import { RestFailure } from "./failure.ts";

/** No token or key is larger. */
const MAX_TOKEN_BYTES = 64 * 1024;
/** All authorities that a system knows are 220 kB. */
const MAX_PEM_BYTES = 1024 * 1024;

/** What RFC 6750 lets a bearer token be made of. */
const TOKEN = /^[A-Za-z0-9._~+/=-]+$/;

/** Throws RestFailure("credentials"), which tells of the file and nothing of what it holds. */
export function readToken(path: string): string {
  const token = readText("token", path, MAX_TOKEN_BYTES).trim();
  if (token === "") throw unusable("token", path, "it is empty");
  if (!TOKEN.test(token)) throw unusable("token", path, "it holds what no token may hold");
  return token;
}

export interface TlsFiles {
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
}

/** Throws RestFailure("credentials") where a file cannot be read, or is not what it should be. */
export function readClientTls({
  caFile,
  certFile,
  keyFile,
}: TlsFiles): Omit<ClientTls, "insecureSkipVerify"> {
  const ca = caFile === undefined ? undefined : readCertificates("CA", caFile);
  if (certFile === undefined || keyFile === undefined) return { ca };
  // Where both change in one step, the first reading may have fallen between the two files.
  return {
    ca,
    ...(readPair(certFile, keyFile) ?? readPair(certFile, keyFile) ?? mismatch(certFile, keyFile)),
  };
}

/** Undefined where the one does not belong to the other. */
function readPair(certFile: string, keyFile: string): { cert: string; key: string } | undefined {
  const cert = readCertificates("certificate", certFile);
  const key = readText("key", keyFile, MAX_PEM_BYTES);
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)) ? { cert, key } : undefined;
  } catch {
    throw unusable("key", keyFile, "it holds no private key in PEM without a passphrase");
  }
}

function mismatch(certFile: string, keyFile: string): never {
  throw unusable("key", keyFile, `it is not the one of the certificate in ${certFile}`);
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Checked here, because Deno takes for no certificate what it cannot read. */
function readCertificates(what: string, path: string): string {
  const text = readText(what, path, MAX_PEM_BYTES);
  const certificates = text.match(CERTIFICATE) ?? [];
  try {
    for (const certificate of certificates) new X509Certificate(certificate);
  } catch {
    throw unusable(what, path, "a certificate in it cannot be decoded");
  }
  if (certificates.length === 0) throw unusable(what, path, "it holds no certificate in PEM");
  return text;
}

/** Never waits, as for the writer of a FIFO. */
function readText(what: string, path: string, maxBytes: number): string {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw unusable(what, path, "it is no regular file");
    if (stats.size > maxBytes) throw unusable(what, path, `it is larger than ${maxBytes} bytes`);
    return readFileSync(fd, "utf8");
  } catch (error) {
    if (error instanceof RestFailure) throw error;
    throw unusable(what, path, codeOf(error) === "ENOENT" ? "no such file" : reasonOf(error));
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

const unusable = (what: string, path: string, why: string): RestFailure =>
  new RestFailure("credentials", `cannot use the ${what} file ${path}: ${why}`);
