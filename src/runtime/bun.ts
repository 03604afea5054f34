/** Bun's half of the seam. */
import type { ServePlain } from "./serve.ts";

export const servePlain: ServePlain = () => Promise.reject(new Error("not written yet"));
