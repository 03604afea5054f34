/** UUIDs of what does not exist: the same name has the same one each time. */
import { createHash } from "node:crypto";

export function uuidOf(name: string): string {
  const hexadecimal = createHash("sha256").update(name).digest("hex");
  return [
    hexadecimal.slice(0, 8),
    hexadecimal.slice(8, 12),
    `4${hexadecimal.slice(13, 16)}`,
    `8${hexadecimal.slice(17, 20)}`,
    hexadecimal.slice(20, 32),
  ].join("-");
}
