import { ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId, NetworkId } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";
import type { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { ContextNetwork } from "#drivers/guest/context/content.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { layCables } from "./cable.ts";
import { qemuArguments } from "./command/command.ts";
import type { MachineSpec } from "./command/spec.ts";
import { contextOf, writeContextDisk } from "./context-disk.ts";
import { writeLaunch } from "./launch.ts";
import type { Machine } from "./machine.ts";
import type { Mover } from "./mover.ts";
import { isFailure } from "./patience.ts";
import { specOf } from "./spec-of.ts";
import type { Starter } from "./starter.ts";
import type { MachineStorage } from "./storage.ts";

export type StartParts = {
  readonly blobs: Pick<BlobStore, "path">;
  readonly storage: MachineStorage;
  /** In this order. */
  readonly starters?: readonly Starter[];
  readonly mover?: Mover;
  /** Of this host's processors, for emulated machines. */
  readonly clockKhz: number | undefined;
  readonly subprocess: Subprocess;
  readonly random: Random;
};

/** What has to be there before a machine's QEMU runs: disks, context, cables, command line. */
export class MachineStart {
  readonly #parts: StartParts;
  readonly #slots: TaskDriver;
  readonly #onChange: () => void;
  readonly #preparing = new Map<ApplianceId, Promise<void>>();
  networks: ReadonlyMap<NetworkId, ContextNetwork> = new Map();

  constructor(parts: StartParts, slots: TaskDriver, onChange: () => void) {
    this.#parts = parts;
    this.#slots = slots;
    this.#onChange = onChange;
  }

  /** Its disks; one attempt at a time, and the next one only when that has failed. */
  prepare(machine: Machine): Promise<void> {
    const { id } = machine;
    if (machine.record.disks !== undefined) return Promise.resolve();
    const under = this.#preparing.get(id);
    if (under !== undefined) return under;
    const work = this.#makeDisks(machine).finally(() => {
      this.#preparing.delete(id);
      this.#onChange();
    });
    this.#preparing.set(id, work);
    return work;
  }

  /** Resolves when nothing is being made for it, or for anybody. */
  async settled(id?: ApplianceId): Promise<void> {
    const all = [...this.#preparing].filter(([one]) => id === undefined || one === id);
    await Promise.allSettled(all.map(([, work]) => work));
  }

  /** Its slot runs QEMU then; its guest does not go on yet. */
  async begin(machine: Machine, signal: AbortSignal): Promise<void> {
    const { id, record, place } = machine;
    if (record.run === undefined) machine.creation.begin();
    const slot = this.#slot(id);
    const spec = this.#bootSpec(machine, slot.uid);
    const cables = { netns: slot.netns, uid: slot.uid, interfaces: record.plan.interfaces };
    const [way] = await Promise.all([
      record.run?.up === true ? undefined : this.#otherWay(machine, spec, slot.uid, signal),
      layCables(cables, this.#parts.subprocess, signal),
    ]);
    machine.way = way;
    writeLaunch(place.directory, qemuArguments(way?.spec ?? spec));
    if (way === undefined) machine.creation.end("set up");
    // It times its stages by itself.
    else machine.creation.over();
    await this.#slots.start(id, signal);
  }

  /** Should a run that began in another way end, the next one boots from its disks as they are then. */
  bootNext(machine: Machine): void {
    const { uid } = this.#slot(machine.id);
    writeLaunch(machine.place.directory, qemuArguments(this.#bootSpec(machine, uid)));
  }

  async #otherWay(
    machine: Machine,
    spec: MachineSpec,
    uid: number,
    signal: AbortSignal,
  ): Promise<Machine["way"]> {
    const { networks } = this;
    const { record, place } = machine;
    const beginning = {
      record,
      place,
      uid,
      spec,
      networks,
      slots: this.#slots,
      context: (clockMs?: number) => contextOf(record, { ...this.#parts, networks }, clockMs),
    };
    for (const starter of this.#parts.starters ?? []) {
      const way = await starter.begin(beginning, signal).catch((cause: unknown) => {
        const isOver = signal.aborted || machine.closing.aborted;
        if (!isOver && isFailure(record.plan, cause)) machine.noteRefusal("memory", cause);
        throw cause;
      });
      if (way !== undefined) return way;
    }
    return undefined;
  }

  async #makeDisks(machine: Machine): Promise<void> {
    const { uid } = this.#slot(machine.id);
    machine.problem = "Its disks are being made";
    try {
      const request = { plan: machine.record.plan, directory: machine.place.directory, uid };
      const told = (stage: string, tookMs: Millis): void => machine.creation.add(stage, tookMs);
      const disks = await this.#parts.storage.prepare(request, told, machine.closing);
      machine.closing.throwIfAborted();
      machine.save({ disks, stages: machine.creation.stages });
      machine.problem = undefined;
    } catch (cause) {
      machine.problem = messageOf(cause);
      if (!machine.closing.aborted) machine.noteRefusal("content", cause);
      throw cause;
    }
  }

  #bootSpec({ record, place }: Machine, uid: number): MachineSpec {
    const { blobs, clockKhz } = this.#parts;
    const at = { directory: place.directory, uid };
    const context = writeContextDisk(at, contextOf(record, { ...this.#parts, networks: this.networks }));
    const spec = specOf(record, [...(record.disks ?? []), context], {
      inside: (file) => place.inside(file),
      blobFile: ({ digest }) => blobs.path(digest),
      clockKhz,
    });
    return this.#parts.mover?.bootable(record.plan.id, spec) ?? spec;
  }

  #slot(id: ApplianceId): { readonly uid: number; readonly netns: string } {
    const slot = this.#slots.slotOf(id);
    if (slot !== undefined) return slot;
    throw new ConsortError("not_found", `Cannot start ${id}: it is not here, it has to be created first`);
  }
}
