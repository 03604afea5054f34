/** The exporter's own metrics: what it tells about itself beside what it reads. */
import { counter, type Descriptor, gauge, histogram, summary } from "./descriptor.ts";

export const BUILD_INFO = gauge(
  "plumbline_build_info",
  "Always 1; the labels name the version, the commit it was built from, and the runtime",
  ["version", "revision", "runtime", "runtime_version"],
);

export const COLLECTOR_SUCCESS = gauge(
  "plumbline_collector_success",
  "Whether the collector read its source in this scrape: 1, or 0 if it failed or was late",
  ["collector"],
);

export const COLLECTOR_DURATION_SECONDS = gauge(
  "plumbline_collector_duration_seconds",
  "Seconds that the collector took in this scrape",
  ["collector"],
);

export const COLLECTOR_TIMEOUT_TOTAL = counter(
  "plumbline_collector_timeout_total",
  "Scrapes in which the collector was not done at the deadline",
  ["collector"],
);

export const SCRAPES_TOTAL = counter("plumbline_scrapes_total", "Answers to scrapes, by HTTP status code", [
  "code",
]);

export const SCRAPE_DURATION_SECONDS = histogram(
  "plumbline_scrape_duration_seconds",
  "Seconds from a scrape's request to its answer",
  [],
);

export const SCRAPE_DURATION_BUCKETS: readonly number[] = [
  0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

export const DUPLICATE_SERIES_TOTAL = counter(
  "plumbline_duplicate_series_total",
  "Series left out of an answer because the same series was already in it",
  [],
);

export const CONFIG_LAST_RELOAD_SUCCESSFUL = gauge(
  "plumbline_config_last_reload_successful",
  "Whether the last attempt to load the configuration succeeded: 1, or 0",
  [],
);

export const CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS = gauge(
  "plumbline_config_last_reload_success_timestamp_seconds",
  "Unix time of the last successful load of the configuration in seconds",
  [],
);

export const TEXTFILE_LAST_COLLECTION_TIMESTAMP_SECONDS = gauge(
  "plumbline_textfile_last_collection_timestamp_seconds",
  "Unix time at which this file's metrics were collected in seconds",
  [],
);

export const PROCESS_CPU_SECONDS_TOTAL = counter(
  "process_cpu_seconds_total",
  "User and system CPU time that the process has spent in seconds",
  [],
);

export const PROCESS_RESIDENT_MEMORY_BYTES = gauge(
  "process_resident_memory_bytes",
  "Resident memory of the process in bytes",
  [],
);

export const PROCESS_VIRTUAL_MEMORY_BYTES = gauge(
  "process_virtual_memory_bytes",
  "Virtual memory of the process in bytes",
  [],
);

export const PROCESS_OPEN_FDS = gauge("process_open_fds", "File descriptors that the process has open", []);

export const PROCESS_MAX_FDS = gauge(
  "process_max_fds",
  "File descriptors that the process may have open at most",
  [],
);

export const PROCESS_START_TIME_SECONDS = gauge(
  "process_start_time_seconds",
  "Unix time at which the process started in seconds",
  [],
);

/** What prometheus-pve-exporter tells about itself, in its words; only where /pve has a module to log in with. */
export const PVE_COLLECTION_DURATION_SECONDS = summary(
  "pve_collection_duration_seconds",
  "Duration of collections by the PVE exporter",
  ["module"],
);

export const PVE_REQUEST_ERRORS_TOTAL = counter(
  "pve_request_errors_total",
  "Errors in requests to PVE exporter",
  ["module"],
);

export const PVE_SCRAPE_API_DURATION_SECONDS = histogram(
  "pve_scrape_api_duration_seconds",
  "Duration of PVE API calls",
  ["method", "url"],
);

export const PVE_SCRAPE_API_ERRORS_TOTAL = counter(
  "pve_scrape_api_errors_total",
  "Number of errors occured in PVE API calls",
  ["method", "url"],
);

export const PVE_SCRAPE_TARGET_DURATION_SECONDS = histogram(
  "pve_scrape_target_duration_seconds",
  "Duration of a scrape",
  ["target", "cluster", "node"],
);

export const PVE_SCRAPE_TARGET_ERRORS_TOTAL = counter(
  "pve_scrape_target_errors_total",
  "Number of errors occured when scraping a target",
  ["target", "cluster", "node"],
);

export const PVE_API_BUCKETS: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];

export const PVE_TARGET_BUCKETS: readonly number[] = PVE_API_BUCKETS.map(
  (bound) => Math.round(bound * 10_000) / 1000,
);

export const OWN_DESCRIPTORS: readonly Descriptor[] = [
  BUILD_INFO,
  COLLECTOR_SUCCESS,
  COLLECTOR_DURATION_SECONDS,
  COLLECTOR_TIMEOUT_TOTAL,
  SCRAPES_TOTAL,
  SCRAPE_DURATION_SECONDS,
  DUPLICATE_SERIES_TOTAL,
  CONFIG_LAST_RELOAD_SUCCESSFUL,
  CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS,
  TEXTFILE_LAST_COLLECTION_TIMESTAMP_SECONDS,
  PVE_COLLECTION_DURATION_SECONDS,
  PVE_REQUEST_ERRORS_TOTAL,
  PVE_SCRAPE_API_DURATION_SECONDS,
  PVE_SCRAPE_API_ERRORS_TOTAL,
  PVE_SCRAPE_TARGET_DURATION_SECONDS,
  PVE_SCRAPE_TARGET_ERRORS_TOTAL,
  PROCESS_CPU_SECONDS_TOTAL,
  PROCESS_RESIDENT_MEMORY_BYTES,
  PROCESS_VIRTUAL_MEMORY_BYTES,
  PROCESS_OPEN_FDS,
  PROCESS_MAX_FDS,
  PROCESS_START_TIME_SECONDS,
];
