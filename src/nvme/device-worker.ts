/** The Worker that asks real NVMe controllers. */
import { libcKernel } from "./kernel-libc.ts";
import { serveCommands } from "./worker.ts";

serveCommands(libcKernel());
