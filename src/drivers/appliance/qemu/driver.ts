import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { InTurnByKey } from "#base/in-turn.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { digestOf } from "#drivers/blob/digests.ts";
import type { Digest } from "#model/image.ts";
import { identityFrom, newIdentity } from "#drivers/guest/context/identity.ts";
import type { SegmentPlan, AppliancePlan } from "#protocol/host-plan.ts";
import type {
  ApplianceCapability,
  ApplianceDriver,
  ApplianceObservation,
  ConsoleLine,
  ExecRequest,
  LiveSettings,
} from "#drivers/appliance/port.ts";
import type { MachineHooks, SlotExtras } from "#drivers/appliance/task/extras.ts";
import type { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { Acceleration } from "./acceleration.ts";
import { agentLookMs } from "./agent.ts";
import { machineOf } from "./command/choice.ts";
import { insideDirectory } from "./command/spec.ts";
import { execInGuest } from "./guest-exec.ts";
import { machinePlan, slotPlan } from "./inner-plan.ts";
import { Machine } from "./machine.ts";
import { MachinePlace, machinesIn } from "./place.ts";
import { MoveSteps } from "./move-steps.ts";
import { MachineResizes } from "./resize/machine-resizes.ts";
import { abortable } from "./qmp.ts";
import { readMachineRecord, writeMachineRecord } from "./record.ts";
import type { MachineRecord } from "./record.ts";
import { RoomKeeper } from "./room/keeper.ts";
import { roomAt } from "./room/room-at.ts";
import type { DiskRoom } from "./room/who-is-held.ts";
import { runInSlot } from "./run-in-slot.ts";
import { MachineStart } from "./start.ts";
import type { StartParts } from "./start.ts";
import type { RunningVm } from "./vm.ts";

export type QemuDriverOptions = StartParts & {
  /** On the same file system as the blobs. */
  readonly stateDir: string;
  /** Makes the slots of machines and serves all other appliances by itself; with `hooks` of this driver. */
  readonly tasks: (hooks: MachineHooks) => TaskDriver;
  readonly acceleration: Acceleration;
  /** It is suspended to disk, or about to be, and goes on when it is told to. */
  readonly standsStill?: (id: ApplianceId) => boolean;
  /** It is gone from here, or about to be: whatever else was made for it can go. Never rejects. */
  readonly onGone?: (id: ApplianceId) => Promise<void>;
  /** Of the file system with the state; as the kernel tells where absent. */
  readonly room?: () => DiskRoom;
  readonly clock: Clock;
  readonly log: Log;
};

/** A start that takes longer goes on by itself. */
const startWaitMs = 3_000;
const recoverWaitMs = 10_000;
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
  readonly #start: MachineStart;
  readonly #directory: string;
  readonly #machines = new Map<ApplianceId, Machine>();
  readonly #resizes: MachineResizes;
  readonly #room: RoomKeeper;
  readonly #turns = new InTurnByKey<ApplianceId>();
  /** How long the content of those to be created was waited for. */
  readonly #contentTook = new Map<ApplianceId, Millis>();
  readonly #steps: MoveSteps;
  readonly #closing = new AbortController();
  #onChange: () => void = settle;

  constructor(options: QemuDriverOptions) {
    this.#options = options;
    this.#directory = join(options.stateDir, "vms");
    this.#tasks = options.tasks({
      serves: (plan) => plan.kind === "vm",
      extras: (plan, uid) => this.#extras(plan.id, uid),
      askToEnd: (id) => this.#askToEnd(id),
    });
    this.#start = new MachineStart(options, this.#tasks, () => this.#onChange());
    this.#resizes = new MachineResizes({
      machine: (id) => this.#machines.get(id),
      slotState: (id) => this.#tasks.slotOf(id)?.state,
      adaptSlots: (slots, stop) => this.#tasks.adapt(slots, stop),
      onChange: () => this.#onChange(),
      clock: options.clock,
      log: options.log,
    });
    this.#room = new RoomKeeper({
      room: options.room ?? (() => roomAt(this.#directory)),
      machines: () => this.#machines.values(),
      isOurs: (id) => this.#isOurs(id),
      isComing: (id) => options.mover?.report(id)?.phase === "running-remote-disks",
      clock: options.clock,
      log: options.log,
    });
    this.#steps = new MoveSteps(options.clock, () => this.#onChange());
    this.#tasks.onChange(() => this.#look());
    options.mover?.onChange(() => this.#onChange());
    options.mover?.onBootable((id) => {
      const machine = this.#machines.get(id);
      if (machine !== undefined && this.#tasks.slotOf(id) !== undefined) this.#start.bootNext(machine);
    });
  }

  get capabilities(): ReadonlySet<ApplianceCapability> {
    const kvm = this.#options.acceleration.kvm ? (["kvm"] as const) : [];
    const migrate = this.#options.mover === undefined ? [] : (["migrate"] as const);
    return new Set([...this.#tasks.capabilities, ...migrate, ...kvm]);
  }

  /** What can be changed, copied or moved of a machine whose QEMU answers. */
  running(id: ApplianceId): RunningVm | undefined {
    return this.#machines.get(id)?.running();
  }

  networks(segments: readonly SegmentPlan[]): void {
    this.#start.networks = new Map(segments.map((segment) => [segment.network, segment]));
  }

  async recover(signal: AbortSignal): Promise<void> {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    for (const id of machinesIn(this.#directory)) {
      const place = new MachinePlace(this.#directory, id);
      const record = readMachineRecord(place.outer);
      if (record !== undefined) this.#machines.set(id, this.#machine(place, record));
    }
    await this.#tasks.recover(signal);
    const slots = this.#tasks.observe().filter(({ id }) => this.#isMachine(id));
    for (const { id } of slots) if (!this.#machines.has(id)) await this.#tasks.destroy(id, signal);
    for (const id of machinesIn(this.#directory)) {
      if (!this.#machines.has(id) || this.#tasks.slotOf(id) === undefined) await this.#clear(id, signal);
    }
    this.#look();
    void this.#watch();
    void this.#room.watch(this.#closing.signal);
    // One that stands still meanwhile says nothing: without its manager its host's lease would end, and it would stay so.
    const limit = AbortSignal.any([signal, AbortSignal.timeout(recoverWaitMs)]);
    await Promise.all(
      [...this.#machines.values()]
        .filter(({ id }) => this.#tasks.slotOf(id)?.state === "running")
        .map((machine) => machine.up(limit).catch(settle)),
    );
  }

  observe(): readonly ApplianceObservation[] {
    const { mover } = this.#options;
    return this.#tasks.observe().flatMap((slot) => {
      const machine = this.#machines.get(slot.id);
      // One that nobody asked for, to make others from.
      if (machine === undefined) return this.#isMachine(slot.id) ? [] : [slot];
      return [machine.describe(slot, mover?.report(slot.id), mover?.isElsewhere(slot.id) === true)];
    });
  }

  /** Also what only this host has, and no plan knows: unpacked layers of the checkpoint that a machine began from. */
  content(): readonly Digest[] {
    const files = [...this.#machines.values()].flatMap(({ record }) =>
      (record.disks ?? []).flatMap(({ layers }) => layers.map(({ file }) => file)),
    );
    return [...new Set(files.flatMap((file) => digestOf(basename(file)) ?? []))];
  }

  contentCame(id: ApplianceId, tookMs: Millis): void {
    this.#contentTook.set(id, tookMs);
  }

  create(plan: AppliancePlan, names: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
    if (plan.kind !== "vm") return this.#tasks.create(plan, names, signal);
    return this.#turns.run(plan.id, async () => {
      // It is there already, or of another generation, which is refused.
      if (this.#machines.has(plan.id)) return this.#tasks.create(plan, names, signal);
      const wanted = machinePlan(plan);
      const { identity: seed } = wanted.vm;
      const accel = await this.#options.acceleration.choose(plan.id, wanted.vm.accel, signal);
      await this.#clear(plan.id, signal);
      const place = new MachinePlace(this.#directory, plan.id);
      place.make();
      const record: MachineRecord = {
        plan: wanted,
        machine: machineOf(wanted, wanted.vm),
        accel,
        identity: seed === undefined ? newIdentity(this.#options.random) : identityFrom(seed),
        stages: [],
        start: "cold",
      };
      writeMachineRecord(place.outer, record);
      const machine = this.#machine(place, record);
      this.#machines.set(plan.id, machine);
      const tookMs = this.#contentTook.get(plan.id);
      if (tookMs !== undefined) machine.creation.add("image brought", millis(Math.round(tookMs)));
      machine.creation.begin();
      try {
        await this.#tasks.create(slotPlan(wanted), names, signal);
        machine.creation.end("slot made");
        this.#contentTook.delete(plan.id);
      } catch (cause) {
        await this.#clear(plan.id, signal);
        throw cause;
      }
      void this.#start.prepare(machine).catch(settle);
    });
  }

  start(id: ApplianceId, signal: AbortSignal): Promise<void> {
    const machine = this.#machines.get(id);
    if (machine === undefined) return this.#tasks.start(id, signal);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(startWaitMs)]);
    return this.#turns.run(id, async () => {
      const slot = this.#tasks.slotOf(id);
      // What has run its course does not run again for being asked to, nor what went on elsewhere.
      if (slot === undefined || (slot.state !== "created" && slot.state !== "stopped")) {
        return this.#tasks.start(id, signal);
      }
      if (hasLeft(machine) && this.#options.mover?.isElsewhere(id) === true) return;
      machine.checkRest();
      try {
        await abortable(this.#start.prepare(machine), limit);
        await this.#start.begin(machine, signal);
        await machine.up(limit);
      } catch (cause) {
        signal.throwIfAborted();
        // What takes its time is told by its state.
        if (!limit.aborted) throw cause;
      }
    });
  }

  async stop(id: ApplianceId, graceMs: Millis, signal: AbortSignal): Promise<void> {
    await this.#tasks.stop(id, graceMs, signal);
  }

  destroy(id: ApplianceId, signal: AbortSignal): Promise<void> {
    const machine = this.#machines.get(id);
    if (machine === undefined) return this.#tasks.destroy(id, signal);
    // Whatever is being made for it is wanted no more.
    machine.close();
    return this.#turns.run(id, async () => {
      const { mover } = this.#options;
      await this.#start.settled(id);
      await this.#steps.settled(id);
      const place = this.#placeOf(machine);
      await this.#tasks.destroy(id, signal);
      await mover?.forget(id, place, signal);
      await this.#clear(id, signal);
      this.#onChange();
    });
  }

  async adapt(changes: ReadonlyMap<ApplianceId, LiveSettings>, signal: AbortSignal): Promise<void> {
    await this.#resizes.adapt(changes, signal);
    this.#onChange();
  }

  /** One pass of a machine's move; of every machine that is here, also without one. */
  async move(plan: AppliancePlan, signal: AbortSignal): Promise<void> {
    const { mover } = this.#options;
    const { id } = plan;
    const machine = this.#machines.get(id);
    const place = machine === undefined ? undefined : this.#placeOf(machine);
    if (mover === undefined || machine === undefined || place === undefined) return;
    if (mover.isOvertaken(id, plan.vm?.move)) return this.destroy(id, signal);
    this.#steps.check(id);
    const { move: _past, ...vm } = machine.record.plan.vm;
    const { move } = plan.vm ?? {};
    if (JSON.stringify(move) !== JSON.stringify(machine.record.plan.vm.move))
      machine.save({
        plan: { ...machine.record.plan, vm: move === undefined ? vm : { ...vm, move } },
      });
    // Held, it says nothing, and what waits for it would never come to let it go on.
    const state = this.#tasks.slotOf(id)?.state;
    if (state === "suspended") return mover.waits(id, "it is suspended here");
    if (state === "fenced") return mover.waits(id, "it is held here, as its host is without its managers");
    const now = machine.running();
    const isSilent = now === undefined && (state === "running" || state === "starting");
    const step = (stop: AbortSignal): Promise<void> => mover.step(now, { ...place, isSilent }, move, stop);
    await this.#steps.take(id, step, machine.closing, signal);
  }

  onSent(listener: (id: ApplianceId, move: string) => void): void {
    this.#options.mover?.onSent(listener);
  }

  giveWord(id: ApplianceId, move: string): boolean {
    return this.#options.mover?.giveWord(id, move) === true;
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

  async console(
    id: ApplianceId,
    onOutput: (chunk: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<ConsoleLine> {
    const machine = this.#machines.get(id);
    if (machine !== undefined) return machine.console.open(onOutput, signal);
    throw new ConsortError("unsupported", `Cannot open the console of ${id}: only a virtual machine has one`);
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
    await this.#start.settled();
    await this.#steps.settled();
    await this.#tasks.close();
  }

  #machine(place: MachinePlace, record: MachineRecord): Machine {
    return new Machine(place, record, {
      clock: this.#options.clock,
      log: this.#options.log,
      slot: (id) => this.#tasks.slotOf(id),
      readOutput: (id, bytesMax, signal) => this.#tasks.readLog(id, bytesMax, signal),
      run: (id, command, signal) => runInSlot(this.#tasks, id, command, signal),
      isElsewhere: (id) => this.#options.mover?.isElsewhere(id) === true,
      standsStill: (id) => this.#options.standsStill?.(id) === true,
      giveUp: ({ id, closing }) => void this.#tasks.stop(id, noGraceMs, closing).catch(settle),
      onUp: (machine) => {
        if (machine.record.run?.way === "other") this.#start.bootNext(machine);
        if (machine.record.start === "restored") void this.#resizes.measure(machine);
      },
      onAgent: (machine) => void this.#resizes.settle(machine),
      onChange: () => this.#onChange(),
    });
  }

  /** Whether its guest runs is not for its move, its checkpoints, or who suspended it to say. */
  #isOurs(id: ApplianceId): boolean {
    const { mover, standsStill } = this.#options;
    const runs = this.#tasks.slotOf(id)?.state === "running";
    return runs && mover?.isElsewhere(id) !== true && standsStill?.(id) !== true;
  }

  #isMachine(id: ApplianceId): boolean {
    return this.#tasks.planOf(id)?.kind === "vm";
  }

  #placeOf({ id, place }: Machine): Pick<RunningVm, "id" | "directory" | "inside" | "cgroup"> | undefined {
    const slot = this.#tasks.slotOf(id);
    if (slot === undefined) return undefined;
    return { id, directory: place.directory, inside: insideDirectory, cgroup: slot.cgroup };
  }

  #extras(id: ApplianceId, uid: number): SlotExtras {
    const place = new MachinePlace(this.#directory, id);
    place.giveTo(uid);
    // One that was begun in KVM goes on so, also before it is tried again whether guests run in it.
    const accelerated = this.#machines.get(id)?.record.accel === "kvm" || this.#options.acceleration.kvm;
    const kvm = accelerated ? [kvmDevice] : [];
    return {
      binds: [{ source: place.directory, target: insideDirectory }],
      devices: [tunDevice, ...kvm],
    };
  }

  /** By its power button; its agent, where there is one, is surer. */
  #askToEnd(id: ApplianceId): boolean {
    const machine = this.#machines.get(id);
    const vm = machine?.running();
    if (machine === undefined || vm === undefined || machine.guest.status !== "running") return false;
    const { closing } = machine;
    vm.qmp.execute("system_powerdown", {}, closing).catch(settle);
    if (machine.agent.answers())
      vm.agent.execute("guest-shutdown", { mode: "powerdown" }, closing).catch(settle);
    return true;
  }

  /** Whether guests answer, and come to boot. */
  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#options.clock.sleep(agentLookMs, signal).catch(settle);
      for (const machine of this.#machines.values()) void machine.watch().catch(settle);
    }
  }

  #look(): void {
    for (const machine of this.#machines.values()) machine.look();
    this.#onChange();
  }

  /** Its files, and what is known of it; its slot is gone, or was never made. */
  async #clear(id: ApplianceId, signal: AbortSignal): Promise<void> {
    this.#machines.get(id)?.close();
    this.#machines.delete(id);
    await this.#options.onGone?.(id);
    const place = new MachinePlace(this.#directory, id);
    await this.#options.storage.remove(place.directory, signal);
    place.remove();
  }
}

const hasLeft = (machine: Machine): boolean => machine.record.plan.vm.move?.side !== "arriving";
