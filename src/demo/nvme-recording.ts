/**
 * What a simulated NVMe controller answers: the content of the file that stands at `<devfs>/nvme0` of a simulated
 * host, in place of the character device. It is JSON, so that a host is a directory {sys/, dev/} that can be looked
 * at, copied and replayed.
 */
import { Buffer } from "node:buffer";
import * as v from "valibot";

const Count = v.pipe(v.number(), v.integer(), v.minValue(0));
const Seconds = v.pipe(v.number(), v.minValue(0));

/** When something happens again and again: from `afterSeconds` on, `forSeconds` long, each `everySeconds`. */
const PulseSchema = v.strictObject({
  everySeconds: v.pipe(v.number(), v.gtValue(0)),
  forSeconds: Seconds,
  afterSeconds: v.optional(Seconds, 0),
});

const field = {
  /** Offset of a little-endian unsigned number within the page. */
  at: Count,
  bytes: v.picklist([1, 2, 4, 8, 16]),
};

/** How a number on a page moves with the time since `Recording.since`. */
const ChangeSchema = v.variant("kind", [
  /** A counter: so much more each second, or each second of its pulse. */
  v.strictObject({ kind: v.literal("grows"), ...field, perSecond: Seconds, pulse: v.optional(PulseSchema) }),
  /** A gauge that swings between its value and `by` more. */
  v.strictObject({
    kind: v.literal("swings"),
    ...field,
    by: Count,
    everySeconds: v.pipe(v.number(), v.gtValue(0)),
  }),
  /** A gauge that is `by` more during its pulse. */
  v.strictObject({ kind: v.literal("steps"), ...field, by: Count, pulse: PulseSchema }),
]);

const Hexadecimal = v.pipe(
  v.string(),
  v.regex(/^([0-9a-f]{2})+$/, "must be pairs of lower-case hexadecimal digits"),
  v.transform((digits) => new Uint8Array(Buffer.from(digits, "hex"))),
);

/** All that is not zero of a page. */
const PageSchema = v.pipe(
  v.strictObject({
    length: v.pipe(Count, v.maxValue(4096)),
    stretches: v.array(v.strictObject({ at: Count, bytes: Hexadecimal })),
    changes: v.optional(v.array(ChangeSchema), []),
  }),
  v.check(
    ({ length, stretches, changes }) =>
      stretches.every(({ at, bytes }) => at + bytes.length <= length) &&
      changes.every(({ at, bytes }) => at + bytes <= length),
    "has a stretch or a change beyond its length",
  ),
);

const ReplySchema = v.variant("kind", [
  v.strictObject({ kind: v.literal("page"), page: PageSchema }),
  /** NVMe status: SC 7:0, SCT 10:8, DNR 0x4000. */
  v.strictObject({ kind: v.literal("status"), status: v.pipe(Count, v.minValue(1), v.maxValue(0x7fff)) }),
  v.strictObject({ kind: v.literal("errno"), errno: v.pipe(Count, v.minValue(1)) }),
]);

const AnswerSchema = v.strictObject({
  opcode: v.picklist(["get_log_page", "identify"]),
  /** Log page identifier (LID) or, of Identify, the structure (CNS). */
  page: v.pipe(Count, v.maxValue(0xff)),
  /** Whatever the namespace where it is left out. */
  nsid: v.optional(Count),
  offset: v.optional(Count, 0),
  delayMs: v.optional(Count, 0),
  reply: ReplySchema,
});

export const RecordingSchema = v.strictObject({
  /** `major:minor` that fstat tells; as sysfs `dev`, unless the node is another device. */
  dev: v.pipe(v.string(), v.regex(/^\d+:\d+$/, "must be major:minor")),
  characterDevice: v.optional(v.boolean(), true),
  /** errno of `open`, where it fails. */
  openErrno: v.optional(v.pipe(Count, v.minValue(1))),
  /** Milliseconds since 1970 from which the changes count. */
  since: v.optional(Count, 0),
  /** A file that gets one JSON line for each admin command. */
  commandLog: v.optional(v.string()),
  /** The first that fits is given; a command without one is refused as a device without that page refuses it. */
  answers: v.array(AnswerSchema),
});

