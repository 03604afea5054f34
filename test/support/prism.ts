/**
 * Prism, an OpenAPI server that is none of ours, in a process of its own. It knows nothing but the description of
 * Mayastor's API: it refuses requests that the description does not allow, and makes up answers that it does.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { ROOT } from "../../.ci/build.ts";
import { freePort } from "./ports.ts";

/** As much of an OpenAPI document as is changed here. */
const DESCRIPTION = v.looseObject({
  servers: v.tuple([v.object({ url: v.string() })]),
  paths: v.record(v.string(), v.unknown()),
  components: v.looseObject({
    schemas: v.objectWithRest(
      { Volumes: v.looseObject({ properties: v.record(v.string(), v.unknown()) }) },
      v.unknown(),
    ),
  }),
});

export interface Prism extends AsyncDisposable {
  readonly origin: string;
  /** What it said so far, with each violation of the description. */
  log(): string;
}

/** Answers from the description alone, with made-up values: the same for the same request and seed. */
export const mock = (seed: string, { paging }: { readonly paging: boolean }): Promise<Prism> =>
  start("mock", describe({ paging }), ["--dynamic", `--seed=${seed}`]);

/** Passes requests on to `upstream`, and answers 500 where they, or the answers to them, violate the description. */
export const proxy = (upstream: string): Promise<Prism> =>
  start("proxy", describe({ paging: true }), [upstream, "--errors"]);

/** Prism does not look below the path of `servers`. One that remembers nothing can give no page but the first. */
function describe({ paging }: { readonly paging: boolean }): v.InferOutput<typeof DESCRIPTION> {
  const text = readFileSync(join(ROOT, "fixtures/mayastor/openapi.yaml"), "utf8");
  const { servers, paths, ...others } = v.parse(DESCRIPTION, parse(text));
  const [{ url }] = servers;
  if (!paging) delete others.components.schemas.Volumes.properties["next_token"];
  const below = Object.entries(paths).map(([path, item]) => [`${url}${path}`, item]);
  return { ...others, servers: [{ url: "/" }], paths: Object.fromEntries(below) };
}

async function start(command: string, description: unknown, args: readonly string[]): Promise<Prism> {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-prism-"));
  const file = join(directory, "openapi.json");
  writeFileSync(file, JSON.stringify(description));
  const port = await freePort();
  const program = [process.execPath, "--bun", join(ROOT, "node_modules/.bin/prism"), command, file, ...args];
  // It logs to standard output; its colours would split the words.
  const server = Bun.spawn([...program, `--port=${port}`], {
    env: { ...process.env, NO_COLOR: "1" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  let text = "";
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>();
  void (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of server.stdout) {
      text += decoder.decode(chunk, { stream: true });
      if (text.includes("Prism is listening on")) resolve();
    }
    reject(new Error(`Prism ended and said:\n${text}`));
  })();
  await listening;
  return {
    origin: `http://127.0.0.1:${port}`,
    log: () => text,
    async [Symbol.asyncDispose]() {
      server.kill("SIGKILL");
      await server.exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
