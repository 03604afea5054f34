/** What this program is, as the metric plumbline_build_info tells it. */
import type { BuildInfo } from "../metrics/own.ts";
import { name as runtime, version as runtimeVersion } from "../runtime/index.ts";
import { REVISION, VERSION } from "../version.ts";

export const BUILD: BuildInfo = { version: VERSION, revision: REVISION, runtime, runtimeVersion };
