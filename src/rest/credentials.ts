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

/** The path of a PEM file, which is read again and again, or what another file holds. */
export type PemSource = string | PemText;

export interface PemText {
  /** For messages: `certificate-authority-data of /root/.kube/config`. */
  readonly origin: string;
  readonly text: string;
}

export interface TlsSources {
  readonly ca?: PemSource | undefined;
  /** Both or neither. */
  readonly cert?: PemSource | undefined;
  readonly key?: PemSource | undefined;
}

type Texts = Pick<ClientTls, "ca" | "cert" | "key">;

export class TlsCredentials {
  readonly #sources: TlsSources;
  #checked: Texts | undefined;

  constructor(sources: TlsSources) {
    this.#sources = sources;
  }

  /**
   * The same object for as long as the files hold the same. Throws RestFailure("credentials") where one of them cannot be
   * read, or is not what it should be.
   */
  read(): Texts {
    const texts = readTexts(this.#sources);
    const { ca, cert, key } = this.#checked ?? {};
    if (this.#checked !== undefined && ca === texts.ca && cert === texts.cert && key === texts.key)
      return this.#checked;
    // Where both change in one step, the first reading may have fallen between the two files.
    const whole = isWhole(texts, this.#sources) ? texts : readTexts(this.#sources);
    if (whole !== texts && !isWhole(whole, this.#sources)) throw mismatch(this.#sources);
    this.#checked = whole;
    return whole;
  }
}

function readTexts({ ca, cert, key }: TlsSources): Texts {
  const read = (what: string, source: PemSource | undefined) =>
    typeof source === "string" ? readText(what, source, MAX_PEM_BYTES) : source?.text;
  return { ca: read("CA", ca), cert: read("certificate", cert), key: read("key", key) };
}

/** False where the key is not the certificate's. Checked here, because Deno ignores what it cannot decode. */
function isWhole({ ca, cert, key }: Texts, sources: TlsSources): boolean {
  if (ca !== undefined) certificates("CA", sources.ca, ca);
  if (cert === undefined || key === undefined) return true;
  const [own] = certificates("certificate", sources.cert, cert);
  try {
    return own?.checkPrivateKey(createPrivateKey(key)) === true;
  } catch {
    throw unusable("key", sources.key, "it holds no private key in PEM without a passphrase");
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function certificates(what: string, source: PemSource | undefined, text: string): X509Certificate[] {
  const found = text.match(CERTIFICATE) ?? [];
  if (found.length === 0) throw unusable(what, source, "it holds no certificate in PEM");
  try {
    return found.map((certificate) => new X509Certificate(certificate));
  } catch {
    throw unusable(what, source, "a certificate in it cannot be decoded");
  }
}

const mismatch = ({ cert, key }: TlsSources): RestFailure =>
  unusable("key", key, `it is not the one of the certificate in ${placeOf(cert)}`);

const placeOf = (source: PemSource | undefined) => (typeof source === "string" ? source : source?.origin);

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

const unusable = (what: string, source: PemSource | undefined, why: string): RestFailure =>
  new RestFailure(
    "credentials",
    `cannot use the ${what} ${typeof source === "string" ? "file" : "in"} ${placeOf(source)}: ${why}`,
  );
