/** The simulated hosts of the golden files; fixtures/golden/README.md says what each shows. */
import * as answers from "../../src/demo/nvme-answers.ts";
import {
  AMAZON_VENDOR,
  type Drive,
  drive,
  EBS_MODEL,
  ebsVolume,
  INSTANCE_STORE_MODEL,
  instanceStore,
} from "../../src/demo/nvme-devices.ts";
import type {
  ControllerDescription,
  HostDescription,
  NamespaceDescription,
} from "../../src/demo/nvme-host.ts";
import {
  type AmazonCounters,
  documentedBins,
  ebsPage,
  type InstanceStoreCounters,
  identifyController,
  instanceStorePages,
  type SmartValues,
  UNBOUNDED_SIZE,
} from "../../src/demo/nvme-pages.ts";
import type { RecordedAnswer } from "../../src/demo/nvme-recording.ts";

const GIB = 1024n ** 3n;

/** The EBS volume whose every number the specification gives. */
export const EBS_COUNTERS: AmazonCounters = {
  version: 1,
  readOps: 60_329n,
  writeOps: 1290n,
  readBytes: 988_430_336n,
  writeBytes: 21_135_360n,
  readTimeUs: 38_000_000n,
  writeTimeUs: 1_900_000n,
  volumeIopsExceededUs: 41_892_491n,
  volumeThroughputExceededUs: 2_219_379n,
  queueLength: 2n,
  readBins: documentedBins({ 9: 15_869, 10: 43_877, 11: 514, 12: 66, 13: 3 }),
  writeBins: documentedBins({ 10: 1201, 11: 88, 27: 1 }),
};

/** The instance store of the specification, with bands that hold its 67 reads. */
export const INSTANCE_STORE_COUNTERS: InstanceStoreCounters = {
  readOps: 67n,
  readBytes: 1_101_824n,
  readTimeUs: 4284n,
  readBins: documentedBins({ 5: 12, 6: 45, 7: 10 }),
  writeBins: documentedBins(),
  bands: [
    { sizeBound: 512, reads: { 5: 2n } },
    { sizeBound: 4096, reads: { 5: 10n, 6: 25n } },
    { sizeBound: 8192 },
    { sizeBound: 32_768, reads: { 6: 20n, 7: 9n } },
    { sizeBound: UNBOUNDED_SIZE, reads: { 7: 1n } },
  ],
};

export const HEALTHY: SmartValues = {
  temperatureKelvin: 314,
  availableSparePercent: 98,
  availableSpareThresholdPercent: 10,
  usedPercent: 4,
  dataUnitsRead: 48_210_334n,
  dataUnitsWritten: 61_034_551n,
  hostReadCommands: 912_334_021n,
  hostWriteCommands: 1_402_551_920n,
  controllerBusyMinutes: 4120n,
  powerCycles: 21n,
  powerOnHours: 9120n,
  unsafeShutdowns: 2n,
  errorLogEntries: 5n,
  sensorsKelvin: [314, 321],
};

export const NO_DEVICE: HostDescription = { controllers: [] };

export const ONE_EBS_VOLUME: HostDescription = {
  controllers: [specifiedEbsVolume("nvme0")],
};

export const MULTIPATH: HostDescription = {
  controllers: [
    ordinaryDrive("nvme0"),
    fabricPath("nvme1", "tcp", "live", [
      { name: "nvme1n1", path: "nvme1c1n1", anaState: "optimized", ...sharedDisk(1) },
      { name: "nvme1n2", path: "nvme1c1n2", anaState: "non-optimized", ...sharedDisk(2) },
    ]),
    fabricPath("nvme2", "tcp", "live", [
      { name: "nvme1n1", path: "nvme1c2n1", anaState: "inaccessible", ...sharedDisk(1) },
      { name: "nvme1n2", path: "nvme1c2n2", anaState: "optimized", ...sharedDisk(2) },
    ]),
    fabricPath("nvme3", "tcp", "connecting", [
      { name: "nvme1n1", path: "nvme1c3n1", anaState: "persistent-loss", ...sharedDisk(1) },
    ]),
    // A head that the kernel has not made yet, and a namespace whose name is that of another controller.
    drive({
      ...identityOf("nvme4", "EXPATHS00004"),
      subsystem: 9,
      namespaces: [
        { name: "nvme9n1", path: "nvme9c4n1", ...sharedDisk(1), headMissing: true },
        { name: "nvme7n3", nsid: 3, blocks: 2_097_152n },
      ],
      smart: HEALTHY,
    }),
  ],
};

