/** Records of a slow reading that could not be used: told again in each scrape that the reading goes out with. */
import type { Report } from "./contract.ts";

export class InvalidCount implements Pick<Report, "lose"> {
  count = 0;

  lose(_reason: "invalid", count = 1): void {
    this.count += count;
  }
}
