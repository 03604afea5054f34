/** Addresses of REST services, as people write them. */

/**
 * `https://host:port/v0` of `https://host:port`, `https://host:port/` and `https://host:port/v0/`, where `version` is
 * `v0`; undefined where it is no http or https address, or has a user, a password, a query or a fragment.
 */
export function restEndpoint(text: string, version: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:\/\/[^/\\?#@\s]+(?:\/[^?#@\s]*)?$/i.test(text)) return undefined;
  const path = url.pathname.replace(/\/+$/, "");
  return `${url.origin}${path.endsWith(`/${version}`) ? path : `${path}/${version}`}`;
}
