/** The events of a watch, one JSON document a line, as they come. */
import * as v from "valibot";
import { TooLarge } from "../../rest/body.ts";
import { RestFailure } from "../../rest/failure.ts";
import { type KubernetesObject, ObjectSchema } from "../object.ts";

export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  /** Of a BOOKMARK nothing but `metadata.resourceVersion` counts. */
  readonly object: KubernetesObject;
}

/** What a server says when a watch cannot go on. */
export interface WatchError {
  readonly type: "ERROR";
  /** A Status. */
  readonly object: unknown;
}

/** Of one event. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** `where` is for messages. Throws RestFailure: an event is larger than 16 MiB, or is none. */
export async function* watchEvents(
  chunks: AsyncIterable<Uint8Array>,
  where: string,
): AsyncGenerator<WatchEvent | WatchError> {
  try {
    for await (const line of linesOf(chunks)) yield eventOf(line);
  } catch (error) {
    if (error instanceof TooLarge)
      throw new RestFailure("too_large", `an event of ${where} is larger than ${MAX_LINE_BYTES} bytes`);
    if (error instanceof NoEvent) throw new RestFailure("bad_body", `${where} sent what is no event`);
    throw error;
  }
}

class NoEvent extends Error {}

/** What stands after the last line's end is no whole event, and is dropped. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let begun: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, from)) {
      const line = textOf([...begun, chunk.subarray(from, end)]);
      begun = [];
      length = 0;
      from = end + 1;
      if (line.trim() !== "") yield line;
    }
    const rest = chunk.subarray(from);
    length += rest.byteLength;
    if (length > MAX_LINE_BYTES) throw new TooLarge();
    if (rest.byteLength > 0) begun.push(rest);
  }
}

const LINE_FEED = 0x0a;

const textOf = (pieces: readonly Uint8Array[]): string => Buffer.concat(pieces).toString("utf8");

const EventSchema = v.variant("type", [
  v.object({ type: v.picklist(["ADDED", "MODIFIED", "DELETED"]), object: ObjectSchema }),
  v.object({
    type: v.literal("BOOKMARK"),
    object: v.object({ metadata: v.object({ resourceVersion: v.string() }) }),
  }),
  v.object({ type: v.literal("ERROR"), object: v.unknown() }),
]);

/** The errors of JSON.parse and of the schema are dropped: they quote what they could not read. */
function eventOf(line: string): WatchEvent | WatchError {
  const parsed = v.safeParse(EventSchema, parse(line));
  if (!parsed.success) throw new NoEvent();
  const event = parsed.output;
  if (event.type !== "BOOKMARK") return event;
  const { resourceVersion } = event.object.metadata;
  return { type: "BOOKMARK", object: { metadata: { name: "", resourceVersion } } };
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new NoEvent();
  }
}
