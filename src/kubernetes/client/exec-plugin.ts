/**
 * Credentials from a program, as `aws eks get-token` gives them: asked for once for all who need them, and again when
 * they have expired or were refused.
 */
import { execFile } from "node:child_process";
import * as v from "valibot";
import type { Environment } from "../../config/load.ts";
import { codeOf } from "../../host/system-error.ts";
import { RestFailure } from "../../rest/failure.ts";
import { within } from "../../rest/within.ts";
import type { ExecSettings } from "./access-settings.ts";

/** Either or both are there. */
export interface ExecCredential {
  readonly token: string | undefined;
  readonly certificate: { readonly cert: string; readonly key: string } | undefined;
}

export class ExecPlugin {
  readonly #settings: ExecSettings;
  readonly #environment: Readonly<Record<string, string>>;
  #given: { readonly credential: ExecCredential; readonly until: number } | undefined;
  #running: Promise<ExecCredential> | undefined;

  /** `cluster`: what a plugin is told of it that asks for it. */
  constructor(settings: ExecSettings, env: Environment, cluster: unknown) {
    this.#settings = settings;
    const told = settings.provideClusterInfo ? { interactive: false, cluster } : { interactive: false };
    this.#environment = {
      ...Object.fromEntries(
        Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
      ),
      KUBERNETES_EXEC_INFO: JSON.stringify({
        apiVersion: settings.apiVersion,
        kind: "ExecCredential",
        spec: told,
      }),
      ...settings.env,
    };
  }

  /**
   * Rejects with RestFailure("credentials"), which holds nothing of what the program wrote. One that is slow goes on, and
   * what it gives is for whoever asks next.
   */
  credential(): Promise<ExecCredential> {
    if (this.#given !== undefined && Date.now() < this.#given.until)
      return Promise.resolve(this.#given.credential);
    this.#running ??= this.#ask().finally(() => {
      this.#running = undefined;
    });
    const running = this.#running;
    const limits = { signal: NEVER, deadline: performance.now() + PATIENCE_MS };
    const why = `it has not ended within ${PATIENCE_MS / 1000} s; run it by hand to see why`;
    return within(
      limits,
      () => running,
      () => failed(this.#settings.command, why),
    );
  }

  /** What was given is good for nothing any more. */
  drop(): void {
    this.#given = undefined;
  }

  async #ask(): Promise<ExecCredential> {
    const { command, apiVersion } = this.#settings;
    const parsed = v.safeParse(AnswerSchema, parseJson(await this.#output()));
    if (!parsed.success || parsed.output.apiVersion !== apiVersion)
      throw failed(command, `it wrote something else than an ExecCredential of ${apiVersion}`);
    const { status } = parsed.output;
    const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = status;
    const certificate = cert === undefined || key === undefined ? undefined : { cert, key };
    if (token === undefined && certificate === undefined)
      throw failed(command, "it gave neither a token nor a certificate");
    if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
      throw failed(command, "its token holds what no token may hold");
    const expires =
      expirationTimestamp === undefined ? Number.POSITIVE_INFINITY : Date.parse(expirationTimestamp);
    const credential = { token, certificate };
    this.#given = { credential, until: expires - EARLY_MS };
    return credential;
  }

  #output(): Promise<string> {
    const { command, args } = this.#settings;
    const options = {
      env: this.#environment,
      timeout: LIMIT_MS,
      maxBuffer: MAX_BYTES,
      killSignal: "SIGKILL",
    } as const;
    return new Promise((resolve, reject) => {
      const child = execFile(command, [...args], options, (error, stdout) => {
        if (error === null) resolve(stdout);
        else reject(failed(command, reasonOf(error)));
      });
      child.stdin?.on("error", () => {}).end();
    });
  }
}

/** A credential is used for as long as a request takes, on another clock than the one that it was made on. */
const EARLY_MS = 10_000;
/** Less than any request has, so that its failure names the program that it waited for. */
const PATIENCE_MS = 4000;
const LIMIT_MS = 60_000;
const MAX_BYTES = 1024 * 1024;
const NEVER = new AbortController().signal;

const AnswerSchema = v.object({
  apiVersion: v.string(),
  kind: v.literal("ExecCredential"),
  status: v.object({
    token: v.optional(v.string()),
    clientCertificateData: v.optional(v.string()),
    clientKeyData: v.optional(v.string()),
    expirationTimestamp: v.optional(
      v.pipe(
        v.string(),
        v.check((time) => !Number.isNaN(Date.parse(time))),
      ),
    ),
  }),
});

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error's own words hold the arguments and what the program wrote. */
function reasonOf(error: Error): string {
  const code = "code" in error && typeof error.code === "number" ? error.code : codeOf(error);
  if (code === "ENOENT") return "no such program; install it, or correct the kubeconfig";
  if (code === "EACCES") return "permission denied";
  if (code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") return `it wrote more than ${MAX_BYTES} bytes`;
  if ("killed" in error && error.killed === true) return `it did not end within ${LIMIT_MS / 1000} s`;
  return typeof code === "number"
    ? `it ended with exit code ${code}; run it by hand to see why`
    : "it was killed";
}

const failed = (command: string, why: string): RestFailure =>
  new RestFailure("credentials", `no credentials from the exec plugin ${command}: ${why}`);
