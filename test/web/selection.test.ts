import { expect, test } from "bun:test";
import { selectCollectors } from "../../src/web/selection.ts";

test("collectors of Proxmox VE are chosen by their names without pve- too, as in flags", () => {
  const names = ["nvme", "pve-status", "pve-config"];
  const chosen = (query: string) => selectCollectors(`http://localhost/metrics?${query}`, names);
  expect(chosen("collect[]=config&collect[]=nvme&collect[]=pve-config")).toEqual({
    only: ["nvme", "pve-config"],
  });
  expect(chosen("exclude[]=config")).toEqual({ only: ["nvme", "pve-status"] });
  expect(chosen("collect[]=pve-nvme")).toHaveProperty("problem");
});
