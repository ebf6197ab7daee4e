import { codeOf, ConsortError, messageOf } from "#base/errors.ts";
import { digest } from "#base/digest.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Bytes, Millis } from "#base/units.ts";
import type { LiveSettings } from "#drivers/appliance/port.ts";
import { hostMemoryOf } from "#model/vm-memory.ts";
import type { ApplianceState } from "#protocol/host-report.ts";
import type { Machine } from "../machine.ts";
import { abortable } from "../qmp.ts";
import type { MachinePlan } from "../storage.ts";
import { oneAtATime } from "../turns.ts";
import type { RunningVm } from "../vm.ts";
import { memoryHeld } from "./memory.ts";
import { settleProcessors } from "./processors.ts";
import { resizeMachine } from "./resize.ts";
import type { MachineSize } from "./size.ts";

type Changes = ReadonlyMap<ApplianceId, LiveSettings>;

export type ResizeParts = {
  /** Undefined: it is no machine, but a task. */
  readonly machine: (id: ApplianceId) => ResizedMachine | undefined;
  readonly slotState: (id: ApplianceId) => ApplianceState | undefined;
  readonly adaptSlots: (changes: Changes, signal: AbortSignal) => Promise<void>;
  /** A machine has another size now, or refused it. Not told when it is refused again unasked: nothing changed then. */
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly log: Log;
};

type ResizedMachine = Pick<Machine, "id" | "record" | "save" | "note" | "running" | "guest" | "closing">;

/** A resize that takes longer goes on by itself: a guest that takes its time must not hold up others. */
const waitMs = 2_000;
/** A guest that does not use the processors it was left is asked again after so long. */
const settleAgainMs = millis(2_000);
/** What a guest refused is not asked of it again for so long. */
const refusedMs = millis(60_000);

type Change = { readonly from: MachineSize; readonly to: MachineSize };
type Refusal = { readonly to: string; readonly atMs: Millis; readonly cause: unknown };

/**
 * Changes machines and tasks while they run. First what their slots have, all of them at one moment, with the memory of
 * machines that grow; then the machines themselves; last what the slots of those that shrank need no more. So at no
 * moment is a machine larger than its slot.
 */
export class MachineResizes {
  readonly #parts: ResizeParts;
  readonly #under = new Map<ApplianceId, { readonly to: string; readonly work: Promise<void> }>();
  /** Machines whose guests are being asked to use the processors they were left. */
  readonly #settling = new WeakSet<RunningVm["qmp"]>();
  readonly #refused = new WeakMap<ResizedMachine, Refusal>();

  constructor(parts: ResizeParts) {
    this.#parts = parts;
  }

  /** Rejects with the reason why one could not be changed, or with `unavailable` while that takes its time. */
  async adapt(changes: Changes, signal: AbortSignal): Promise<void> {
    const { machine: machineOf, adaptSlots } = this.#parts;
    const slots = new Map<ApplianceId, LiveSettings>();
    for (const [id, { vm: _vm, memoryBytes, ...settings }] of changes) {
      const plan = machineOf(id)?.record.plan;
      const slotBytes =
        plan === undefined || memoryBytes === undefined
          ? memoryBytes
          : hostMemory(plan, larger(memoryBytes, plan.memoryBytes));
      slots.set(id, { ...settings, ...(slotBytes === undefined ? {} : { memoryBytes: slotBytes }) });
    }
    await adaptSlots(slots, signal);
    for (const [id, { vm, memoryBytes, ...settings }] of changes) {
      const machine = machineOf(id);
      if (machine === undefined) continue;
      machine.save({ plan: { ...machine.record.plan, ...settings } });
      const from = sizeOf(machine.record.plan);
      const disk = vm === undefined ? from.disk : vm.disk;
      const to: MachineSize = {
        vcpus: vm?.vcpus ?? from.vcpus,
        memoryBytes: memoryBytes ?? from.memoryBytes,
        ...(disk === undefined ? {} : { disk }),
      };
      if (digest(from) !== digest(to)) await this.#resize(machine, { from, to }, signal);
    }
  }

