/**
 * An NVMe/TCP target that lies as it is told: controllers with any Identify data and log pages that answer with any
 * bytes, a status, late or never. Linux's own driver makes real `/dev/nvmeN` of them. It knows what that driver needs
 * (NVMe/TCP transport 1.0, NVMe over Fabrics 1.1, NVM command set 1.4) and no more: no digests, no writes.
 */
import { createHash } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import * as v from "valibot";
import { identifyController, identifyNamespace, smartPage } from "../../../src/demo/nvme-pages.ts";

const HexSchema = v.pipe(v.string(), v.regex(/^([0-9a-f]{2})*$/i));

/** What a log page answers. Without `status` and `never`: `page`, read at the command's offset, zeros behind its end. */
const LogPageSchema = v.strictObject({
  /** In hexadecimal digits. */
  page: v.optional(HexSchema, ""),
  /** The NVMe status to refuse with, DNR bit included: 0x4109. */
  status: v.optional(v.number(), 0),
  delayMs: v.optional(v.number(), 0),
  never: v.optional(v.boolean(), false),
});

const ControllerSchema = v.strictObject({
  nqn: v.string(),
  vid: v.number(),
  model: v.string(),
  serial: v.string(),
  firmware: v.optional(v.string(), "1.0"),
  /** Identify Controller, bytes 3072 and on, in hexadecimal digits. */
  vendor: v.optional(HexSchema, ""),
  /** Their ids are 1, 2, … */
  namespaces: v.array(
    v.strictObject({ blocks: v.number(), usedBlocks: v.number(), blockSizeBytes: v.number() }),
  ),
  /** By log identifier, written as `0xd0`. SMART (0x02) has a default, since Linux reads it when it connects. */
  logPages: v.optional(v.record(v.string(), LogPageSchema), {}),
});

export const TargetSchema = v.strictObject({ port: v.number(), controllers: v.array(ControllerSchema) });
export type TargetConfig = v.InferInput<typeof TargetSchema>;
export type LogPage = v.InferInput<typeof LogPageSchema>;
type Controller = v.InferOutput<typeof ControllerSchema>;

/** An admin command as it arrived, for tests that ask what a controller was asked. */
export interface ReceivedCommand {
  readonly atMs: number;
  readonly serial: string;
  readonly opcode: number;
  readonly nsid: number;
  readonly cdw10: number;
  readonly cdw11: number;
  readonly cdw12: number;
}

export interface Target {
  /** The admin commands received, in order; keep-alives and fabrics commands aside. */
  readonly received: readonly ReceivedCommand[];
  /** How often a host has connected to the controller: more than once after a reset. */
  connections(serial: string): number;
  /** From now on the controller answers so. */
  setLogPage(serial: string, identifier: string, answer: LogPage): void;
  close(): void;
}

/** Listens on 127.0.0.1. One port serves all controllers; the host names the one it means by its NQN. */
export async function startTarget(input: TargetConfig): Promise<Target> {
  const config = v.parse(TargetSchema, input);
  const received: ReceivedCommand[] = [];
  const sessions: Session[] = [];
  const server: Server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    new Connection(socket, config.controllers, sessions, received);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(config.port, "127.0.0.1", resolve);
  });
  return {
    received,
    connections: (serial) => sessions.filter(({ controller }) => controller.serial === serial).length,
    setLogPage(serial, identifier, answer) {
      const controller = config.controllers.find((candidate) => candidate.serial === serial);
      if (controller === undefined) throw new Error(`no controller has the serial ${serial}`);
      controller.logPages[identifier] = v.parse(LogPageSchema, answer);
    },
    close: () => server.close(),
  };
}

/** What a host's admin queue and its I/O queues share: a controller, as one host sees it. */
interface Session {
  readonly controller: Controller;
  readonly id: number;
  configuration: number;
}

const PDU = { icReq: 0, icResp: 1, command: 4, response: 5, c2hData: 7 } as const;
const OPCODE = {
  flush: 0x00,
  read: 0x02,
  getLogPage: 0x02,
  identify: 0x06,
  setFeatures: 0x09,
  getFeatures: 0x0a,
  asyncEvent: 0x0c,
  keepAlive: 0x18,
  fabrics: 0x7f,
} as const;
const FABRICS = { propertySet: 0x00, connect: 0x01, propertyGet: 0x04, disconnect: 0x08 } as const;
const REGISTER = { capabilities: 0x00, version: 0x08, configuration: 0x14, status: 0x1c } as const;

