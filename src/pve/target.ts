/** What is asked: clusters of plumbline's configuration, and hosts that a caller of /pve names. All of it already validated. */
export { NO_PVE, type PveModule, type PveSettings, type PveTarget } from "../config/pve.ts";
