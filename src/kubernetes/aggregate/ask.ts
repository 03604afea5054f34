/** Asks one exporter and reads its answer while it comes. */
import { readBody, TooLarge } from "../../rest/body.ts";
import { within } from "../../rest/within.ts";
import type { Connections } from "./connections.ts";
import {
  ExpositionParser,
  MAX_BODY_BYTES,
  type ParserOptions,
  type PodExposition,
} from "./exposition-parser.ts";
import { AskFailure } from "./failure.ts";
import type { AnswerHead, Receive } from "./http-answer.ts";
import type { ExporterPod } from "./pod.ts";

export interface AskOptions extends Reading {
  readonly signal: AbortSignal;
  /** When nobody waits for the answer any more, on the clock of `performance.now()`. */
  readonly until: number;
  /** What the exporter is told that it has, so that it answers with what it has got by then. */
  readonly allowedMs: number;
}

type Reading = Pick<ParserOptions, "keeps" | "metadata">;

/** Which node an exporter is on, by its own word. */
const NODE_HEADER = "x-plumbline-node";

/** Rejects with AskFailure, or with the signal's reason. */
export function ask(
  pod: ExporterPod,
  connections: Connections,
  { signal, until, allowedMs, keeps, metadata }: AskOptions,
): Promise<PodExposition> {
  const waitMs = until - performance.now();
  return within(
    { signal, deadline: until },
    async (ended) => {
      const answer = new Answer(pod, { keeps, metadata });
      await connections.ask({
        url: urlOf(pod),
        headers: {
          accept: "text/plain;version=0.0.4",
          "accept-encoding": "identity",
          "x-prometheus-scrape-timeout-seconds": (allowedMs / 1000).toFixed(3),
        },
        signal: ended,
        onHead: (head) => answer.begin(head),
      });
      return answer.end();
    },
    () =>
      new AskFailure(
        "timeout",
        `no answer, or not all of it, within ${Math.max(0, waitMs / 1000).toFixed(1)} s`,
      ),
  );
}

function urlOf({ url }: ExporterPod): URL {
  const parsed = new URL(url);
  if (parsed.protocol !== "http:") throw new AskFailure("http", "it is asked over plain HTTP only");
  return parsed;
}

class Answer {
  readonly #pod: ExporterPod;
  readonly #reading: Reading;
  #parser: ExpositionParser | undefined;
  /** Of an answer that is packed, though nobody asked for that. */
  #packed: Packed | undefined;

  constructor(pod: ExporterPod, reading: Reading) {
    this.#pod = pod;
    this.#reading = reading;
  }

  begin({ status, headers }: AnswerHead): Receive {
    const { node, clusterId } = this.#pod;
    if (status >= 300 && status < 400)
      throw new AskFailure("http", `it answered ${status}, a redirect, which is not followed`);
    if (status !== 200) throw new AskFailure("http", `it answered ${status}`);
    const named = headers.get(NODE_HEADER);
    if (named !== undefined && named !== node)
      throw new AskFailure("conflict", "the exporter of another node answers at its address");
    if (!/^text\/plain(?:;|$)/i.test(headers.get("content-type") ?? "text/plain"))
      throw new AskFailure("parse", "its answer is no exposition in the text format");
    const parser = new ExpositionParser({
      node,
      clusterId,
      ...this.#reading,
      isKnownNode: named !== undefined,
      bodyBytes: Number(headers.get("content-length") ?? 0),
    });
    this.#parser = parser;
    const encoding = headers.get("content-encoding") ?? "identity";
    if (/^identity$/i.test(encoding)) return (piece) => parser.push(piece);
    const packed: Packed = { encoding, pieces: [], bytes: 0 };
    this.#packed = packed;
    return (piece) => {
      packed.bytes += piece.length;
      if (packed.bytes > MAX_BODY_BYTES) throw tooLarge();
      packed.pieces.push(Uint8Array.from(piece));
    };
  }

  async end(): Promise<PodExposition> {
    const parser = this.#parser;
    if (parser === undefined) throw new AskFailure("http", "its answer had no head");
    if (this.#packed !== undefined) parser.push(await unpacked(this.#packed));
    return parser.end();
  }
}

interface Packed {
  readonly encoding: string;
  readonly pieces: Uint8Array<ArrayBuffer>[];
  bytes: number;
}

async function unpacked({ encoding, pieces }: Packed): Promise<Uint8Array> {
  const response = new Response(new Blob(pieces), { headers: { "content-encoding": encoding } });
  try {
    return await readBody(response, MAX_BODY_BYTES);
  } catch (error) {
    if (error instanceof TooLarge) throw tooLarge();
    throw new AskFailure("parse", "its answer is packed in a way that nobody asked for");
  }
}

const tooLarge = (): AskFailure =>
  new AskFailure("too_large", `its answer has more than ${MAX_BODY_BYTES / 1024 / 1024} MiB`);
