/**
 * The questions that one scrape puts to one controller, in turn. Each fault is noted once, and after one that
 * concerns the device and not the page nothing more is asked.
 */
import { getSystemErrorName } from "node:util";
import { match } from "ts-pattern";
import type { ScrapeContext } from "../metrics/collector.ts";
import type { AdminCommand, Answer, Controller, Devices, Page } from "./model.ts";
import type { Decoded, Problem } from "./problem.ts";

export type Asked<Contents> =
  /** `readAt` as in `Answer`. */
  | { readonly kind: "page"; readonly page: Contents; readonly readAt: number }
  /** The page came and has nothing in it. */
  | { readonly kind: "empty" }
  /** The device has no such page. */
  | { readonly kind: "absent" }
  | { readonly kind: "failed" };

export class Interview {
  readonly problems: Problem[] = [];
  /** Names of the pages that were read and made sense. */
  readonly pages: string[] = [];
  readonly #devices: Devices;
  readonly #controller: Controller;
  readonly #context: ScrapeContext;
  #over = false;

  constructor(devices: Devices, controller: Controller, context: ScrapeContext) {
    this.#devices = devices;
    this.#controller = controller;
    this.#context = context;
  }

  /** Never rejects. */
  async ask<Contents>(
    command: AdminCommand,
    decode: (bytes: Uint8Array) => Decoded<Contents>,
  ): Promise<Asked<Contents>> {
    if (this.#over) return { kind: "failed" };
    const answer = await this.#devices.ask(this.#controller, command, this.#context);
    if (answer.kind === "known_unsupported") return { kind: "absent" };
    if (answer.kind !== "page") {
      this.note(problemOf(this.#controller, command.page, answer));
      if (answer.kind === "unsupported_page") return { kind: "absent" };
      this.#over = answer.kind !== "status";
      return { kind: "failed" };
    }
    const { page, problems } = decode(answer.bytes);
    for (const problem of problems) this.note(problem);
    if (page === undefined) {
      return { kind: problems.every((problem) => problem.reason === "empty_page") ? "empty" : "failed" };
    }
    if (!this.pages.includes(PAGE_NAMES[command.page])) this.pages.push(PAGE_NAMES[command.page]);
    return { kind: "page", page, readAt: answer.readAt };
  }

  /** Only the first problem of a reason: a scrape counts each once. */
  note(problem: Problem): void {
    if (this.problems.every(({ reason }) => reason !== problem.reason)) this.problems.push(problem);
  }
}

export const PAGE_NAMES: Readonly<Record<Page, string>> = {
  identify_controller: "Identify Controller",
  identify_namespace: "Identify Namespace",
  smart: "SMART log page",
  ebs: "EBS statistics (log page D0h)",
  instance_store: "instance-store statistics (log page D0h)",
  instance_store_detail: "second half of the instance-store statistics (log page D0h)",
};

type Fault = Exclude<Answer, { readonly kind: "page" | "known_unsupported" }>;

/** What a fault means, and what to do about it. */
export function problemOf(controller: Controller, page: Page, fault: Fault): Problem {
  const problem = explain(controller, PAGE_NAMES[page], fault);
  // The second half is an addition to the first, so its loss is one thing to count whatever the cause, but for a device
  // that does not have it: that is told once and never over.
  const isDetail = page === "instance_store_detail" && fault.kind !== "unsupported_page";
  return isDetail ? { ...problem, reason: "detail" } : problem;
}

const explain = (controller: Controller, page: string, fault: Fault): Problem =>
  match(fault)
    .returnType<Problem>()
    .with({ kind: "status" }, ({ status }) => ({
      reason: "nvme_status",
      detail: `the device refused ${page} with ${statusName(status)}`,
    }))
    .with({ kind: "unsupported_page" }, ({ kind, status }) => ({
      reason: kind,
      detail: `the device does not have ${page}: it answered ${statusName(status)}`,
      remedy: "nothing to do; it is not asked again until its serial number or firmware changes",
    }))
    .with({ kind: "not_live" }, ({ kind }) => ({
      reason: kind,
      detail: `the controller is in state "${controller.state}" and is asked only while it is "live"`,
      remedy: "look at the kernel log for the cause",
    }))
    .with({ kind: "permission" }, ({ kind, errno }) => ({
      reason: kind,
      detail: `no permission to read ${page} (${errnoName(errno)})`,
      remedy: PERMISSION_REMEDY,
    }))
    .with({ kind: "open" }, ({ kind, errno }) => ({
      reason: kind,
      detail: `the device node of ${controller.name} cannot be opened (${errnoName(errno)})`,
      remedy: `see that ${controller.name} is in --path.devfs and that no sandbox hides it (DeviceAllow=, a container's /dev)`,
    }))
    .with({ kind: "not_a_device" }, ({ kind }) => ({
      reason: kind,
      detail: `the device node of ${controller.name} is not the character device ${controller.dev ?? "that sysfs names"}`,
      remedy: "find out what put it there; udev makes the right one",
    }))
    .with({ kind: "ioctl" }, ({ kind, errno }) => ({
      reason: kind,
      detail: `asking for ${page} failed (${errnoName(errno)})`,
      remedy: "the device may be gone; look at the kernel log",
    }))
    .with({ kind: "timeout" }, ({ kind }) => ({
      reason: kind,
      detail: `no answer for ${page} within the time there is`,
      remedy: "nothing more is sent until the kernel ends the command (60 s); look at the kernel log",
    }))
    .with({ kind: "busy" }, ({ kind }) => ({
      reason: kind,
      detail: "an earlier command is still pending, so nothing was asked",
      remedy: "the kernel ends it after 60 s; look at its log",
    }))
    .exhaustive();

export const PERMISSION_REMEDY =
  "plumbline needs CAP_SYS_ADMIN for log pages, and CAP_DAC_READ_SEARCH to open the node as a user other than root: " +
  "run it as root, or with AmbientCapabilities=CAP_SYS_ADMIN CAP_DAC_READ_SEARCH as systemd/plumbline.service does";

const errnoName = (errno: number): string => {
  try {
    return `${getSystemErrorName(-errno)}, errno ${errno}`;
  } catch {
    return `errno ${errno}`;
  }
};

/** Status code type and status code: NVM Express Base Specification, figures "Generic" and "Command Specific". */
const STATUS_NAMES: Readonly<Record<number, string>> = {
  1: "Invalid Command Opcode",
  2: "Invalid Field in Command",
  4: "Data Transfer Error",
  5: "Commands Aborted due to Power Loss Notification",
  6: "Internal Error",
  7: "Command Abort Requested",
  8: "Command Aborted due to SQ Deletion",
  11: "Invalid Namespace or Format",
  12: "Command Sequence Error",
  33: "Command Interrupted",
  34: "Transient Transport Error",
  265: "Invalid Log Page",
  768: "Internal Path Error",
  770: "Asymmetric Access Inaccessible",
  771: "Asymmetric Access Transition",
};

const statusName = (status: number): string => {
  const name = STATUS_NAMES[status & 0x7ff];
  const code = `NVMe status 0x${status.toString(16).toUpperCase().padStart(4, "0")}`;
  return name === undefined ? code : `${code} (${name})`;
};
