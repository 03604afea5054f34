/** Why no answer came, from the code of the error: its own text is another in each runtime, and may hold a query. */
import { codeOf } from "../host/system-error.ts";
import { FINGERPRINT_MISMATCH } from "../runtime/index.ts";
import { RestFailure } from "./failure.ts";

/** What is wrong with the server's certificate, or with the handshake; the names are those of OpenSSL and of Node. */
const TLS: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is signed by nobody who is trusted",
  UNABLE_TO_GET_ISSUER_CERT: "its certificate is signed by nobody who is trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is signed by nobody who is trusted",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is signed by itself",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is signed by an authority that is not trusted",
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  HOSTNAME_MISMATCH: "its certificate is for another name",
  [FINGERPRINT_MISMATCH]: "its certificate has another fingerprint than the configured one",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS on this port",
  ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED: "it wants a client certificate",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "it wants a client certificate",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: "it does not trust the client certificate",
};
const OTHER_TLS = /^(?:ERR_TLS_|UNABLE_TO_|CRL_|INVALID_CA$|EPROTO$)|CERT|SSL/;

const CONNECT: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection was closed before an answer came",
  EPIPE: "the connection was closed before an answer came",
  ERR_SOCKET_CLOSED: "the connection was closed before an answer came",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name server does not answer",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ETIMEDOUT: "the connection timed out",
  EACCES: "permission denied",
};

const CLOSED: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ERR_SOCKET_CLOSED"]);

/** `showsCertificate`: of the client; some servers close the connection without a word if they do not like it. */
export function unanswered(error: unknown, where: string, showsCertificate: boolean): RestFailure {
  const code = codeOf(causeOf(error)) ?? "";
  if (code === "HPE_HEADER_OVERFLOW")
    return new RestFailure("too_large", `the head of the answer of ${where} is too large`);
  if (code.startsWith("HPE_")) return new RestFailure("bad_body", `the answer of ${where} is not HTTP`);
  if (code in TLS || OTHER_TLS.test(code))
    return new RestFailure("tls", `no TLS connection for ${where}: ${TLS[code] ?? "the handshake failed"}`);
  if (showsCertificate && CLOSED.has(code)) {
    const why = "it closed the connection without a word, as some do that refuse the client certificate";
    return new RestFailure("tls", `no TLS connection for ${where}: ${why}`);
  }
  return new RestFailure("connect", `cannot reach ${where}: ${CONNECT[code] ?? "no connection"}`);
}

/** Of several addresses that were tried, the error of the first. */
const causeOf = (error: unknown): unknown =>
  error instanceof AggregateError && codeOf(error) === undefined ? error.errors[0] : error;
