/** A value that is used and never shown: not in a log, not in JSON, not in an error. */
import { createHmac, randomBytes } from "node:crypto";
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { inspect } from "node:util";
import { ConfigError } from "./error.ts";
import type { Environment } from "./load.ts";

const SHOWN = "<set>";
const PROCESS_KEY = randomBytes(32);
/** No token, password or key is larger; a file that is was named by mistake. */
const MAX_BYTES = 64 * 1024;

export class Secret {
  readonly #read: () => string;
  /** Differs where the secret does, so that a changed one is a changed setting; tells nothing outside this process. */
  readonly identity: string;

  constructor(read: () => string, identity = "") {
    this.#read = read;
    this.identity = createHmac("sha256", PROCESS_KEY).update(identity).digest("hex");
  }

  /** Of a value that does not change. */
  static of(value: string): Secret {
    return new Secret(() => value, value);
  }

  /** The value as it is now: a file that has changed is read again. Throws ConfigError if it cannot be. */
  reveal(): string {
    return this.#read();
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [inspect.custom](): string {
    return SHOWN;
  }
}

/** How a secret stands in the configuration: as a value, which may name `${VARIABLES}`, or as the path of a file. */
export interface SecretSource {
  /** As in the file, `pve.targets[0].password`. */
  readonly name: string;
  /** The setting of the file, where it is not that and `_file`. */
  readonly fileName?: string;
  readonly value: string | undefined;
  readonly file: string | undefined;
}

export interface SecretSurroundings {
  readonly environment: Environment;
  /** Where the configuration file lies: a relative `*_file` that is no systemd credential starts there. */
  readonly directory: string;
  warn(message: string): void;
}

/** Undefined if neither is given. Reads the file once, so that a missing one is found at the start. Throws ConfigError. */
export function secretFrom(source: SecretSource, around: SecretSurroundings): Secret | undefined {
  const { name, value, file, fileName = `${name}_file` } = source;
  if (value !== undefined && file !== undefined)
    throw new ConfigError({ text: `${name} and ${fileName} are both set; keep one of them` });
  if (value !== undefined) return Secret.of(expand(name, value, around.environment));
  if (file === undefined) return undefined;
  const secret = new SecretFile(fileName, secretPath(fileName, file, around));
  const mode = secret.load();
  if ((mode & 0o077) !== 0)
    around.warn(
      `${fileName}: ${secret.path} may be read by others than its owner (mode ${octal(mode)}); run chmod 600 ${secret.path}`,
    );
  return new Secret(() => secret.current(), secret.path);
}

const octal = (mode: number) => (mode & 0o777).toString(8).padStart(4, "0");

/** `${NAME}` is the variable's value, `$${` a literal `${`. */
function expand(name: string, text: string, environment: Environment): string {
  return text.replace(
    /\$(\$\{)|\$\{([A-Za-z_]\w*)\}/g,
    (_, literal: string | undefined, variable: string) => {
      if (literal !== undefined) return literal;
      const value = environment[variable];
      if (value === undefined || value === "")
        throw new ConfigError({ text: `${name} refers to the variable ${variable}, which is not set` });
      return value;
    },
  );
}

function secretPath(name: string, path: string, { environment, directory }: SecretSurroundings): string {
  const expanded = expand(name, path, environment);
  if (isAbsolute(expanded)) return expanded;
  return credentialPath(expanded, environment) ?? resolve(directory, expanded);
}

/** Where systemd put the credential of this name, if it gave one; systemd.exec(5), LoadCredential=. */
export function credentialPath(name: string, environment: Environment): string | undefined {
  const directory = environment["CREDENTIALS_DIRECTORY"];
  const path = directory ? join(directory, name) : undefined;
  return path !== undefined && existsSync(path) ? path : undefined;
}

class SecretFile {
  readonly #name: string;
  readonly path: string;
  #version = "";
  #value = "";

  constructor(name: string, path: string) {
    this.#name = name;
    this.path = path;
  }

  current(): string {
    this.load();
    return this.#value;
  }

  /** Reads the file if it is another than last time; its mode. */
  load(): number {
    let fd: number | undefined;
    try {
      fd = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK);
      const stats = fstatSync(fd, { bigint: true });
      if (!stats.isFile()) this.#fail("it is no regular file");
      if (stats.size > MAX_BYTES) this.#fail(`it is larger than ${MAX_BYTES} bytes; is it the right file?`);
      const version = `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`;
      if (version !== this.#version) {
        const value = readFileSync(fd, "utf8").replace(/\r?\n$/, "");
        if (value === "") this.#fail("it is empty");
        this.#value = value;
        this.#version = version;
      }
      return Number(stats.mode);
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      return this.#fail(reason(error));
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  #fail(why: string): never {
    throw new ConfigError({ text: `${this.#name}: cannot read the secret in ${this.path}: ${why}` });
  }
}

function reason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "ENOENT":
      return "no such file; create it or correct the path";
    case "EACCES":
      return "permission denied; the user that runs plumbline must own it";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
