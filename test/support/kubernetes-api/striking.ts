/** How faults look to the client. */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Asked, answer } from "../hostile-server.ts";
import type { Fault, Requested } from "./contract.ts";
import { ApiError } from "./failure.ts";

export interface Struck {
  readonly connection: Socket;
  readonly asked: Asked;
  readonly requested: Requested;
}

/** Before the request is done. Whether that was all. */
export async function struckBefore(fault: Fault, question: Struck): Promise<boolean> {
  const { connection, asked, requested } = question;
  const reply = (status: number, body: string, headers: Readonly<Record<string, string>>): true => {
    requested.status = status;
    answer(status, body, headers)(connection, asked);
    return true;
  };
  switch (fault.kind) {
    case "slow":
      await sleep(fault.ms);
      return false;
    case "silent":
      return true;
    case "reset":
      if (fault.isDone === true) return false;
      connection.resetAndDestroy();
      return true;
    case "status": {
      const { status, retryAfterS, message = "the test kit says so" } = fault;
      const seconds = retryAfterS === undefined ? undefined : { retryAfterSeconds: retryAfterS };
      const error = new ApiError(status, REASONS[status] ?? "Unknown", message, seconds);
      return reply(status, JSON.stringify(error.status), {
        "content-type": "application/json",
        ...(retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) }),
      });
    }
    case "body":
      return reply(fault.status ?? 200, fault.body, { "content-type": fault.type ?? "application/json" });
    case "redirect":
      return reply(fault.status, "", { location: fault.to });
    case "truncated":
    case "mute-watch":
    case "gone-watch":
      return false;
  }
}

const REASONS: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  409: "Conflict",
  410: "Expired",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

/** The first half of it. */
export function truncate(connection: Socket, body: unknown, isLengthTrue: boolean): void {
  const text = Buffer.from(JSON.stringify(body));
  const half = text.subarray(0, Math.floor(text.length / 2));
  const length = isLengthTrue ? half.length : text.length;
  connection.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`);
  if (isLengthTrue) connection.write(half);
  else connection.end(half);
}
