/** `settings.mayastor` as it is where nobody set anything. */
import type { Settings } from "../../src/config/settings.ts";

export const MAYASTOR_DEFAULTS: Settings["mayastor"] = {
  endpoint: undefined,
  timeoutMs: 10_000,
  nodeName: undefined,
  tokenFile: undefined,
  allowPlaintextToken: false,
  caFile: undefined,
  certFile: undefined,
  keyFile: undefined,
  insecureSkipVerify: false,
  resources: ["nodes"],
  officialPoolNames: true,
  ignoreNodes: [],
};
