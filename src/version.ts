/** What this program is: the version from package.json and the commit it was built from. */
import manifest from "../package.json" with { type: "json" };

/** Put in place by `bun build --define`; sources that run unbuilt do not know their commit. */
declare const PLUMBLINE_REVISION: string | undefined;

export const VERSION: string = manifest.version;
export const REVISION: string = typeof PLUMBLINE_REVISION === "string" ? PLUMBLINE_REVISION : "unknown";