const SUCCESS = 0;
const INVALID_OPCODE = 0x4001;
const INVALID_FIELD = 0x4002;
const INVALID_CONNECT_PARAMETERS = 0x4182;

/** NVMe 1.4 */
const VERSION = 0x10400;
const QUEUE_ENTRIES = 32;
const SQE_BYTES = 64;
const COMMON_HEADER_BYTES = 8;

interface Reply {
  readonly status?: number;
  readonly result?: bigint;
  /** Cut to what the host has room for, zeros behind its end. */
  readonly bytes?: Buffer;
  readonly delayMs?: number;
}

/** One queue: NVMe/TCP has a TCP connection for each. */
class Connection {
  readonly #socket: Socket;
  readonly #controllers: readonly Controller[];
  readonly #sessions: Session[];
  readonly #received: ReceivedCommand[];
  #session: Session | undefined;
  #queue = 0;
  #head = 0;
  #pending = Buffer.alloc(0);

  constructor(
    socket: Socket,
    controllers: readonly Controller[],
    sessions: Session[],
    received: ReceivedCommand[],
  ) {
    this.#socket = socket;
    this.#controllers = controllers;
    this.#sessions = sessions;
    this.#received = received;
    socket.on("data", (bytes) => this.#receive(Buffer.from(bytes)));
  }

  /** TCP is a stream: takes whole PDUs off its front. */
  #receive(bytes: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    while (this.#pending.length >= COMMON_HEADER_BYTES) {
      const length = this.#pending.readUInt32LE(4);
      if (this.#pending.length < length) return;
      const pdu = this.#pending.subarray(0, length);
      this.#pending = this.#pending.subarray(length);
      const type = pdu.readUInt8(0);
      if (type === PDU.icReq) this.#initialise();
      else if (type === PDU.command) this.#command(pdu);
      else this.#socket.destroy();
    }
  }

