/** Codes of errors and what is said of them; servers that bring each of them about are in the other tests. */
import { expect, test } from "bun:test";
import { unanswered } from "../../src/rest/unanswered.ts";

const URL_PATH = "https://rest:8080/v0/nodes";
const failed = (code: string): Error => Object.assign(new Error("planted ?query"), { code });

test.each([
  ["EAI_AGAIN", "connect", "the name server does not answer"],
  ["EHOSTUNREACH", "connect", "no route to host"],
  ["E_OF_TOMORROW", "connect", "no connection"],
  ["CERT_NOT_YET_VALID", "tls", "its certificate is not valid yet"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "tls", "an authority that is not trusted"],
  ["CERT_SIGNATURE_FAILURE", "tls", "the handshake failed"],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "tls", "it does not trust the client certificate"],
  ["ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", "tls", "the handshake failed"],
  ["EPROTO", "tls", "the handshake failed"],
])("%s is %s: %s", (code, reason, words) => {
  const { reason: told, message } = unanswered(failed(code), URL_PATH, false);
  expect<string>(told).toBe(reason);
  expect(message).toEndWith(words);
  expect(message).toContain(URL_PATH);
  expect(message).not.toContain("planted");
});

test("of several addresses the first tells why", () => {
  const errors = [failed("ECONNREFUSED"), failed("ENETUNREACH")];
  expect(unanswered(new AggregateError(errors), URL_PATH, false).message).toEndWith("connection refused");
});

test("what the runtime does not permit is no permission", () => {
  const refused = Object.assign(new Error("Requires net access"), { name: "NotCapable" });
  expect(unanswered(refused, URL_PATH, false).message).toEndWith("permission denied");
});

test("what has no code is no connection", () => {
  for (const thrown of [undefined, null, "planted", new Error("planted"), new AggregateError([])])
    expect(unanswered(thrown, URL_PATH, false).message).toBe(`cannot reach ${URL_PATH}: no connection`);
});
