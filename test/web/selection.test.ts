import { expect, test } from "bun:test";
import { selectCollectors } from "../../src/web/selection.ts";

test("a collector on demand can be named, and what is left without another does not hold it", () => {
  const chosen = (query: string) =>
    selectCollectors(`http://localhost/metrics?${query}`, ["nvme", "ebs"], ["nvme", "ebs", "pve-storage"]);
  expect(chosen("collect[]=storage")).toEqual({ only: ["pve-storage"] });
  expect(chosen("exclude[]=ebs")).toEqual({ only: ["nvme"] });
  expect(chosen("exclude[]=storage")).toEqual({ only: ["nvme", "ebs"] });
  expect(chosen("")).toEqual({});
});

test("collectors of Proxmox VE are chosen by their names without pve- too, as in flags", () => {
  const names = ["nvme", "pve-status", "pve-config"];
  const chosen = (query: string) => selectCollectors(`http://localhost/metrics?${query}`, names);
  expect(chosen("collect[]=config&collect[]=nvme&collect[]=pve-config")).toEqual({
    only: ["nvme", "pve-config"],
  });
  expect(chosen("exclude[]=config")).toEqual({ only: ["nvme", "pve-status"] });
  expect(chosen("collect[]=pve-nvme")).toHaveProperty("problem");
});