export const MIXED: HostDescription = {
  controllers: [
    specifiedEbsVolume("nvme0"),
    ...Array.from({ length: 7 }, (_, i) => busyEbsVolume(i + 1)),
    ...Array.from({ length: 3 }, (_, i) => busyInstanceStore(i + 8)),
    instanceStore({
      name: "nvme11",
      serial: "AWS0123456789ABCDEFB",
      sizeBytes: 1900n * 1000n ** 3n,
      counters: { ...INSTANCE_STORE_COUNTERS, version: 0 },
    }),
    ...[12, 13, 14].map((number) => ordinaryDrive(`nvme${number}`)),
    drive({
      ...identityOf("nvme15", "EX4K00000015"),
      identity: { totalCapacityBytes: 2_001_111_162_880n },
      namespaces: [
        {
          name: "nvme15n1",
          nsid: 1,
          blocks: 488_552_530n,
          logicalBlockBytes: 4096,
          usedBlocks: 488_552_530n,
        },
      ],
      smart: HEALTHY,
    }),
    drive({
      ...identityOf("nvme16", "EX4K00000016"),
      namespaces: [1, 2, 5].map((nsid) => ({
        name: `nvme16n${nsid}`,
        nsid,
        blocks: 1_000_000n * BigInt(nsid),
        logicalBlockBytes: 4096,
        usedBlocks: 4096n,
      })),
      smart: HEALTHY,
    }),
    drive({
      ...identityOf("nvme17", "EXNONS000017"),
      identity: { totalCapacityBytes: 3_840_755_982_336n, unallocatedCapacityBytes: 3_840_755_982_336n },
      namespaces: [],
      smart: HEALTHY,
    }),
    drive({
      ...identityOf("nvme18", "EXWORN000018"),
      namespaces: [disk("nvme18")],
      smart: {
        ...HEALTHY,
        criticalWarning: 0b1101,
        availableSparePercent: 3,
        usedPercent: 117,
        mediaErrors: 214n,
        errorLogEntries: 1093n,
      },
    }),
    drive({
      ...identityOf("nvme19", "EXHOT0000019"),
      identity: { warningTemperatureKelvin: 343, criticalTemperatureKelvin: 358 },
      namespaces: [disk("nvme19")],
      smart: {
        ...HEALTHY,
        criticalWarning: 0b10,
        temperatureKelvin: 351,
        sensorsKelvin: [351, 0, 360, 0, 0, 0, 0, 340],
        warningTemperatureMinutes: 213,
        criticalTemperatureMinutes: 7,
        thermalManagement1Transitions: 88,
        thermalManagement2Transitions: 3,
        thermalManagement1Seconds: 4410,
        thermalManagement2Seconds: 61,
      },
    }),
    drive({ ...identityOf("nvme20", "EXVIRT000020"), namespaces: [disk("nvme20")], smart: {} }),
    drive({
      ...identityOf("nvme21", "EXRESET00021"),
      state: "resetting",
      namespaces: [disk("nvme21")],
      smart: HEALTHY,
    }),
    drive({
      ...identityOf("nvme22", "EXHUGE000022"),
      namespaces: [disk("nvme22")],
      smart: {
        ...HEALTHY,
        dataUnitsRead: 2n ** 53n + 1n,
        dataUnitsWritten: 2n ** 63n,
        hostReadCommands: 2n ** 64n - 1n,
        hostWriteCommands: 2n ** 64n,
        controllerBusyMinutes: 2n ** 100n,
        powerOnHours: 2n ** 128n - 1n,
      },
    }),
    drive({
      ...identityOf("nvme23", "EXFABRIC0023"),
      transport: "rdma",
      namespaces: [disk("nvme23")],
      smart: HEALTHY,
    }),
  ],
};

