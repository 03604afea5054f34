/** Answers in the name of Proxmox VE that no file should hold: too large, too slow, or hostile before the body. */
import { gzipSync } from "node:zlib";
import { answer, type Conduct, redirect } from "./hostile-server.ts";

const MIB = 1024 ** 2;

/** More than a client should keep: rows of guests until there are 40 MiB of them. */
export function hugeResources(bytes = 40 * MIB): string {
  const row = (vmid: number) =>
    `{"id":"qemu/${vmid}","type":"qemu","vmid":${vmid},"node":"pve1","status":"running","name":"${"x".repeat(900)}"}`;
  const count = Math.ceil(bytes / row(100_000_000).length);
  return `{"data":[${Array.from({ length: count }, (_, i) => row(100_000_000 + i)).join(",")}]}`;
}

/** Some KB that unpack to 64 MiB of valid JSON. */
export const gzipBomb: Conduct = answer(200, gzipSync(`{"data":[${" ".repeat(64 * MIB)}]}`), {
  "content-type": "application/json",
  "content-encoding": "gzip",
});

/** A guest whose name is a MiB long. */
export const endlessName: string = JSON.stringify({
  data: [{ id: "qemu/100", type: "qemu", vmid: 100, node: "pve1", status: "running", name: "n".repeat(MIB) }],
});

/** A right answer, one byte a second. */
export const byteASecond =
  (body: string): Conduct =>
  (connection) => {
    connection.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`);
    let sent = 0;
    const timer = setInterval(() => connection.write(body[sent++] ?? ""), 1000);
    connection.on("close", () => clearInterval(timer));
  };

/** To where the token must not go. */
export const elsewhere = (origin: string): Conduct => redirect(302, `${origin}/api2/json/cluster/status`);

/** A status line that says what it likes, and its body too. */
export const phrased =
  (status: number, phrase: string): Conduct =>
  (connection) => {
    const body = JSON.stringify({ data: null, message: `${phrase}\n` });
    const head = `HTTP/1.1 ${status} ${phrase}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    connection.write(head + body);
  };

/** The 401 that gives back the whole header it got. */
export const phrasedToken: Conduct = (connection, asked) =>
  phrased(401, `no such token ${asked.headers.get("authorization") ?? ""}`)(connection, asked);

/** What advice must not repeat: escape sequences, shell text, and a path that is none. */
export const HOSTILE_PHRASES: readonly string[] = [
  "Permission check failed (/nodes/\u001b[31mpve1\u001b[0m, Sys.Audit)",
  "Permission check failed (/$(reboot), Sys.Audit)",
  "Permission check failed (/nodes/pve1'; rm -rf / #, Sys.Audit)",
  `Permission check failed (/${"a".repeat(10_000)}, Sys.Audit)`,
  "Permission check failed (/nodes/pve1, Sys.Audit) token=8c1e5f3a-0b7d-4c52-9e64-2f0a7d3b9c18",
];
