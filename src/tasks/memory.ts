import { ConsortError } from "#base/errors.ts";
import { bytes, formatBytes } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { PromiseLedger } from "#drivers/promises/port.ts";
import type { GroupTree } from "./process-factory.ts";
import type { ResourceManager } from "./manager.ts";
import type { Memory } from "./physical.ts";
import type { AbstractResource } from "./resource.ts";
import type { VirtualTaskMachine } from "./virtual-task-machine.ts";

/** Memory of a machine: all its processes together never have more, and all machines together no more than the host. */
export class MemoryBuffer implements AbstractResource {
  readonly kind = "memory-buffer";
  readonly level = "virtual";
  readonly machine: VirtualTaskMachine;
  readonly #memory: Memory;
  /** Kept by its manager; 0: nothing is reserved. */
  size: Bytes = bytes(0);

  constructor(machine: VirtualTaskMachine, memory: Memory) {
    this.machine = machine;
    this.#memory = memory;
  }

  get name(): string {
    return `${this.machine.name}/memory`;
  }

  higher(): readonly AbstractResource[] {
    return [this.machine];
  }

  lower(): readonly AbstractResource[] {
    return [this.#memory];
  }
}

/** Builds a machine's memory buffer, from the host's memory. */
export class MemoryFactory {
  readonly #memory: Memory;
  readonly #manager: MemoryManager;

  constructor(memory: Memory, manager: MemoryManager) {
    this.#memory = memory;
    this.#manager = manager;
  }

  create(machine: VirtualTaskMachine, size: Bytes): MemoryBuffer {
    const buffer = machine.memory ?? new MemoryBuffer(machine, this.#memory);
    this.#manager.reserve(buffer, size);
    return buffer;
  }
}

/** Divides the host's memory among machines. Its only policy is a limit kept by the kernel. */
export class MemoryManager implements ResourceManager<MemoryBuffer, Bytes, "limit"> {
  readonly #capacity: Bytes;
  readonly #groups: GroupTree | undefined;
  readonly #promises: PromiseLedger;
  readonly #buffers = new Set<MemoryBuffer>();

  constructor(capacity: Bytes, groups: GroupTree | undefined, promises: PromiseLedger) {
    this.#capacity = capacity;
    this.#groups = groups;
    this.#promises = promises;
  }

  /** That a machine uses more already than it is to have is only found by `reserve`: the kernel may free some of it. */
  admit(buffer: MemoryBuffer, size: Bytes): void {
    const memoryBytes = this.#admit(new Map([[buffer, size]]));
    this.#promises.admit(`reserve memory for ${buffer.name}`, { memoryBytes });
  }

  /** Throws `unsupported` without control groups, `conflict` when more is in use than is to be allowed. */
  reserve(buffer: MemoryBuffer, size: Bytes): void {
    this.adapt(new Map([[buffer, size]]));
  }

  expel(buffer: MemoryBuffer): void {
    if (buffer.size === 0) return;
    this.#write(buffer, bytes(0));
    buffer.size = bytes(0);
    this.#promises.promise(`give back memory of ${buffer.name}`, { memoryBytes: this.#reserved() });
  }

  adapt(changes: ReadonlyMap<MemoryBuffer, Bytes>): void {
    const wanted = this.#admit(changes);
    const before = this.#reserved();
    const names = [...changes.keys()].map(({ name }) => name).join(", ");
    const promise = (memoryBytes: number) =>
      this.#promises.promise(`reserve memory for ${names}`, { memoryBytes });
    // More is promised before it may be used, less when it no longer may.
    if (wanted > before) promise(wanted);
    const written: MemoryBuffer[] = [];
    try {
      for (const [buffer, size] of changes) {
        this.#write(buffer, size);
        written.push(buffer);
      }
    } catch (cause) {
      for (const buffer of written) this.#write(buffer, buffer.size);
      if (wanted > before) promise(before);
      throw cause;
    }
    for (const [buffer, size] of changes) {
      buffer.size = size;
      this.addResource(buffer);
    }
    if (wanted < before) promise(wanted);
  }

  getResources(): readonly MemoryBuffer[] {
    return [...this.#buffers];
  }

  addResource(buffer: MemoryBuffer): void {
    buffer.machine.memory = buffer;
    this.#buffers.add(buffer);
  }

  removeResource(buffer: MemoryBuffer): void {
    this.expel(buffer);
    this.#buffers.delete(buffer);
    buffer.machine.memory = undefined;
  }

  getPolicy(): "limit" {
    return "limit";
  }

  setPolicy(policy: "limit"): void {
    if (policy !== this.getPolicy())
      throw new ConsortError(
        "unsupported",
        `Cannot divide memory by ${String(policy)}: limit is the only policy`,
      );
  }

  #reserved(): number {
    return [...this.#buffers].reduce((sum, { size }) => sum + size, 0);
  }

  /** What is reserved in all then. */
  #admit(changes: ReadonlyMap<MemoryBuffer, Bytes>): number {
    if (this.#groups === undefined)
      throw new ConsortError(
        "unsupported",
        "Cannot reserve memory: this program may not make control groups, which keep it",
      );
    let sum = 0;
    for (const [buffer, size] of changes) {
      buffer.machine.mustBeThere(`reserve memory for ${buffer.name}`);
      if (!Number.isInteger(size) || size <= 0)
        throw new ConsortError(
          "bad_input",
          `Cannot reserve ${size} bytes for ${buffer.name}: a size above 0 is needed`,
        );
      sum += size;
    }
    for (const buffer of this.#buffers) if (!changes.has(buffer)) sum += buffer.size;
    if (sum > this.#capacity)
      throw new ConsortError(
        "unsatisfiable",
        `Cannot reserve memory for ${[...changes.keys()].map((buffer) => buffer.name).join(", ")}: ${formatBytes(bytes(sum))} would be reserved, the host has ${formatBytes(this.#capacity)}`,
      );
    return sum;
  }

  #write(buffer: MemoryBuffer, size: Bytes): void {
    const path = buffer.machine.team.cgroupPath;
    if (this.#groups === undefined || path === undefined) return;
    const group = this.#groups.cgroups.open(path);
    group.create();
    group.setMemory(size === 0 ? "max" : size);
    group.close();
  }
}
