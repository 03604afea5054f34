/** The Worker of a simulated host: the same loop as for real devices, in front of recordings. */
import { serveCommands } from "../nvme/worker.ts";
import { simulatedKernel } from "./nvme-kernel.ts";

serveCommands(simulatedKernel());
