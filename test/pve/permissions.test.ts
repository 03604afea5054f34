/** What one may do, as /access/permissions says it: the deepest path that is listed decides. */
import { describe, expect, test } from "bun:test";
import { PveFailure } from "../../src/pve/failure.ts";
import { Permissions } from "../../src/pve/permissions.ts";
import { pveFixture } from "../support/pve-fixtures.ts";

describe("Permissions", () => {
  const permissions = new Permissions(pveFixture("others/permissions"));

  test.each([
    ["what is held on the path itself", "Sys.Audit", "/", true],
    ["what is inherited from above", "Sys.Audit", "/nodes/pve1", true],
    ["a deeper path replaces what it would inherit", "Sys.Audit", "/storage/pbs", false],
    ["held on the path, and not below it", "Datastore.AllocateSpace", "/storage/pbs", true],
    ["not handed down", "Datastore.AllocateSpace", "/storage/pbs/deeper", false],
    ["1 as a text", "VM.Audit", "/vms/100", true],
    ["held nowhere", "VM.Backup", "/vms/100", false],
    ["a privilege with the name of something else", "constructor", "/", false],
  ])("%s", (_what, privilege, path, allowed) => {
    expect(permissions.allows(privilege, path)).toBe(allowed);
  });

  test("a path has an entry where it gives something else than /", () => {
    const everywhere = { "Sys.Audit": 1, "VM.Audit": 1 };
    const listed = {
      "/": everywhere,
      "/nodes": { "VM.Audit": 0, "Sys.Audit": 1 },
      "/storage/pbs": { "VM.Audit": 1 },
    };
    expect(new Permissions(listed).paths).toEqual(["/storage/pbs"]);
  });

  test("nothing is allowed where nothing is said", () => {
    expect(new Permissions({}).allows("Sys.Audit", "/nodes/pve1")).toBe(false);
    expect(new Permissions({ "/": "Sys.Audit" }).allows("Sys.Audit", "/")).toBe(false);
  });

  test("an answer that is no object is invalid", () => {
    expect(() => new Permissions([])).toThrow(PveFailure);
  });
});