/** What the specification's table 'bad, missing, hostile input' names, one host a case; beside it a healthy drive. */
export const FAILURES: Readonly<Record<string, HostDescription>> = {
  "no class nvme": { controllers: [], listing: "missing" },
  "class nvme unreadable": { controllers: [], listing: "unreadable" },

  "controller not live": beside({ ...ordinaryDrive("nvme0"), state: "connecting" }),
  "open: permission denied": beside({ ...ordinaryDrive("nvme0"), node: { kind: "unopenable", errno: 13 } }),
  "command: permission denied": beside(smartAnswers(answers.fails(answers.SMART, 13))),
  "command: operation not permitted": beside(smartAnswers(answers.fails(answers.SMART, 1))),
  "open: no node": beside({ ...ordinaryDrive("nvme0"), node: { kind: "missing" } }),
  "open: another device": beside({ ...ordinaryDrive("nvme0"), node: { kind: "other_device", dev: "1:3" } }),
  "open: an ordinary file": beside({ ...ordinaryDrive("nvme0"), node: { kind: "ordinary_file" } }),
  "command: device gone": beside(everyAnswer(ordinaryDrive("nvme0"), (asked) => answers.fails(asked, 19))),
  "command: not a tty": beside(smartAnswers(answers.fails(answers.SMART, 25))),
  "status: invalid namespace": beside(smartAnswers(answers.refuses(answers.SMART, 0x400b))),
  "status: invalid log page": beside(smartAnswers(answers.refuses(answers.SMART, 0x4109))),
  "status: invalid field": beside(
    withAnswers(specifiedEbsVolume("nvme0"), answers.refuses(answers.EBS, 0x4002)),
  ),
  "device hangs": beside(smartAnswers({ ...answers.hangs(answers.SMART), delayMs: 3000 })),
  "identify hangs": beside(
    withAnswers(specifiedEbsVolume("nvme0"), { ...answers.hangs(answers.CONTROLLER), delayMs: 3000 }),
  ),
  "smart all zero": beside(drive({ ...identityOf("nvme0"), namespaces: [disk("nvme0")], smart: {} })),
  "smart saturated": beside(smartAnswers(answers.shows(answers.SMART, new Uint8Array(512).fill(0xff)))),
  "sysfs files missing": beside({
    ...ordinaryDrive("nvme0"),
    files: { model: undefined, firmware_rev: undefined, subsysnqn: undefined, address: undefined },
    namespaces: [
      {
        name: "nvme0n1",
        nsid: 1,
        blocks: 976_773_168n,
        files: { "queue/logical_block_size": undefined, size: undefined },
      },
    ],
  }),
  "identify fails, no nuse": beside(
    withAnswers(ordinaryDrive("nvme0"), answers.refuses(answers.namespace(1), 0x4002)),
  ),
  "amazon model of another vendor": beside(
    withAnswers(
      specifiedEbsVolume("nvme0"),
      answers.shows(
        answers.CONTROLLER,
        identifyController({ vendorId: 0x1234, model: EBS_MODEL, serial: "vol0123456789abcdef0" }),
      ),
    ),
  ),
  "instance store model of another vendor": beside(
    withAnswers(
      specifiedInstanceStore("nvme0"),
      answers.shows(answers.CONTROLLER, identifyController({ vendorId: 0, model: INSTANCE_STORE_MODEL })),
    ),
  ),
  "ebs wrong magic": beside(ebsWith({ magic: 0x12345678 })),
  "ebs zeros": beside(
    withAnswers(specifiedEbsVolume("nvme0"), answers.shows(answers.EBS, new Uint8Array(4096))),
  ),
  "instance store wrong magic": beside(instanceStoreWith({ magic: 0x3c23b510 })),
  "ebs 65 bins": beside(ebsWith({ readBinCount: 65n })),
  "ebs bounds descend": beside(ebsWith({ writeBins: documentedBins({ 3: 1 }).reverse() })),
  "ebs lower above upper": beside(
    ebsWith({
      readBins: documentedBins({ 3: 7 }).map((bin, i) => (i === 3 ? { ...bin, lowerUs: 1000n } : bin)),
    }),
  ),
  "ebs no bins": beside(ebsWith({ readBins: [], writeBins: [] })),
  "ebs reserved number set": beside(
    ebsWith({
      readBins: documentedBins({ 9: 15_869, 10: 43_877, 11: 514, 12: 66, 13: 3 }).map((bin, i) =>
        i === 9 ? { ...bin, reserved: 1 } : bin,
      ),
    }),
  ),
  "instance store 9 bands": beside(instanceStoreWith({ bandCount: 9 })),
  "instance store sizes descend": beside(
    instanceStoreWith({ bands: [{ sizeBound: 4096 }, { sizeBound: 512 }, { sizeBound: UNBOUNDED_SIZE }] }),
  ),
  "instance store detail refused": beside(
    withAnswers(specifiedInstanceStore("nvme0"), answers.refuses(answers.INSTANCE_STORE_DETAIL, 0x400b)),
  ),
  "instance store detail unsupported": beside(
    withAnswers(specifiedInstanceStore("nvme0"), answers.refuses(answers.INSTANCE_STORE_DETAIL, 0x4002)),
  ),
  "instance store version 0": beside(instanceStoreWith({ version: 0 })),
  "instance store 64 write bins": beside(
    instanceStoreWith({
      writeBins: Array.from({ length: 64 }, (_, i) => ({
        lowerUs: BigInt(i),
        upperUs: BigInt(i + 1),
        count: 0,
      })),
    }),
  ),
  "ebs without namespace": beside({ ...specifiedEbsVolume("nvme0"), namespaces: [] }),
  "70 namespaces": beside(
    drive({
      ...identityOf("nvme0"),
      namespaces: Array.from({ length: 70 }, (_, i) => ({
        name: `nvme0n${i + 1}`,
        nsid: i + 1,
        blocks: 2048n * BigInt(i + 1),
      })),
      smart: HEALTHY,
    }),
  ),
  "odd text": beside({
    ...ordinaryDrive("nvme0"),
    files: {
      model: Uint8Array.of(
        0x20,
        0x22,
        0x41,
        0x5c,
        0x0a,
        0x42,
        0xc3,
        0xa4,
        0x07,
        0x7f,
        0x22,
        0x20,
        0x20,
        0x0a,
      ),
      serial: Uint8Array.of(0x53, 0x31, 0x00, 0x00, 0x00, 0x0a),
      firmware_rev: "   \n",
    },
  }),
  "foreign mapping text": beside(
    withAnswers(
      specifiedEbsVolume("nvme0"),
      answers.shows(
        answers.CONTROLLER,
        identifyController({
          vendorId: AMAZON_VENDOR,
          model: EBS_MODEL,
          serial: "vol0123456789abcdef0",
          mapping: "sdf\u0007\u0001junk",
        }),
      ),
    ),
  ),
};

