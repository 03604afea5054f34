/** Builds the block devices of a /sys in a directory: the builder of the demo's own. */
export { type BlockDevice, buildBlockDevices } from "../../src/demo/block-devices.ts";
