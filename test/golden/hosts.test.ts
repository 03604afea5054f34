/** The whole exposition of whole hosts; fixtures/golden/README.md says what each host shows. */
import { describe, expect, test } from "bun:test";
import type { HostDescription } from "../../src/demo/nvme-host.ts";
import { expectGolden } from "../support/golden.ts";
import { collectOn, withHost } from "../support/nvme-host.ts";
import { MIXED, MULTIPATH, NO_DEVICE, ONE_EBS_VOLUME } from "../support/nvme-hosts.ts";

const HOSTS: Readonly<Record<string, HostDescription>> = {
  "no-device": NO_DEVICE,
  "one-ebs-volume": ONE_EBS_VOLUME,
  "mixed-24-controllers": MIXED,
  multipath: MULTIPATH,
};

describe.each(Object.entries(HOSTS))("host %s", (name, description) => {
  test("gives the exposition of its golden file", async () => {
    await withHost(description, async (host) => {
      const collecting = collectOn(host);
      try {
        expectGolden(`${name}.prom`, await collecting.scrape());
      } finally {
        collecting.close();
      }
    });
  });

  test("gives the same bytes when it is scraped again at once", async () => {
    await withHost(description, async (host) => {
      const collecting = collectOn(host);
      try {
        const first = await collecting.scrape();
        expect(withoutErrors(await collecting.scrape())).toBe(withoutErrors(first));
      } finally {
        collecting.close();
      }
    });
  });
});

test("the OpenMetrics exposition of one EBS volume is that of its golden file", async () => {
  await withHost(ONE_EBS_VOLUME, async (host) => {
    const collecting = collectOn(host);
    try {
      expectGolden("one-ebs-volume.openmetrics", await collecting.scrape("openmetrics"));
    } finally {
      collecting.close();
    }
  });
});

test("the OpenMetrics exposition of an instance store is that of its golden file", async () => {
  const store = MIXED.controllers.filter(({ name }) => name === "nvme8");
  await withHost({ controllers: store }, async (host) => {
    const collecting = collectOn(host);
    try {
      expectGolden("instance-store.openmetrics", await collecting.scrape("openmetrics"));
    } finally {
      collecting.close();
    }
  });
});

/** A fault that lasts is counted again by each scrape: the one thing that moves on a host where nothing does. */
function withoutErrors(exposition: string): string {
  return exposition.replace(/^(plumbline_nvme_device_errors_total\{.*\}) .*$/gm, "$1 N");
}
