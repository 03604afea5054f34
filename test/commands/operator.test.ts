/** `plumbline operator` as a process of its own. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { LEASE } from "../../src/kubernetes/object.ts";
import { Bed, eventually, NAMESPACE, plumbline } from "../kubernetes/operating.ts";
import { HostileServer, silence } from "../support/hostile-server.ts";
import { type Process, watch } from "../support/processes.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

const operate = (bed: Bed): Process =>
  watch([
    process.execPath,
    MAIN,
    "operator",
    `--kubeconfig=${bed.api.kubeconfig}`,
    `--namespace=${NAMESPACE}`,
    "--metrics.listen-address=127.0.0.1:0",
    "--health.listen-address=127.0.0.1:0",
  ]);

test("that is told to stop while API server, exporters and a scrape hang ends within 5 s", async () => {
  await using exporter = await HostileServer.start(silence);
  await using bed = await Bed.start({ podIp: () => "127.0.0.1" });
  bed.api.put(plumbline({ config: { web: { listen_addresses: [`:${exporter.port}`] } } }));
  await using operator = operate(bed);
  const address = await operator.line(/msg=listening address=(\S+)/);
  await bed.settled();
  const scrape = fetch(`${address}/metrics`, {
    headers: { "x-prometheus-scrape-timeout-seconds": "60" },
  }).catch(() => {});
  await eventually(() => exporter.asked.length > 0);
  const silent = bed.api.fault({ kind: "silent" }, { resource: LEASE.plural });
  await eventually(() => silent.hits > 0);
  const startedAt = performance.now();
  operator.kill("SIGTERM");
  expect(await operator.exited).toBe(0);
  // With time to spare: all of it is 5 s.
  expect(performance.now() - startedAt).toBeLessThan(4000);
  expect(operator.log()).toContain(
    'msg="cannot give the Lease back; it runs out by itself" err="the API server did not answer in time" reason=timeout',
  );
  await scrape;
}, 30_000);