  /** Format version 0, no padding, no digests, 128 KiB for each transfer from the host. */
  #initialise(): void {
    const response = header(PDU.icResp, 0, 128, 0, 128);
    response.writeUInt32LE(0x20000, 12);
    this.#socket.write(response);
  }

  #command(pdu: Buffer): void {
    const sqe = pdu.subarray(COMMON_HEADER_BYTES, COMMON_HEADER_BYTES + SQE_BYTES);
    const dataOffset = pdu.readUInt8(3);
    const inCapsule = dataOffset === 0 ? Buffer.alloc(0) : pdu.subarray(dataOffset);
    this.#head = (this.#head + 1) % QUEUE_ENTRIES;
    const reply = this.#reply(sqe, inCapsule);
    if (reply === undefined) return;
    const delayMs = reply.delayMs ?? 0;
    if (delayMs === 0) this.#send(sqe, reply);
    else setTimeout(() => this.#send(sqe, reply), delayMs);
  }

  /** undefined: the command stays pending. */
  #reply(sqe: Buffer, inCapsule: Buffer): Reply | undefined {
    if (sqe.readUInt8(0) === OPCODE.fabrics) return this.#fabrics(sqe, inCapsule);
    if (this.#session === undefined) return { status: INVALID_FIELD };
    return this.#queue === 0 ? this.#admin(sqe, this.#session) : io(sqe);
  }

  #fabrics(sqe: Buffer, inCapsule: Buffer): Reply {
    const type = sqe.readUInt8(4);
    if (type === FABRICS.connect) return this.#connect(sqe, inCapsule);
    if (this.#session === undefined) return { status: INVALID_FIELD };
    const offset = sqe.readUInt32LE(44);
    switch (type) {
      case FABRICS.propertyGet:
        return { result: register(this.#session, offset) };
      case FABRICS.propertySet:
        if (offset === REGISTER.configuration) this.#session.configuration = sqe.readUInt32LE(48);
        return { status: SUCCESS };
      case FABRICS.disconnect:
        return { status: SUCCESS };
      default:
        return { status: INVALID_OPCODE };
    }
  }

  /** An admin queue makes a session, an I/O queue names the one that it belongs to. */
  #connect(sqe: Buffer, connectData: Buffer): Reply {
    if (connectData.length < 1024) return { status: INVALID_CONNECT_PARAMETERS };
    this.#queue = sqe.readUInt16LE(42);
    const nqn = text(connectData.subarray(256, 512));
    const id = connectData.readUInt16LE(16);
    const controller = this.#controllers.find((candidate) => candidate.nqn === nqn);
    const session =
      this.#queue === 0 ? this.#open(controller) : this.#sessions.find((open) => open.id === id);
    if (session === undefined) return { status: INVALID_CONNECT_PARAMETERS };
    this.#session = session;
    return { result: BigInt(session.id) };
  }

  #open(controller: Controller | undefined): Session | undefined {
    if (controller === undefined) return undefined;
    const session: Session = { controller, id: this.#sessions.length + 1, configuration: 0 };
    this.#sessions.push(session);
    return session;
  }

  #admin(sqe: Buffer, session: Session): Reply | undefined {
    const opcode = sqe.readUInt8(0);
    if (opcode === OPCODE.keepAlive) return { status: SUCCESS };
    if (opcode === OPCODE.asyncEvent) return undefined; // completes when there is an event, and there is none
    this.#received.push({
      atMs: performance.now(),
      serial: session.controller.serial,
      opcode,
      nsid: sqe.readUInt32LE(4),
      cdw10: sqe.readUInt32LE(40),
      cdw11: sqe.readUInt32LE(44),
      cdw12: sqe.readUInt32LE(48),
    });
    switch (opcode) {
      case OPCODE.identify:
        return page(identify(session, sqe.readUInt32LE(4), sqe.readUInt8(40)));
      case OPCODE.getLogPage:
        return getLogPage(session.controller, sqe.readUInt8(40), sqe.readUInt32LE(48));
      case OPCODE.setFeatures: // result 0 to Number of Queues is one queue: the count is 0-based
      case OPCODE.getFeatures:
        return { status: SUCCESS };
      default:
        return { status: INVALID_OPCODE };
    }
  }

  #send(sqe: Buffer, reply: Reply): void {
    if (reply.bytes !== undefined) this.#sendData(sqe, reply.bytes);
    const response = header(PDU.response, 0, 24, 0, 24);
    response.writeBigUInt64LE(reply.result ?? 0n, 8);
    response.writeUInt16LE(this.#head, 16);
    response.writeUInt16LE(this.#queue, 18);
    response.writeUInt16LE(sqe.readUInt16LE(2), 20);
    response.writeUInt16LE(((reply.status ?? SUCCESS) << 1) & 0xffff, 22);
    this.#socket.write(response);
  }

  #sendData(sqe: Buffer, bytes: Buffer): void {
    const room = sqe.readUInt32LE(32);
    const data = Buffer.alloc(room);
    bytes.copy(data, 0, 0, room);
    const LAST = 0x04;
    const head = header(PDU.c2hData, LAST, 24, 24, 24 + room);
    head.writeUInt16LE(sqe.readUInt16LE(2), 8);
    head.writeUInt32LE(room, 16);
    this.#socket.write(Buffer.concat([head, data]));
  }
}

function getLogPage(controller: Controller, identifier: number, offset: number): Reply | undefined {
  const log = controller.logPages[`0x${identifier.toString(16).padStart(2, "0")}`];
  if (log === undefined) return page(identifier === 0x02 ? DEFAULT_SMART : undefined, offset);
  if (log.never) return undefined;
  const reply = log.status === 0 ? page(Buffer.from(log.page, "hex"), offset) : { status: log.status };
  return { ...reply, delayMs: log.delayMs };
}

/** Every block reads as zeros. */
function io(sqe: Buffer): Reply {
  const opcode = sqe.readUInt8(0);
  if (opcode === OPCODE.read) return { bytes: Buffer.alloc(0) };
  return { status: opcode === OPCODE.flush ? SUCCESS : INVALID_OPCODE };
}

function page(bytes: Buffer | undefined, offset = 0): Reply {
  return bytes === undefined ? { status: INVALID_FIELD } : { bytes: bytes.subarray(offset) };
}

/** A PDU's common header, with room for the rest of the PDU's own header. */
function header(
  type: number,
  flags: number,
  headerBytes: number,
  dataOffset: number,
  totalBytes: number,
): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  bytes.writeUInt8(type, 0);
  bytes.writeUInt8(flags, 1);
  bytes.writeUInt8(headerBytes, 2);
  bytes.writeUInt8(dataOffset, 3);
  bytes.writeUInt32LE(totalBytes, 4);
  return bytes;
}

function text(bytes: Buffer): string {
  return bytes.toString("latin1").replace(/\0.*$/s, "");
}

