/**
 * The one description of the web configuration file, in exporter-toolkit's format
 * (https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md). Each message ends the
 * sentence "tls_server_config.min_version …", and none of them repeats a value that may be secret.
 */
import * as v from "valibot";
import { durationMs } from "../config/duration.ts";
import { CIPHER_SUITES, TLS13_CIPHER_SUITES } from "./tls-names.ts";

const oneOf = (values: readonly string[]) => `must be one of ${values.join(", ")}`;

/** As in Go, an empty text is the same as none. */
const text = v.pipe(
  v.string("must be a text"),
  v.transform((given) => (given === "" ? undefined : given)),
);
const flag = v.boolean("must be true or false");
const names = <const Keys extends readonly [string, ...string[]]>(keys: Keys) =>
  v.picklist(keys, oneOf(keys));

const CLIENT_AUTH_TYPES = [
  "NoClientCert",
  "RequestClientCert",
  "RequireAnyClientCert",
  "VerifyClientCertIfGiven",
  "RequireAndVerifyClientCert",
] as const;
export type ClientAuthType = (typeof CLIENT_AUTH_TYPES)[number];

const version = names(["TLS10", "TLS11", "TLS12", "TLS13"]);
const curve = names(["CurveP256", "CurveP384", "CurveP521", "X25519"]);

const cipherSuite = v.pipe(
  v.string("must be a text"),
  v.check(
    (name) => !TLS13_CIPHER_SUITES.includes(name),
    "cannot be chosen: it belongs to TLS 1.3, whose suites are always on; list suites of TLS 1.2 only",
  ),
  v.check((name) => Object.hasOwn(CIPHER_SUITES, name), oneOf(Object.keys(CIPHER_SUITES))),
);

const tlsServerConfig = v.strictObject({
  cert: v.nullish(text),
  key: v.nullish(text),
  client_ca: v.nullish(text),
  cert_file: v.nullish(text),
  key_file: v.nullish(text),
  client_ca_file: v.nullish(text),
  client_auth_type: v.nullish(
    v.union(
      [
        v.picklist(CLIENT_AUTH_TYPES),
        // What exporter-toolkit once called it, and still takes.
        v.pipe(
          v.literal("RequireClientCert"),
          v.transform((): ClientAuthType => "RequireAnyClientCert"),
        ),
        v.pipe(
          v.literal(""),
          v.transform((): ClientAuthType => "NoClientCert"),
        ),
      ],
      oneOf(CLIENT_AUTH_TYPES),
    ),
  ),
  client_allowed_sans: v.nullish(
    v.pipe(
      v.array(v.pipe(v.string("must be a text"), v.nonEmpty("must not be empty")), "must be a list of texts"),
      v.minLength(1, "must name at least one: an empty list would let nobody in"),
    ),
  ),
  min_version: v.nullish(version),
  max_version: v.nullish(version),
  cipher_suites: v.nullish(v.array(cipherSuite, "must be a list of names")),
  prefer_server_cipher_suites: v.nullish(flag),
  curve_preferences: v.nullish(v.array(curve, "must be a list of names")),
});

/** RFC 9110 section 5.5, without what only ancient senders used. */
const headerValue = v.pipe(
  v.string("must be a text"),
  v.regex(/^[\t\x20-\x7e]*$/, "must be one line of printable ASCII"),
);
const headers = v.strictObject({
  "Content-Security-Policy": v.nullish(headerValue),
  "X-Frame-Options": v.nullish(v.picklist(["", "deny", "sameorigin"], "must be deny or sameorigin")),
  "X-Content-Type-Options": v.nullish(v.picklist(["", "nosniff"], "must be nosniff")),
  "X-XSS-Protection": v.nullish(headerValue),
  "Strict-Transport-Security": v.nullish(headerValue),
});

const httpServerConfig = v.strictObject({
  http2: v.nullish(
    v.pipe(
      flag,
      v.literal(
        false,
        "cannot be true: plumbline speaks HTTP/1.1 only, which Prometheus falls back to; set it to false or remove it",
      ),
    ),
  ),
  headers: v.nullish(headers),
});

const BCRYPT = /^\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/;
const basicAuthUsers = v.record(
  v.pipe(v.string(), v.regex(/^[^:]+$/, 'is no user name: it must not be empty nor have a ":"')),
  v.pipe(
    v.string("must be a bcrypt hash"),
    v.regex(BCRYPT, "must be a bcrypt hash ($2a$, $2b$ or $2y$), as `htpasswd -nBC 10 USER` makes it"),
  ),
);

const interval = v.pipe(
  v.union([v.string(), v.number()], "must be a duration such as 1s, 500ms or 0"),
  v.transform((given) => (typeof given === "number" ? (given === 0 ? 0 : undefined) : durationMs(given))),
  v.number("must be a duration with its unit, such as 1s or 500ms, or 0"),
);
const rateLimit = v.strictObject({
  interval: v.nullish(interval),
  burst: v.nullish(
    v.pipe(
      v.number("must be a whole number"),
      v.safeInteger("must be a whole number"),
      v.minValue(0, "must not be negative"),
    ),
  ),
});

export const WebConfigSchema = v.strictObject({
  tls_server_config: v.nullish(tlsServerConfig),
  http_server_config: v.nullish(httpServerConfig),
  rate_limit: v.nullish(rateLimit),
  basic_auth_users: v.nullish(basicAuthUsers),
});
export type WebConfigFile = v.InferOutput<typeof WebConfigSchema>;

/** For the guess at what a mistyped key was meant to be. */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  "": Object.keys(WebConfigSchema.entries),
  tls_server_config: Object.keys(tlsServerConfig.entries),
  http_server_config: Object.keys(httpServerConfig.entries),
  "http_server_config.headers": Object.keys(headers.entries),
  rate_limit: Object.keys(rateLimit.entries),
};

/** Where keys and values stand, and no list. */
export const SECTIONS: readonly (readonly string[])[] = [
  [],
  ["tls_server_config"],
  ["http_server_config"],
  ["http_server_config", "headers"],
  ["rate_limit"],
  ["basic_auth_users"],
];
