/** What the web configuration file puts before every answer: the rate limit, basic auth, and headers. */
import type { Handle } from "../runtime/index.ts";
import { BasicAuth } from "./basic-auth.ts";
import { line } from "./line.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { WebConfig } from "./web-config.ts";

/** `config` is asked for each request and gives the same object as long as nothing has changed. */
export function guard(config: () => WebConfig, handle: Handle): Handle {
  let rules = rulesOf(config());
  return async (request) => {
    const current = config();
    if (current !== rules.config) rules = rulesOf(current, rules);
    const { headers } = rules.config;
    const response = (await refusal(rules, request)) ?? (await handle(request));
    for (const [name, value] of headers) response.headers.set(name, value);
    return response;
  };
}

interface Rules {
  readonly config: WebConfig;
  readonly auth: BasicAuth | undefined;
  readonly bucket: TokenBucket | undefined;
}

function rulesOf(config: WebConfig, before?: Rules): Rules {
  const { rateLimit, users } = config;
  const sameLimit =
    rateLimit?.intervalMs === before?.config.rateLimit?.intervalMs &&
    rateLimit?.burst === before?.config.rateLimit?.burst;
  return {
    config,
    auth: users.size > 0 ? new BasicAuth(users) : undefined,
    bucket:
      sameLimit && before
        ? before.bucket
        : rateLimit && new TokenBucket(rateLimit.intervalMs, rateLimit.burst),
  };
}

async function refusal({ auth, bucket }: Rules, request: Request): Promise<Response | undefined> {
  if (bucket?.take() === false)
    return line(429, "too many requests", { "retry-after": String(Math.ceil(bucket.waitMs / 1000)) });
  switch (await auth?.check(request.headers.get("authorization"))) {
    case "denied":
      return line(401, "unauthorized", { "www-authenticate": 'Basic realm="plumbline", charset="UTF-8"' });
    case "busy":
      return line(503, "too many logins are being checked", { "retry-after": "5" });
    default:
      return undefined;
  }
}
