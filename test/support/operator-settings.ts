/** The operator's settings where nobody set any. */
import { hostname } from "node:os";
import type { Settings } from "../../src/config/settings.ts";

export const NO_OPERATOR: Settings["operator"] = {
  kubeconfig: undefined,
  namespace: undefined,
  identity: hostname(),
  leaderElect: true,
  image: undefined,
  metricsListenAddresses: [":8383"],
  metricsConfigFile: undefined,
  healthListenAddresses: [":8081"],
};