/** A controller is ready, or shut down, at once. */
function register(session: Session, offset: number): bigint {
  const enabled = session.configuration & 1;
  const shutDown = (session.configuration >> 14) & 3;
  switch (offset) {
    case REGISTER.capabilities: // queue entries − 1; queues contiguous; 7.5 s to get ready; NVM command set
      return BigInt(QUEUE_ENTRIES - 1) | (1n << 16n) | (15n << 24n) | (1n << 37n);
    case REGISTER.version:
      return BigInt(VERSION);
    case REGISTER.configuration:
      return BigInt(session.configuration);
    case REGISTER.status:
      return BigInt(enabled | (shutDown === 0 ? 0 : 0x08));
    default:
      return 0n;
  }
}

function identify(session: Session, nsid: number, structure: number): Buffer | undefined {
  const { controller } = session;
  switch (structure) {
    case 0x00:
      return namespacePage(controller, nsid);
    case 0x01:
      return controllerPage(session);
    case 0x02:
      return activeNamespaces(controller, nsid);
    case 0x03:
      return namespaceDescriptors(controller, nsid);
    default:
      return undefined;
  }
}

/** What the test says of the controller, and what Linux insists on (NVMe 1.4, figure 251; fabrics 1.1, section 5). */
function controllerPage({ controller, id }: Session): Buffer {
  const { vid: vendorId, model, serial, firmware } = controller;
  const bytes = Buffer.from(identifyController({ vendorId, model, serial, firmware }));
  bytes.writeUInt8(5, 77); // MDTS: 128 KiB
  bytes.writeUInt16LE(id, 78);
  bytes.writeUInt32LE(VERSION, 80);
  bytes.writeUInt8(1, 111); // CNTRLTYPE: I/O controller
  bytes.writeUInt8(3, 259); // AERL
  bytes.writeUInt16LE(10, 320); // KAS: keep-alive in steps of 100 ms
  bytes.writeUInt8(0x66, 512); // SQES
  bytes.writeUInt8(0x44, 513); // CQES
  bytes.writeUInt16LE(QUEUE_ENTRIES, 514); // MAXCMD
  bytes.writeUInt32LE(controller.namespaces.length, 516);
  bytes.writeUInt32LE(0x100005, 536); // SGLS: SGLs, keyed or not, with offsets
  bytes.write(controller.nqn, 768, 256, "latin1");
  bytes.writeUInt32LE((SQE_BYTES + 1024) / 16, 1792); // IOCCSZ: 1 KiB in a capsule
  bytes.writeUInt32LE(1, 1796); // IORCSZ
  bytes.writeUInt8(1, 1803); // MSDBD
  Buffer.from(controller.vendor, "hex").copy(bytes, 3072);
  return bytes;
}

function namespacePage(controller: Controller, nsid: number): Buffer | undefined {
  const namespace = controller.namespaces[nsid - 1];
  if (namespace === undefined) return undefined;
  const { blocks, usedBlocks, blockSizeBytes: logicalBlockSizeBytes } = namespace;
  const page = { sizeBlocks: BigInt(blocks), capacityBlocks: BigInt(blocks), usedBlocks: BigInt(usedBlocks) };
  return Buffer.from(identifyNamespace({ ...page, logicalBlockSizeBytes }));
}

function activeNamespaces(controller: Controller, after: number): Buffer {
  const bytes = Buffer.alloc(4096);
  controller.namespaces
    .map((_, index) => index + 1)
    .filter((nsid) => nsid > after)
    .forEach((nsid, index) => {
      bytes.writeUInt32LE(nsid, 4 * index);
    });
  return bytes;
}

/** One UUID (type 3), made from the NQN: Linux refuses two namespaces with the same. */
function namespaceDescriptors(controller: Controller, nsid: number): Buffer | undefined {
  if (controller.namespaces[nsid - 1] === undefined) return undefined;
  const bytes = Buffer.alloc(4096);
  bytes.writeUInt8(3, 0);
  bytes.writeUInt8(16, 1);
  createHash("sha256").update(`${controller.nqn}/${nsid}`).digest().copy(bytes, 4, 0, 16);
  return bytes;
}

const DEFAULT_SMART = Buffer.from(
  smartPage({
    temperatureKelvin: 300,
    availableSparePercent: 100,
    availableSpareThresholdPercent: 10,
    powerCycles: 1n,
  }),
);