export type Recording = v.InferOutput<typeof RecordingSchema>;
export type RecordingInput = v.InferInput<typeof RecordingSchema>;
export type RecordedAnswer = v.InferInput<typeof AnswerSchema>;
export type RecordedPage = v.InferInput<typeof PageSchema>;
export type ReplayablePage = v.InferOutput<typeof PageSchema>;
export type Change = v.InferInput<typeof ChangeSchema>;
export type Pulse = v.InferInput<typeof PulseSchema>;

/** Throws an Error whose message says where the text is wrong. */
export function parseRecording(text: string): Recording {
  const result = v.safeParse(RecordingSchema, JSON.parse(text));
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new Error(`${v.getDotPath(issue) ?? "the recording"}: ${issue.message}`);
}

/** Zeros between two stretches that are not worth a new one. */
const GAP = 8;

export function recordPage(page: Uint8Array, changes: Change[] = []): RecordedPage {
  const stretches: RecordedPage["stretches"] = [];
  for (let start = 0; start < page.length; start++) {
    if (page[start] === 0) continue;
    let end = start + 1;
    for (let i = end; i < page.length && i - end < GAP; i++) if (page[i] !== 0) end = i + 1;
    stretches.push({ at: start, bytes: Buffer.from(page.subarray(start, end)).toString("hex") });
    start = end;
  }
  return { length: page.length, stretches, ...(changes.length > 0 && { changes }) };
}

/** Writes the page as it is `elapsedSeconds` after the start of its changes; `page` is at least as long. */
export function replayPage(recorded: ReplayablePage, elapsedSeconds: number, page: Uint8Array): void {
  page.fill(0);
  for (const { at, bytes } of recorded.stretches) page.set(bytes, at);
  for (const change of recorded.changes) {
    const before = readUnsigned(page, change.at, change.bytes);
    writeUnsigned(page, change.at, change.bytes, before + increase(change, elapsedSeconds));
  }
}

function increase(change: Change, elapsedSeconds: number): bigint {
  switch (change.kind) {
    case "grows": {
      const seconds =
        change.pulse === undefined ? elapsedSeconds : activeSeconds(change.pulse, elapsedSeconds);
      return BigInt(Math.floor(change.perSecond * seconds));
    }
    case "swings": {
      const turn = (2 * Math.PI * elapsedSeconds) / change.everySeconds;
      return BigInt(Math.round((change.by * (1 - Math.cos(turn))) / 2));
    }
    case "steps":
      return isActive(change.pulse, elapsedSeconds) ? BigInt(change.by) : 0n;
  }
}

/** For how long a pulse has been on in all. */
export function activeSeconds(
  { everySeconds, forSeconds, afterSeconds = 0 }: Pulse,
  elapsedSeconds: number,
): number {
  const since = Math.max(0, elapsedSeconds - afterSeconds);
  return Math.floor(since / everySeconds) * forSeconds + Math.min(forSeconds, since % everySeconds);
}

/** Whether a pulse is on. */
export function isActive(
  { everySeconds, forSeconds, afterSeconds = 0 }: Pulse,
  elapsedSeconds: number,
): boolean {
  const since = elapsedSeconds - afterSeconds;
  return since >= 0 && since % everySeconds < forSeconds;
}

function readUnsigned(page: Uint8Array, at: number, bytes: number): bigint {
  let value = 0n;
  for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(page[at + i] ?? 0);
  return value;
}

/** A counter that no longer fits starts again at 0, as it does in the device. */
function writeUnsigned(page: Uint8Array, at: number, bytes: number, value: bigint): void {
  let rest = value;
  for (let i = 0; i < bytes; i++) {
    page[at + i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
}
