import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId, NetworkId } from "#base/ids.ts";
import type { Clock, Log, Random } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import { newIdentity } from "#drivers/guest/context/identity.ts";
import type { SegmentPlan, AppliancePlan } from "#protocol/host-plan.ts";
import type {
  ApplianceCapability,
  ApplianceDriver,
  ApplianceObservation,
  ExecRequest,
  LiveSettings,
} from "#drivers/appliance/port.ts";
import type { MachineHooks, SlotExtras } from "#drivers/appliance/task/extras.ts";
import type { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { hostMemoryOf } from "#model/vm-memory.ts";
import { agentLookMs } from "./agent.ts";
import { layCables } from "./cable.ts";
import { machineOf } from "./command/choice.ts";
import { qemuArguments } from "./command/command.ts";
import { insideDirectory } from "./command/spec.ts";
import type { MachineSpec } from "./command/spec.ts";
import { writeContextDisk } from "./context-disk.ts";
import { execInGuest } from "./guest-exec.ts";
import { machinePlan, slotPlan } from "./inner-plan.ts";
import type { Acceleration } from "./acceleration.ts";
import { writeLaunch } from "./launch.ts";
import { Machine } from "./machine.ts";
import { MachinePlace, machinesIn } from "./place.ts";
import { abortable } from "./qmp.ts";
import { readMachineRecord, writeMachineRecord } from "./record.ts";
import type { MachineRecord } from "./record.ts";
import { specOf } from "./spec-of.ts";
import type { Starter } from "./starter.ts";
import type { MachineStorage, PreparedDisk } from "./storage.ts";
import type { RunningVm } from "./vm.ts";
import { runInSlot } from "./run-in-slot.ts";

export type QemuDriverOptions = {
  /** Beside others' on the same file system as the blobs. */
  readonly stateDir: string;
  /** Makes the slots of machines and serves all other appliances by itself; with `hooks` of this driver. */
  readonly tasks: (hooks: MachineHooks) => TaskDriver;
  readonly blobs: Pick<BlobStore, "path">;
  readonly storage: MachineStorage;
  readonly acceleration: Acceleration;
  /** In this order. */
  readonly starters?: readonly Starter[];
  /** Public keys of the host manager's own, which log in to every guest. */
  readonly hostKeys: readonly string[];
  /** Of this host's processors, for emulated machines. */
  readonly clockKhz: number | undefined;
  readonly subprocess: Subprocess;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
};

/** A start that takes longer goes on by itself. */
const startWaitMs = millis(3_000);
const noGraceMs = millis(0);
const tunDevice = { name: "net/tun", major: 10, minor: 200 } as const;
const kvmDevice = { name: "kvm", major: 10, minor: 232 } as const;
const settle = (): void => {};

/**
 * Virtual machines and, passed through, all that the task driver runs: a machine is a QEMU in a slot of its. One driver
 * for both, as what they are promised is one host's.
 *
 *   create   record ─► slot (admission, namespaces, limits) ─► disks, in the background
 *   start    disks ready ─► context disk, cables, command line ─► the slot runs QEMU ─► its guest goes on
 *   recover  the slots first; then what has no slot is cleared away, and what runs is listened to again
 */
export class QemuDriver implements ApplianceDriver {
  readonly kinds = ["task", "vm"] as const;
  readonly #options: QemuDriverOptions;
  readonly #tasks: TaskDriver;
  readonly #directory: string;
  readonly #machines = new Map<ApplianceId, Machine>();
  readonly #preparing = new Map<ApplianceId, Promise<void>>();
  readonly #queues = new Map<ApplianceId, Promise<void>>();
  readonly #closing = new AbortController();
  #networks: ReadonlyMap<NetworkId, SegmentPlan> = new Map();
  #onChange: () => void = settle;

  constructor(options: QemuDriverOptions) {
    this.#options = options;
    this.#directory = join(options.stateDir, "vms");
    this.#tasks = options.tasks({
      serves: (plan) => plan.kind === "vm",
      extras: (plan, uid) => this.#extras(plan.id, uid),
      askToEnd: (id) => this.#askToEnd(id),
    });
    this.#tasks.onChange(() => this.#look());
  }

  get capabilities(): ReadonlySet<ApplianceCapability> {
    const kvm = this.#options.acceleration.kvm ? (["kvm"] as const) : [];
    return new Set([...this.#tasks.capabilities, "console" as const, ...kvm]);
  }

  /** What can be changed, copied or moved of machines whose QEMU answers. */
  running(id: ApplianceId): RunningVm | undefined {
    return this.#machines.get(id)?.running();
  }

  /** It went on elsewhere: what is left of it here is not to run again. */
  moved(id: ApplianceId): void {
    this.#machines.get(id)?.save({ moved: true });
  }

  networks(segments: readonly SegmentPlan[]): void {
    this.#networks = new Map(segments.map((segment) => [segment.network, segment]));
  }

  async recover(signal: AbortSignal): Promise<void> {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    for (const id of machinesIn(this.#directory)) {
      const place = new MachinePlace(this.#directory, id);
      const record = readMachineRecord(place.outer);
      if (record !== undefined) this.#machines.set(id, this.#machine(place, record));
    }
    await this.#tasks.recover(signal);
    const slots = this.#tasks.observe().filter(({ id }) => this.#tasks.planOf(id)?.kind === "vm");
    const present = new Set(slots.map(({ id }) => id));
    for (const { id } of slots) if (!this.#machines.has(id)) await this.#tasks.destroy(id, signal);
    for (const id of machinesIn(this.#directory)) {
      if (present.has(id) && this.#machines.has(id)) continue;
      this.#machines.get(id)?.close();
      this.#machines.delete(id);
      new MachinePlace(this.#directory, id).remove();
    }
    this.#look();
    void this.#watch();
    await Promise.all(
      [...this.#machines.values()].map((machine) =>
        this.#tasks.slotOf(machine.id)?.state === "running" ? machine.up(signal).catch(settle) : undefined,
      ),
    );
  }

  observe(): readonly ApplianceObservation[] {
    return this.#tasks.observe().map((slot) => {
      const machine = this.#machines.get(slot.id);
      return machine === undefined ? slot : machine.describe(slot);
    });
  }

  create(plan: AppliancePlan, names: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
    if (plan.kind !== "vm") return this.#tasks.create(plan, names, signal);
    return this.#inTurn(plan.id, async () => {
      // Refused, or there already.
      if (this.#machines.has(plan.id)) return this.#tasks.create(plan, names, signal);
      const wanted = machinePlan(plan);
      const accel = await this.#options.acceleration.choose(plan.id, wanted.vm.accel, signal);
      const place = new MachinePlace(this.#directory, plan.id);
      place.remove();
      place.make();
      const record: MachineRecord = {
        plan: wanted,
        machine: machineOf(wanted, wanted.vm),
        accel,
        identity: newIdentity(this.#options.random),
        stages: [],
        start: "cold",
      };
      writeMachineRecord(place.outer, record);
      const machine = this.#machine(place, record);
      this.#machines.set(plan.id, machine);
      try {
        await this.#tasks.create(slotPlan(wanted), names, signal);
      } catch (cause) {
        this.#forget(machine);
        throw cause;
      }
      void this.#prepare(machine).catch(settle);
    });
  }

  start(id: ApplianceId, signal: AbortSignal): Promise<void> {
    const machine = this.#machines.get(id);
    if (machine === undefined) return this.#tasks.start(id, signal);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(startWaitMs)]);
    return this.#inTurn(id, async () => {
      if (machine.record.moved === true) return;
      const { state } = this.#tasks.slotOf(id) ?? {};
      if (state === "running") return;
      try {
        await abortable(this.#prepare(machine), limit);
        await this.#begin(machine, signal);
        await machine.up(limit);
      } catch (cause) {
        signal.throwIfAborted();
        // What takes its time is told by its state.
        if (!limit.aborted) throw cause;
      }
    });
  }

  stop(id: ApplianceId, graceMs: Millis, signal: AbortSignal): Promise<void> {
    return this.#tasks.stop(id, graceMs, signal);
  }

  destroy(id: ApplianceId, signal: AbortSignal): Promise<void> {
    const machine = this.#machines.get(id);
    if (machine === undefined) return this.#tasks.destroy(id, signal);
    // Whatever is being made for it is wanted no more.
    machine.close();
    return this.#inTurn(id, async () => {
      await this.#preparing.get(id)?.catch(settle);
      await this.#tasks.destroy(id, signal);
      this.#forget(machine);
    });
  }

  async adapt(changes: ReadonlyMap<ApplianceId, LiveSettings>, signal: AbortSignal): Promise<void> {
    const slots = [...changes].map(([id, settings]) => {
      const machine = this.#machines.get(id);
      const { memoryBytes } = settings;
      if (machine === undefined || memoryBytes === undefined) return [id, settings] as const;
      const { vcpusMax } = machine.record.plan.vm;
      return [id, { ...settings, memoryBytes: hostMemoryOf({ memoryBytes, vcpusMax }) }] as const;
    });
    await this.#tasks.adapt(new Map(slots), signal);
    for (const [id, settings] of changes) {
      const machine = this.#machines.get(id);
      if (machine !== undefined) machine.save({ plan: { ...machine.record.plan, ...settings } });
    }
  }

  suspend(id: ApplianceId, signal: AbortSignal): Promise<void> {
    return this.#tasks.suspend(id, signal);
  }

  resume(id: ApplianceId, signal: AbortSignal): Promise<void> {
    return this.#tasks.resume(id, signal);
  }

  renewLease(until: Millis): void {
    this.#tasks.renewLease(until);
  }

  setNames(id: ApplianceId, names: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
    return this.#tasks.setNames(id, names, signal);
  }

  exec(id: ApplianceId, request: ExecRequest, signal: AbortSignal): Promise<number> {
    const machine = this.#machines.get(id);
    if (machine === undefined) return this.#tasks.exec(id, request, signal);
    if (machine.running() === undefined || this.#tasks.slotOf(id)?.state !== "running") {
      const found = "its guest does not run";
      return Promise.reject(
        new ConsortError("conflict", `Cannot run a program in ${id}: ${found}, running was wanted`),
      );
    }
    return execInGuest(machine.agent, request, this.#options.clock, signal);
  }

  readLog(id: ApplianceId, maxBytes: number, signal: AbortSignal): Promise<string> {
    return this.#tasks.readLog(id, maxBytes, signal);
  }

  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const machine of this.#machines.values()) machine.close();
    await Promise.allSettled(this.#preparing.values());
    await this.#tasks.close();
  }

  #machine(place: MachinePlace, record: MachineRecord): Machine {
    return new Machine(place, record, {
      clock: this.#options.clock,
      log: this.#options.log,
      slot: (id) => this.#tasks.slotOf(id),
      readOutput: (id, bytesMax, signal) => this.#tasks.readLog(id, bytesMax, signal),
      run: (id, command, signal) => runInSlot(this.#tasks, id, command, signal),
      giveUp: ({ id, closing }) => void this.#tasks.stop(id, noGraceMs, closing).catch(settle),
      onUp: (machine) => this.#isUp(machine),
      onChange: () => this.#onChange(),
    });
  }

  #extras(id: ApplianceId, uid: number): SlotExtras {
    const machine = this.#machines.get(id);
    if (machine === undefined) throw new ConsortError("internal", `Cannot make a slot for ${id}: no machine`);
    machine.place.giveTo(uid);
    return {
      binds: [{ source: machine.place.directory, target: insideDirectory }],
      devices: machine.record.accel === "kvm" ? [tunDevice, kvmDevice] : [tunDevice],
    };
  }

  /** By its power button; its agent, where there is one, is quicker. */
  #askToEnd(id: ApplianceId): boolean {
    const machine = this.#machines.get(id);
    const vm = machine?.running();
    if (machine === undefined || vm === undefined) return false;
    const { closing } = machine;
    vm.qmp.execute("system_powerdown", {}, closing).catch(settle);
    if (machine.agent.answers())
      vm.agent.execute("guest-shutdown", { mode: "powerdown" }, closing).catch(settle);
    return true;
  }

  /** Its disks; one attempt at a time, and the next one only when that has failed. */
  #prepare(machine: Machine): Promise<void> {
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

  async #makeDisks(machine: Machine): Promise<void> {
    const uid = this.#tasks.slotOf(machine.id)?.uid;
    if (uid === undefined)
      throw new ConsortError("not_found", `Cannot make disks for ${machine.id}: it is gone`);
    machine.problem = "Its disks are being made";
    try {
      const request = { plan: machine.record.plan, directory: machine.place.directory, uid };
      const stages: MachineRecord["stages"][number][] = [];
      const told = (stage: string, tookMs: Millis): void => void stages.push({ stage, tookMs });
      const disks = await this.#options.storage.prepare(request, told, machine.closing);
      machine.closing.throwIfAborted();
      machine.save({ disks, stages });
      machine.problem = undefined;
    } catch (cause) {
      machine.problem = messageOf(cause);
      throw cause;
    }
  }

  async #begin(machine: Machine, signal: AbortSignal): Promise<void> {
    const { id, record, place } = machine;
    const slot = this.#tasks.slotOf(id);
    if (slot === undefined) throw new ConsortError("not_found", `Cannot start ${id}: it is not here`);
    const spec = this.#bootSpec(machine, slot.uid);
    const cables = { netns: slot.netns, uid: slot.uid, interfaces: record.plan.interfaces };
    await layCables(cables, this.#options.subprocess, signal);
    if (record.run?.up !== true) {
      const beginning = { plan: record.plan, directory: place.directory, uid: slot.uid, spec };
      for (const starter of this.#options.starters ?? []) {
        machine.way ??= await starter.begin(beginning, signal);
      }
    }
    writeLaunch(place.directory, qemuArguments(machine.way?.spec ?? spec));
    await this.#tasks.start(id, signal);
  }

  #bootSpec(machine: Machine, uid: number): MachineSpec {
    const { record, place } = machine;
    const { hostKeys, random, blobs, clockKhz } = this.#options;
    const context = writeContextDisk({ directory: place.directory, uid }, record, {
      networks: this.#networks,
      hostKeys,
      random,
    });
    const disks: readonly PreparedDisk[] = [...(record.disks ?? []), context];
    return specOf(record, disks, {
      inside: (file) => place.inside(file),
      blobFile: ({ digest }) => blobs.path(digest),
      clockKhz,
    });
  }

  /** Should this run end, the next one boots from its disks as they are then. */
  #isUp(machine: Machine): void {
    const slot = this.#tasks.slotOf(machine.id);
    if (machine.record.run?.way !== "other" || slot === undefined) return;
    writeLaunch(machine.place.directory, qemuArguments(this.#bootSpec(machine, slot.uid)));
  }

  /** Agents that answered, or are to, are asked again and again. */
  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#options.clock.sleep(agentLookMs, signal).catch(settle);
      for (const machine of this.#machines.values())
        if (machine.agent.expected && machine.running() !== undefined) void machine.lookAtAgent();
    }
  }

  #look(): void {
    for (const machine of this.#machines.values()) machine.look();
    this.#onChange();
  }

  #forget(machine: Machine): void {
    machine.close();
    this.#machines.delete(machine.id);
    machine.place.remove();
  }

  /** Steps of one machine follow each other; those of different ones do not wait. */
  #inTurn(id: ApplianceId, work: () => Promise<void>): Promise<void> {
    const turn = (this.#queues.get(id) ?? Promise.resolve()).then(work);
    const settled = turn.catch(settle).finally(() => {
      if (this.#queues.get(id) === settled) this.#queues.delete(id);
    });
    this.#queues.set(id, settled);
    return turn;
  }
}
