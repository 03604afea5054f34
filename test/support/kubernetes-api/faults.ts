/** What goes wrong, where, and how often. */
import type { Fault, FaultHandle, FaultPlace } from "./contract.ts";

interface Asking {
  readonly verb: string;
  readonly resource: string;
  readonly subresource: string | undefined;
  readonly name: string | undefined;
}

export class Faults {
  readonly #planned: Planned[] = [];

  add(fault: Fault, place: FaultPlace = {}): FaultHandle {
    const planned = new Planned(fault, place);
    this.#planned.push(planned);
    return planned;
  }

  /** The one that strikes this request. */
  strike(asking: Asking): Fault | undefined {
    const planned = this.#planned.find((one) => one.fits(asking));
    if (planned !== undefined) planned.hits++;
    return planned?.fault;
  }
}

class Planned implements FaultHandle {
  readonly fault: Fault;
  hits = 0;
  readonly #place: FaultPlace;
  #isOver = false;

  constructor(fault: Fault, place: FaultPlace) {
    this.fault = fault;
    this.#place = place;
  }

  fits(asking: Asking): boolean {
    const { verb, resource, subresource, name, times = Number.POSITIVE_INFINITY } = this.#place;
    const isWatchFault = this.fault.kind === "mute-watch" || this.fault.kind === "gone-watch";
    return (
      !this.#isOver &&
      this.hits < times &&
      (!isWatchFault || asking.verb === "watch") &&
      (verb === undefined || verb === asking.verb) &&
      (resource === undefined || resource === asking.resource) &&
      (subresource === undefined || subresource === asking.subresource) &&
      (name === undefined || name === asking.name)
    );
  }

  end(): void {
    this.#isOver = true;
  }

  [Symbol.dispose](): void {
    this.end();
  }
}
