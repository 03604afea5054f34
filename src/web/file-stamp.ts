/** What tells one state of a file from the next without reading it. */
import { statSync } from "node:fs";

/** Changes whenever the file is written, replaced, or renamed over; also behind a symbolic link, as Kubernetes does it. */
export function fileStamp(file: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch {
    return "absent";
  }
}