function beside(failing: ControllerDescription): HostDescription {
  return { controllers: [failing, ordinaryDrive("nvme1")] };
}

/** These answers in the place of those that the controller had to the same commands. */
function withAnswers(
  controller: ControllerDescription,
  ...replaced: RecordedAnswer[]
): ControllerDescription {
  return { ...controller, answers: [...replaced, ...controller.answers] };
}

function everyAnswer(
  controller: ControllerDescription,
  replace: (asked: RecordedAnswer) => RecordedAnswer,
): ControllerDescription {
  return { ...controller, answers: controller.answers.map(replace) };
}

function smartAnswers(answer: RecordedAnswer): ControllerDescription {
  return withAnswers(ordinaryDrive("nvme0"), answer);
}

function ebsWith(counters: AmazonCounters): ControllerDescription {
  return withAnswers(
    specifiedEbsVolume("nvme0"),
    answers.shows(answers.EBS, ebsPage({ ...EBS_COUNTERS, ...counters })),
  );
}

function instanceStoreWith(counters: InstanceStoreCounters): ControllerDescription {
  const { first, detail } = instanceStorePages({ ...INSTANCE_STORE_COUNTERS, ...counters });
  return withAnswers(
    specifiedInstanceStore("nvme0"),
    answers.shows(answers.INSTANCE_STORE, first),
    answers.shows(answers.INSTANCE_STORE_DETAIL, detail),
  );
}

function specifiedEbsVolume(name: string): ControllerDescription {
  return ebsVolume({
    name,
    serial: "vol0123456789abcdef0",
    mapping: "sdf",
    sizeBytes: 100n * GIB,
    counters: EBS_COUNTERS,
  });
}

