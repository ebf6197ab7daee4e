import type { BitsPerSecond, Bytes, MilliCpu } from "#base/units.ts";
import type { AbstractResource } from "./resource.ts";

type Above = () => readonly AbstractResource[];

/** What this host has; `above` tells what was made from it. */
abstract class PhysicalResource implements AbstractResource {
  abstract readonly kind: "processor" | "memory" | "network-interface";
  readonly level = "physical";
  readonly name: string;
  readonly #above: Above;

  constructor(name: string, above: Above) {
    this.name = name;
    this.#above = above;
  }

  higher(): readonly AbstractResource[] {
    return this.#above();
  }

  lower(): readonly AbstractResource[] {
    return [];
  }
}

export class Processor extends PhysicalResource {
  readonly kind = "processor";
  /** That may be reserved. */
  readonly capacity: MilliCpu;

  constructor(name: string, capacity: MilliCpu, above: Above) {
    super(name, above);
    this.capacity = capacity;
  }
}

export class Memory extends PhysicalResource {
  readonly kind = "memory";
  readonly capacity: Bytes;

  constructor(capacity: Bytes, above: Above) {
    super("memory", above);
    this.capacity = capacity;
  }
}

export class NetworkInterface extends PhysicalResource {
  readonly kind = "network-interface";
  /** That may be reserved for what leaves by it. */
  readonly capacity: BitsPerSecond;
  /** The same of what arrives there; undefined: nothing. */
  readonly incomingCapacity: BitsPerSecond | undefined;

  constructor(
    name: string,
    capacity: { readonly out: BitsPerSecond; readonly in: BitsPerSecond | undefined },
    above: Above,
  ) {
    super(name, above);
    this.capacity = capacity.out;
    this.incomingCapacity = capacity.in;
  }
}