  /**
   * Its guest has only just come to answer: it may use more processors than it was left, or fewer. A guest that does not do
   * its part, or falls silent again, is asked until it has; nobody else would ask it. Never rejects.
   */
  async settle(machine: ResizedMachine): Promise<void> {
    const { clock, log } = this.#parts;
    const { id, closing } = machine;
    const vm = machine.running();
    if (vm === undefined || machine.record.plan.vm.vcpusMax === 1 || this.#settling.has(vm.qmp)) return;
    this.#settling.add(vm.qmp);
    for (let isFirst = true; machine.running()?.qmp === vm.qmp; isFirst = false) {
      try {
        if (!isFirst) await clock.sleep(settleAgainMs, closing);
        if (isLeaving(machine)) continue;
        await oneAtATime(vm.qmp, () => settleProcessors(vm, machine.record.plan.vm.vcpus, clock, closing));
        break;
      } catch (cause) {
        if (closing.aborted) break;
        if (isFirst && codeOf(cause) !== "unavailable")
          log.warn(`The guest of ${id} does not use the processors it has: ${messageOf(cause)}`, { cause });
      }
    }
    this.#settling.delete(vm.qmp);
  }

  /**
   * It goes on from where it was when it may have had another size: what it has is written down, so that it is told of and
   * resized as any other, and its slot has what that takes. Never rejects.
   */
  async measure(machine: ResizedMachine): Promise<void> {
    const { adaptSlots, log, onChange } = this.#parts;
    const { id, closing } = machine;
    const vm = machine.running();
    if (vm === undefined || this.#under.has(id)) return;
    try {
      const memoryBytes = await memoryHeld(vm, machine.record.plan.memoryBytes, closing);
      // What it is resized to by now is known.
      if (this.#under.has(id) || machine.running()?.qmp !== vm.qmp) return;
      const { plan } = machine.record;
      if (memoryBytes !== plan.memoryBytes) machine.note({ plan: { ...plan, memoryBytes } });
      await adaptSlots(new Map([[id, { memoryBytes: hostMemory(plan, memoryBytes) }]]), closing);
      onChange();
    } catch (cause) {
      if (!closing.aborted) log.warn(`Cannot tell how large ${id} is: ${messageOf(cause)}`, { cause });
    }
  }

  async #resize(machine: ResizedMachine, change: Change, signal: AbortSignal): Promise<void> {
    const { id } = machine;
    // What it comes to is made as large as it was when that was asked.
    if (isLeaving(machine))
      throw new ConsortError("unavailable", `Cannot resize ${id} yet: it moves to another host`);
    const to = digest(change.to);
    const refused = this.#refused.get(machine);
    if (refused?.to === to && this.#parts.clock.monotonic() - refused.atMs < refusedMs) throw refused.cause;
    const under = this.#under.get(id) ?? { to, work: this.#carryOut(machine, change) };
    this.#under.set(id, under);
    const limit = AbortSignal.timeout(waitMs);
    try {
      await abortable(under.work, AbortSignal.any([signal, limit]));
    } catch (cause) {
      signal.throwIfAborted();
      if (!limit.aborted) throw cause;
    }
    if (limit.aborted || under.to !== to)
      throw new ConsortError("unavailable", `Cannot resize ${id} yet: its guest is still at it`);
  }

  async #carryOut(machine: ResizedMachine, change: Change): Promise<void> {
    const { adaptSlots, clock, onChange } = this.#parts;
    const { id, closing } = machine;
    try {
      await this.#resizeGuest(machine, change);
      this.#refused.delete(machine);
    } catch (cause) {
      // Its QEMU has ended meanwhile, which is no answer: the next one is asked.
      if (codeOf(cause) !== "unavailable")
        this.#refused.set(machine, { to: digest(change.to), atMs: clock.monotonic(), cause });
      throw cause;
    } finally {
      this.#under.delete(id);
      if (change.from.memoryBytes !== change.to.memoryBytes && !closing.aborted) {
        const { plan } = machine.record;
        await adaptSlots(new Map([[id, { memoryBytes: hostMemory(plan, plan.memoryBytes) }]]), closing);
      }
      onChange();
    }
  }

  async #resizeGuest(machine: ResizedMachine, change: Change): Promise<void> {
    const { clock, slotState } = this.#parts;
    const reached = (size: MachineSize): void => {
      const { plan } = machine.record;
      const { disk: _disk, ...vm } = plan.vm;
      const disk = size.disk === undefined ? {} : { disk: size.disk };
      const { memoryBytes, vcpus } = size;
      machine.note({ plan: { ...plan, memoryBytes, vm: { ...vm, ...disk, vcpus } } });
    };
    const vm = machine.running();
    // Its next run begins with that.
    if (vm === undefined) return reached(change.to);
    if (slotState(machine.id) !== "running" || machine.guest.status !== "running")
      throw new ConsortError("conflict", `Cannot resize ${machine.id}: its guest is held, it has to run`);
    await resizeMachine(vm, change, reached, clock, machine.closing);
  }
}

const isLeaving = ({ record }: ResizedMachine): boolean => record.plan.vm.move?.side === "leaving";

const sizeOf = ({ memoryBytes, vm: { vcpus, disk } }: MachinePlan): MachineSize => ({
  memoryBytes,
  vcpus,
  ...(disk === undefined ? {} : { disk }),
});

const larger = (a: Bytes, b: Bytes): Bytes => (a > b ? a : b);

const hostMemory = ({ vm: { vcpusMax } }: MachinePlan, memoryBytes: Bytes): Bytes =>
  hostMemoryOf({ memoryBytes, vcpusMax });
