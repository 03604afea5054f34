/** When requests are kept from a service, and when one is let through again. The clock stands still unless it is told. */
import { describe, expect, test } from "bun:test";
import { Circuit } from "../../src/rest/circuit.ts";
import { type FailureReason, RestFailure } from "../../src/rest/failure.ts";

class Service {
  nowMs = 1000;
  /** What each attempt was allowed to take. */
  readonly limits: (number | undefined)[] = [];
  readonly circuit = new Circuit(() => this.nowMs);

  /** One request that ends as told; its answer, or the reason why there is none. */
  async ask(end: FailureReason | "answer" | Error, tookMs = 5): Promise<string> {
    const attempt = async (limitMs: number | undefined): Promise<string> => {
      this.limits.push(limitMs);
      this.nowMs += tookMs;
      if (end === "answer") return end;
      throw typeof end === "string" ? new RestFailure(end, "for the test") : end;
    };
    try {
      return await this.circuit.guard(attempt);
    } catch (error) {
      return error instanceof RestFailure ? error.reason : String(error);
    }
  }

  async askTimes(times: number, end: FailureReason | "answer", tookMs?: number): Promise<string[]> {
    const reasons = [];
    for (let time = 0; time < times; time++) reasons.push(await this.ask(end, tookMs));
    return reasons;
  }
}

async function openCircuit(): Promise<Service> {
  const service = new Service();
  await service.askTimes(3, "timeout");
  return service;
}

describe("a closed circuit", () => {
  test.each(["timeout", "connect", "tls"] as const)(
    "opens after three failures in a row: %s",
    async (end) => {
      const service = new Service();
      expect(await service.askTimes(5, end)).toEqual([end, end, end, "circuit_open", "circuit_open"]);
      expect(service.limits).toEqual([undefined, undefined, undefined]);
    },
  );

  test("counts whatever took more than two seconds", async () => {
    const service = new Service();
    expect(await service.askTimes(4, "http_5xx", 2001)).toEqual([
      ...["http_5xx", "http_5xx", "http_5xx"],
      "circuit_open",
    ]);
  });

  test("counts no error that comes within two seconds", async () => {
    const service = new Service();
    expect(new Set(await service.askTimes(10, "http_5xx", 2000))).toEqual(new Set(["http_5xx"]));
  });

  test.each(["answer", "unauthorized"] as const)("counts from one again after a quick %s", async (end) => {
    const service = new Service();
    await service.askTimes(2, "timeout");
    await service.ask(end);
    expect(await service.askTimes(4, "connect")).toEqual(["connect", "connect", "connect", "circuit_open"]);
  });

  test("takes credentials that cannot be used, and whoever gives up, for no sign of either", async () => {
    const service = new Service();
    await service.askTimes(2, "timeout");
    await service.ask("credentials");
    await service.ask(new Error("the scrape is over"), 9000);
    await service.ask("timeout");
    expect(await service.ask("answer")).toBe("circuit_open");
  });

  test("opens once for requests that fail beside each other", async () => {
    const { circuit } = new Service();
    const fail = () => circuit.guard(() => Promise.reject(new RestFailure("timeout", "for the test")));
    await Promise.allSettled(Array.from({ length: 7 }, fail));
    expect(circuit.openForMs).toBe(60_000);
  });
});

describe("an open circuit", () => {
  test("lets nothing through for a minute, and tells how long that is", async () => {
    const service = await openCircuit();
    expect(service.circuit.openForMs).toBe(60_000);
    service.nowMs += 59_999;
    expect(await service.ask("answer")).toBe("circuit_open");
    expect(service.limits).toHaveLength(3);
    expect(service.circuit.openForMs).toBe(1);
  });

  test("says in its failure when the next request is sent", async () => {
    const { circuit } = await openCircuit();
    const failure = await circuit.guard(async () => "answer").catch((error: unknown) => error);
    expect(failure).toHaveProperty(
      "message",
      "no request is sent after 3 failures in a row; the next one is sent in 60 s",
    );
  });

  test("then sends one probe of at most six seconds, while others stay away", async () => {
    const service = await openCircuit();
    service.nowMs += 60_000;
    const { promise, resolve } = Promise.withResolvers<string>();
    const limits: (number | undefined)[] = [];
    const probe = service.circuit.guard((limitMs) => {
      limits.push(limitMs);
      return promise;
    });
    expect(await service.ask("answer")).toBe("circuit_open");
    expect(service.circuit.openForMs).toBe(0);
    resolve("answer of the probe");
    expect(await probe).toBe("answer of the probe");
    expect(limits).toEqual([6000]);
    expect(await service.ask("answer")).toBe("answer");
    expect(service.circuit.openForMs).toBeUndefined();
  });

  test("stays open for twice as long after each probe that fails, five minutes at most", async () => {
    const service = await openCircuit();
    const openings = [];
    for (let probe = 0; probe < 4; probe++) {
      service.nowMs += service.circuit.openForMs ?? 0;
      await service.ask("timeout", 6000);
      openings.push(service.circuit.openForMs);
    }
    expect(openings).toEqual([120_000, 240_000, 300_000, 300_000]);
  });

  test("begins with a minute again after it was closed", async () => {
    const service = await openCircuit();
    service.nowMs += 60_000;
    await service.ask("timeout");
    service.nowMs += 120_000;
    await service.ask("answer");
    await service.askTimes(3, "timeout");
    expect(service.circuit.openForMs).toBe(60_000);
  });

  test("closes when the probe gets an error quickly: the next ones are not waited for", async () => {
    const service = await openCircuit();
    service.nowMs += 60_000;
    expect(await service.ask("unauthorized")).toBe("unauthorized");
    expect(await service.ask("unauthorized")).toBe("unauthorized");
  });

  test.each([
    ["was given up", new Error("the scrape is over")],
    ["was not sent for want of credentials", "credentials"],
  ] as const)("sends another probe at once where the first %s", async (_, end) => {
    const service = await openCircuit();
    service.nowMs += 60_000;
    await service.ask(end);
    expect(await service.ask("answer")).toBe("answer");
    expect(service.limits.slice(3)).toEqual([6000, 6000]);
  });
});
