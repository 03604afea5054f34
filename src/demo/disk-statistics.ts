/** `/proc/diskstats` of a simulated host, from which node_exporter has its node_disk_*: Documentation/admin-guide/iostats.rst. */

export interface DiskLoad {
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly bytesEach: number;
}

export interface Disk {
  readonly name: string;
  /** `major:minor` */
  readonly dev: string;
  /** Undefined for one that is idle. */
  readonly load: DiskLoad | undefined;
  /** For how long it has had its load. */
  readonly seconds: number;
}

const SECTOR_BYTES = 512;
/** What an I/O takes, and how many run at a time. */
const MS_EACH = 0.4;
const AT_A_TIME = 4;

export function diskStatistics(disks: readonly Disk[]): string {
  return disks.map((disk) => `${line(disk)}\n`).join("");
}

function line({ name, dev, load, seconds }: Disk): string {
  const { readsPerSecond = 0, writesPerSecond = 0, bytesEach = 0 } = load ?? {};
  const reads = Math.floor(readsPerSecond * seconds);
  const writes = Math.floor(writesPerSecond * seconds);
  const sectorsEach = bytesEach / SECTOR_BYTES;
  const weightedMs = Math.floor((reads + writes) * MS_EACH);
  const fields = [
    ...dev.split(":"),
    name,
    ...[reads, 0, reads * sectorsEach, Math.floor(reads * MS_EACH)],
    ...[writes, 0, writes * sectorsEach, Math.floor(writes * MS_EACH)],
    ...[0, Math.floor(weightedMs / AT_A_TIME), weightedMs],
    // Discards and flushes.
    ...[0, 0, 0, 0, 0, 0],
  ];
  return fields.join(" ");
}
