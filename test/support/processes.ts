/** Programs that a test starts as processes of their own: their log lines, their end, and that none is left. */
export interface Process {
  readonly pid: number;
  readonly exited: Promise<number>;
  /** All of standard error so far. */
  log(): string;
  /** Waits for a line that matches; gives its first group, or the line. */
  line(pattern: RegExp): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  [Symbol.asyncDispose](): Promise<void>;
}

const PATIENCE_MS = 15_000;

export function watch(
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Process {
  const { NODE_NAME: _, NOTIFY_SOCKET: _socket, ...inherited } = process.env;
  const child = Bun.spawn([...command], {
    env: { ...inherited, ...environment },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  let text = "";
  const read = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) text += decoder.decode(chunk, { stream: true });
  })();
  return {
    pid: child.pid,
    exited: child.exited.then(async (code) => {
      await read;
      return code;
    }),
    log: () => text,
    async line(pattern) {
      const deadline = performance.now() + PATIENCE_MS;
      for (;;) {
        const match = pattern.exec(text);
        if (match !== null) return match[1] ?? match[0];
        if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline)
          throw new Error(`no line ${pattern} in:\n${text}`);
        await Bun.sleep(5);
      }
    },
    kill: (signal) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
