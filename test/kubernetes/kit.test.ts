/** The API server of the test kit behaves as a real one does; the same list is shown on a real one in test/e2e. */
import { afterAll, beforeAll, describe, test } from "bun:test";
import { BEHAVIOURS, show } from "../support/kubernetes-api/conformance.ts";
import { type FakeKubernetes, startKubernetesApi } from "../support/kubernetes-api/start.ts";

describe("the kit's API server", () => {
  let kubernetes: FakeKubernetes;
  beforeAll(async () => {
    kubernetes = await startKubernetesApi();
  });
  afterAll(() => kubernetes[Symbol.asyncDispose]());

  test.each(BEHAVIOURS.map((behaviour): [string, typeof behaviour] => [behaviour.name, behaviour]))(
    "%s",
    async (_, behaviour) => {
      const { server, ca, token } = kubernetes;
      const tokenFor = async (rules: Parameters<FakeKubernetes["account"]>[2], namespace: string) =>
        kubernetes.account(crypto.randomUUID(), namespace, rules).token;
      await show(behaviour, { server, ca, token, tokenFor });
    },
    40_000,
  );
});
