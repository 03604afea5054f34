/**
 * The web configuration file (`--web.config.file`) in exporter-toolkit's format: TLS, client certificates, basic
 * auth, response headers, rate limit.
 */

/** The file as validated, with certificates and keys read. */
export interface WebConfig {
  readonly file: string;
}

/** Wrong content of the web configuration file; the message is for the user and names the file. */
export class WebConfigError extends Error {
  override readonly name = "WebConfigError";
}

/** Reads, validates and loads all that the file names. Throws `WebConfigError`. `check` uses it too. */
export function loadWebConfig(_file: string): WebConfig {
  throw new WebConfigError("not written yet");
}
