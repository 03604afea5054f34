/**
 * Real exporters behind the pods of played nodes: each node has a simulated host of its own, with EBS volumes and the
 * CSI volumes that are on them, and a plumbline that reads it and listens at the address of the node's pod.
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildKubelet, mountInfoText, rootMount } from "../../../src/demo/kubelet-tree.ts";
import { ebsVolume } from "../../../src/demo/nvme-devices.ts";
import { buildHost } from "../../../src/demo/nvme-host.ts";
import { documentedBins } from "../../../src/demo/nvme-pages.ts";
import { plumblineBinary } from "../../support/binary.ts";
import { type Process, watch } from "../../support/processes.ts";

export interface Exporter extends AsyncDisposable {
  readonly node: string;
  /** Its answer, asked for without the operator. */
  scrape(): Promise<string>;
  readonly process: Process;
}

const PORT = 9847;
const ANSWER_MS = 10_000;

/** node-3 is at 127.70.3.1: an address of this machine that nobody else has. */
export const podIpOf = ({ node }: { readonly node: string }): string => `127.70.${numberOf(node)}.1`;

export async function startExporter(node: string, ...flags: string[]): Promise<Exporter> {
  // The mount table has paths without symlinks.
  const directory = mkdtempSync(join(realpathSync(tmpdir()), `plumbline-${node}-`));
  const { sysfs, devfs } = buildNode(directory, numberOf(node));
  const origin = `http://${podIpOf({ node })}:${PORT}`;
  const process = watch([
    ...["setpriv", "--pdeathsig", "KILL", await plumblineBinary(), "demo"],
    ...[`--path.sysfs=${sysfs}`, `--path.devfs=${devfs}`, `--node-name=${node}`],
    ...[`--web.listen-address=${podIpOf({ node })}:${PORT}`],
    ...["--collector.disable-defaults", "--collector.ebs", "--collector.nvme", "--collector.csi", ...flags],
  ]);
  const stop = async () => {
    await process[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await process.line(/msg="?listening/);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    node,
    process,
    async scrape() {
      const answer = await fetch(`${origin}/metrics`, { signal: AbortSignal.timeout(ANSWER_MS) });
      return await answer.text();
    },
    [Symbol.asyncDispose]: stop,
  };
}

const numberOf = (node: string): number => Number(/\d+$/.exec(node)?.[0] ?? 0);

/** No two nodes have the same volumes, as many volumes, or the same values. */
function buildNode(directory: string, node: number) {
  const volumes = Array.from({ length: 1 + (node % 3) }, (_, index) => ({
    id: `${node.toString(16).padStart(8, "0")}${index.toString(16).padStart(9, "0")}`,
    name: `nvme${index}`,
    load: node * 1000 + index,
  }));
  const host = buildHost(directory, {
    controllers: volumes.map(({ id, name, load }) =>
      ebsVolume({
        name,
        serial: `vol${id}`,
        sizeBytes: 64n * 1024n ** 3n,
        counters: {
          version: 1,
          readOps: BigInt(3 * load),
          writeOps: BigInt(5 * load),
          readBytes: BigInt(4096 * load),
          writeBytes: BigInt(8192 * load),
          readTimeUs: BigInt(700 * load),
          writeTimeUs: BigInt(900 * load),
          volumeIopsExceededUs: BigInt(11 * load),
          queueLength: BigInt(load % 7),
          readBins: documentedBins({ 9: 2 * load, 10: load }),
          writeBins: documentedBins({ 10: 5 * load }),
        },
      }),
    ),
  });
  const mounts = buildKubelet(
    join(directory, "var/lib/kubelet"),
    volumes.map(({ id, name }, index) => ({
      driver: "ebs.csi.aws.com",
      handle: `vol-${id}`,
      pv: `pvc-${node}-${index}`,
      pods: [`pod-${node}-${index}`],
      staged: true,
      mount: { device: `259:${index}`, source: `/dev/${name}n1` },
    })),
  );
  mkdirSync(join(directory, "proc/self"), { recursive: true });
  writeFileSync(join(directory, "proc/self/mountinfo"), mountInfoText([rootMount("254:0"), ...mounts]));
  return host;
}
