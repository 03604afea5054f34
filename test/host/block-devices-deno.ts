/** Run by `block-devices.test.ts` under Deno: what is below a device of a /sys, as JSON, before and after two refreshes. */
import process from "node:process";
import { BlockDevices } from "../../src/host/block-devices.ts";

const [sysfs = "", device = "", number = ""] = process.argv.slice(2);
const devices = new BlockDevices(sysfs);
const answer = () => ({ name: devices.nameOf(number), backing: devices.backing(device) });
const before = answer();
const generations = [devices.refresh(), devices.refresh()];
process.stdout.write(JSON.stringify({ before, after: answer(), generations }));
