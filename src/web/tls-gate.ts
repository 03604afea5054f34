/** TLS as the web configuration file wants it: what the handshake is made with, and who may come in. */
import type { TLSSocket, TlsOptions } from "node:tls";
import type { FaultLog } from "../log/faults.ts";
import type { TlsGate } from "../runtime/index.ts";
import { canonicalIp, subjectAlternativeNames } from "./subject-alternative-names.ts";
import type { TlsSettings, WebConfig } from "./web-config.ts";

/** `config` is asked for each connection and gives the same object as long as nothing has changed. */
export function tlsGate(config: () => WebConfig & { readonly tls: TlsSettings }, faults: FaultLog): TlsGate {
  let made = { from: config(), options: optionsOf(config().tls) };
  return {
    options() {
      const current = config();
      if (current !== made.from) made = { from: current, options: optionsOf(current.tls) };
      return made.options;
    },
    refuse: (socket) => refusal(made.from.tls, socket),
    failed: (reason) => faults.fail("tls", "a TLS connection was refused", { reason }),
  };
}

function optionsOf(tls: TlsSettings): TlsOptions {
  const { cert, key, clientCa, clientAuth, ciphers, curves, minVersion, maxVersion } = tls;
  return {
    cert,
    key,
    ...(clientCa === undefined ? {} : { ca: clientCa }),
    requestCert: clientAuth !== "NoClientCert",
    minVersion,
    maxVersion,
    ...(ciphers === undefined ? {} : { ciphers }),
    honorCipherOrder: tls.preferServerCiphers,
    ...(curves === undefined ? {} : { ecdhCurve: curves }),
    ALPNProtocols: ["http/1.1"],
  };
}

/** Why this client is not let in, or undefined. */
function refusal({ clientAuth, clientAllowedSans }: TlsSettings, socket: TLSSocket): string | undefined {
  if (clientAuth === "NoClientCert" || clientAuth === "RequestClientCert") return undefined;
  // Without a certificate it is an object without members, whatever its type says.
  const { raw: der }: { readonly raw?: Uint8Array } = socket.getPeerCertificate() ?? {};
  if (der === undefined)
    return clientAuth === "VerifyClientCertIfGiven" ? undefined : "the client showed no certificate";
  if (clientAuth !== "RequireAnyClientCert" && !socket.authorized)
    return `the client's certificate is not valid: ${socket.authorizationError}`;
  if (clientAllowedSans === undefined) return undefined;
  const names = subjectAlternativeNames(der);
  const allowed = clientAllowedSans.map(canonicalIp);
  return names.some((name) => allowed.includes(name))
    ? undefined
    : "the client's certificate has none of client_allowed_sans";
}
