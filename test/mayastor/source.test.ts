import { describe, expect, test } from "bun:test";
import type { Settings } from "../../src/config/settings.ts";
import { mayastorAvailability, openMayastor } from "../../src/mayastor/source.ts";
import { availability } from "../../src/scrape/sources.ts";
import { ownMetrics } from "../support/csi-node.ts";
import { MAYASTOR_DEFAULTS } from "../support/mayastor-settings.ts";
import { settingsFor } from "../support/nvme-host.ts";
import { RecordedLog } from "../support/nvme-simulated-host.ts";

const ENDPOINT = "https://mayastor-api-rest:8080/v0";

function settings(
  mayastor: Partial<Settings["mayastor"]>,
  collectors: Settings["collectors"] = { disableDefaults: false, chosen: {} },
): Settings {
  const host = { directory: "/h", sysfs: "/h", devfs: "/h", stateDirectory: "/h", commandLog: "" };
  return { ...settingsFor(host), collectors, mayastor: { ...MAYASTOR_DEFAULTS, ...mayastor } };
}

function opened(mayastor: Partial<Settings["mayastor"]>): RecordedLog {
  const log = new RecordedLog();
  openMayastor(settings(mayastor), ownMetrics(), log).close();
  return log;
}

describe("the collector", () => {
  test("is on where there is an endpoint, and off where there is none", () => {
    expect(mayastorAvailability(settings({ endpoint: ENDPOINT }))).toEqual({
      available: true,
      reason: `mayastor.endpoint is ${ENDPOINT}`,
    });
    expect(mayastorAvailability(settings({}))).toEqual({
      available: false,
      reason: "mayastor.endpoint is not set",
    });
    expect(availability(settings({})).get("mayastor")?.enabled).toBe(false);
    const off = { disableDefaults: false, chosen: { mayastor: false } };
    expect(availability(settings({ endpoint: ENDPOINT }, off)).get("mayastor")?.enabled).toBe(false);
  });

  test("that is switched on without an endpoint stops the start with what is missing", () => {
    expect(() => opened({})).toThrow(
      "the collector mayastor is switched on, but mayastor.endpoint is not set; set it to the address of Mayastor's REST service, such as https://mayastor-api-rest:8080, or leave the collector off",
    );
  });
});

describe("at the start", () => {
  test("nothing is said of a service that is verified", () => {
    expect(opened({ endpoint: ENDPOINT, caFile: "/ca.pem" }).lines).toEqual([]);
  });

  test("there is a warning where any certificate is taken", () => {
    expect(opened({ endpoint: ENDPOINT, insecureSkipVerify: true }).lines).toEqual([
      {
        level: "warn",
        message:
          "whatever certificate Mayastor's REST service shows is taken: whoever is on the way may read and change all",
        fields: {
          collector: "mayastor",
          endpoint: ENDPOINT,
          remedy: "set mayastor.ca_file instead of mayastor.insecure_skip_verify",
        },
      },
    ]);
  });
});
