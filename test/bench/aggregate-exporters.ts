/**
 * Any number of exporters of EBS volumes in one process: whatever address of 127.0.0.0/8 is asked at the port that is
 * printed is one. The path says how it behaves.
 */
const DISKS = 10;
const COUNTERS = 20;

/** 200 series, as those of ten volumes. */
function exposition(node: string): string {
  let text = "";
  for (let family = 0; family < COUNTERS; family++) {
    const name = `ebs_bench_${String(family).padStart(2, "0")}_bytes_total`;
    text += `# HELP ${name} Bytes that a volume counts, of kind ${family}\n# TYPE ${name} counter\n`;
    for (let disk = 0; disk < DISKS; disk++) {
      const labels = `cluster_id="bench",node="${node}",device="/dev/nvme${disk}n1",volume_id="vol-${hex(`${node}/${disk}`)}"`;
      text += `${name}{${labels}} ${family * 1_234_567_891 + disk * 77_003}\n`;
    }
  }
  return text;
}

const hex = (text: string): string => `0${Bun.hash(text).toString(16).padStart(16, "0")}`;

const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
const bodies = new Map<string, Uint8Array<ArrayBuffer>>();
const never = new Promise<Response>(() => {});

const server = Bun.serve({
  hostname: "0.0.0.0",
  port: 0,
  idleTimeout: 255,
  fetch(request) {
    const { hostname, pathname } = new URL(request.url);
    if (pathname === "/silent") return never;
    if (pathname === "/rubbish") return new Response("<html>\n".repeat(1000), { headers });
    let body = bodies.get(hostname);
    if (body === undefined) {
      body = new TextEncoder().encode(exposition(hostname));
      bodies.set(hostname, body);
    }
    return new Response(body, { headers });
  },
});
process.stdout.write(`${server.port}\n`);
process.stdin.resume();
process.stdin.on("end", () => process.exit());