function specifiedInstanceStore(name: string): ControllerDescription {
  return instanceStore({
    name,
    serial: "AWS0123456789ABCDEF0",
    mapping: "ephemeral0:sdb",
    sizeBytes: 900n * 1000n ** 3n,
    counters: INSTANCE_STORE_COUNTERS,
  });
}

/** Numbers that differ from volume to volume, so that one taken for another shows. */
function busyEbsVolume(number: number): ControllerDescription {
  const n = BigInt(number);
  return ebsVolume({
    name: `nvme${number}`,
    serial: `vol0${number}0000000000000a`.padEnd(20, String(number)),
    mapping: `/dev/sd${String.fromCharCode(102 + number)}`,
    sizeBytes: 64n * GIB * n,
    counters: {
      version: number % 2,
      readOps: 1_000_003n * n,
      writeOps: 500_009n * n,
      readBytes: 16_384n * 1_000_003n * n,
      writeBytes: 65_536n * 500_009n * n,
      readTimeUs: 612_345_678n * n,
      writeTimeUs: 823_456_789n * n,
      volumeIopsExceededUs: 7_000_001n * n,
      volumeThroughputExceededUs: 5_000_003n * n,
      instanceIopsExceededUs: 3_000_007n * n,
      instanceThroughputExceededUs: 1_000_009n * n,
      queueLength: n,
      readBins: documentedBins({ 9: 600_000 * number, 10: 400_003 * number }),
      writeBins: documentedBins({ 10: 500_000 * number, 14: 9 * number }),
    },
  });
}

function busyInstanceStore(number: number): ControllerDescription {
  const n = BigInt(number);
  return instanceStore({
    name: `nvme${number}`,
    serial: `AWS0123456789ABCDEF${number.toString(16).toUpperCase()}`,
    sizeBytes: 1900n * 1000n ** 3n,
    counters: {
      readOps: 100n * n,
      writeOps: 60n * n,
      readBytes: 409_600n * n,
      writeBytes: 491_520n * n,
      readTimeUs: 8500n * n,
      writeTimeUs: 1700n * n,
      instanceIopsExceededUs: 11n * n,
      instanceThroughputExceededUs: 13n * n,
      queueLength: n - 8n,
      readBins: documentedBins({ 6: 80 * number, 7: 20 * number }),
      writeBins: documentedBins({ 4: 40 * number, 5: 20 * number }),
      bands: [512, 4096, 8192, 32_768, UNBOUNDED_SIZE].map((sizeBound, band) => ({
        sizeBound,
        reads: { 6: 16n * n, 7: BigInt(band) * n },
        writes: { 4: 8n * n, 5: BigInt(band + 1) * n },
      })),
    },
  });
}

function identityOf(
  name: string,
  serial = "EXAMPLE00001",
): Pick<Drive, "name" | "model" | "serial" | "firmware"> {
  return { name, model: "Example Datacenter SSD", serial, firmware: "EDA5402Q" };
}

function disk(controller: string): NamespaceDescription {
  return { name: `${controller}n1`, nsid: 1, blocks: 976_773_168n };
}

function ordinaryDrive(name: string): ControllerDescription {
  return drive({
    ...identityOf(name, `EXPLAIN${name.slice(4).padStart(5, "0")}`),
    identity: {
      warningTemperatureKelvin: 343,
      criticalTemperatureKelvin: 358,
      totalCapacityBytes: 500_107_862_016n,
    },
    namespaces: [disk(name)],
    smart: HEALTHY,
  });
}

function fabricPath(
  name: string,
  transport: string,
  state: string,
  namespaces: readonly NamespaceDescription[],
): ControllerDescription {
  return drive({
    name,
    model: "Example Fabric Array",
    serial: "EXSHARED0001",
    firmware: "3.1",
    transport,
    state,
    subsystem: 1,
    namespaces,
    smart: HEALTHY,
  });
}

function sharedDisk(
  nsid: number,
): Pick<NamespaceDescription, "nsid" | "blocks" | "logicalBlockBytes" | "usedBlocks"> {
  return { nsid, blocks: 1_000_000n * BigInt(nsid), logicalBlockBytes: 4096, usedBlocks: 900_000n };
}
