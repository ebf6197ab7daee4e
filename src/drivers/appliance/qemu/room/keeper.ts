import { statSync } from "node:fs";
import { messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { bytes } from "#base/units.ts";
import type { Bytes, Millis } from "#base/units.ts";
import { correctLateClock } from "../checkpoint/guest-clock.ts";
import { isJson } from "../guest-json.ts";
import type { Machine } from "../machine.ts";
import { oneAtATime } from "../turns.ts";
import type { Qmp, RunningVm } from "../vm.ts";
import { Growths } from "./growths.ts";
import { roomLimits } from "./limits.ts";
import { hasPlenty, whoIsHeld } from "./who-is-held.ts";
import type { DiskRoom } from "./who-is-held.ts";

type KeptMachine = Pick<Machine, "id" | "record" | "run" | "save" | "note" | "running" | "guest" | "closing">;

export type RoomKeeperParts = {
  /** Of the file system that is kept from running full. */
  readonly room: () => DiskRoom;
  readonly machines: () => Iterable<KeptMachine>;
  /** Whether it goes on is not for others to say: its slot is not suspended or fenced, it has not moved or been suspended to disk. */
  readonly isOurs: (id: ApplianceId) => boolean;
  /** Its disks still come from another host, and grow by that. */
  readonly isComing: (id: ApplianceId) => boolean;
  readonly clock: Clock;
  readonly log: Log;
};

type Kept = { readonly machine: KeptMachine; readonly vm: RunningVm };

const blockBytes = 512;

/**
 * Keeps guests from filling their host's file system, which managers and other machines write to: disks are as large as
 * declared, but take room only as they are written. A guest that is held is stopped by QEMU until there is plenty again,
 * as is one that QEMU held itself as it found no space. That it is held is on record before it is.
 */
export class RoomKeeper {
  readonly #parts: RoomKeeperParts;
  readonly #growths = new Growths();
  /** Those that are being held or let go. */
  readonly #under = new Set<ApplianceId>();
  /** Those for whom that failed the last time. */
  readonly #failing = new Set<ApplianceId>();
  /** When those that QEMU held itself were let go last. */
  readonly #letGoAt = new WeakMap<Qmp, Millis>();

  constructor(parts: RoomKeeperParts) {
    this.#parts = parts;
  }

  /** Until aborted; never rejects. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const lookMs = this.#tryLook() ? roomLimits.roomLookMs : roomLimits.roomLookMsShort;
      await this.#parts.clock.sleep(lookMs, signal).catch(() => {});
    }
  }

  #tryLook(): boolean {
    try {
      return this.look();
    } catch (cause) {
      this.#parts.log.warn(`Cannot see how full the disk is: ${messageOf(cause)}`, { cause });
      return true;
    }
  }

  /** Returns whether there is plenty. What follows from that goes on by itself. */
  look(): boolean {
    const kept = this.#kept();
    if (kept.length === 0) return true;
    const room = this.#parts.room();
    const isPlenty = hasPlenty(room);
    if (isPlenty) this.#growths.forget();
    const growing = isPlenty ? [] : kept.filter(({ vm }) => !this.#parts.isComing(vm.id));
    const sizes = new Map(growing.map(({ vm }) => [vm.id, takenBy(vm)]));
    const held = new Set(kept.filter(({ machine }) => isHeld(machine)).map(({ vm }) => vm.id));
    const growths = this.#growths.look(sizes, this.#parts.clock.monotonic());
    const toHold = whoIsHeld(room, growths, held);
    for (const one of kept) {
      const { id, guest } = one.machine;
      if (toHold.has(id)) {
        if (guest.status === "running") this.#begin(one, () => this.#hold(one, room));
      } else if (held.has(id) || (isPlenty && this.#isHeldByQemu(one))) {
        this.#begin(one, () => this.#letGo(one));
      }
    }
    return isPlenty;
  }

  /** Those whose guests have come to run. */
  #kept(): readonly Kept[] {
    const { machines, isOurs } = this.#parts;
    return [...machines()].flatMap((machine) => {
      const { run: last } = machine.record;
      if (last?.number !== machine.run || !last.up || !isOurs(machine.id)) return [];
      const vm = machine.running();
      return vm === undefined ? [] : [{ machine, vm }];
    });
  }

  #isHeldByQemu({ machine, vm }: Kept): boolean {
    if (machine.guest.status !== "io-error") return false;
    const before = this.#letGoAt.get(vm.qmp);
    return before === undefined || this.#parts.clock.monotonic() - before >= roomLimits.roomAgainMs;
  }

  #begin({ machine }: Kept, work: () => Promise<void>): void {
    const { id, closing } = machine;
    if (this.#under.has(id)) return;
    this.#under.add(id);
    const failed = (cause: unknown): void => {
      if (!closing.aborted && !this.#failing.has(id))
        this.#parts.log.warn(`Cannot hold ${id}, or let it go, yet: ${messageOf(cause)}`, { cause });
      this.#failing.add(id);
    };
    // The next look sees what came of it.
    void work()
      .then(() => this.#failing.delete(id), failed)
      .finally(() => this.#under.delete(id));
  }

  /** Whatever else is done with it: it takes room now. Who lets it go on meanwhile does so for a moment only. */
  async #hold({ machine, vm }: Kept, room: DiskRoom): Promise<void> {
    const { id, run, closing } = machine;
    if (!isHeld(machine)) {
      machine.save({ heldInRun: run });
      this.#parts.log.warn(`${id} is held: its host's disk is nearly full, and it fills it`, room);
    }
    await vm.qmp.execute("stop", {}, closing);
  }

  /** Not amid a checkpoint or move: whoever stopped it for that lets it go on. */
  #letGo({ machine, vm }: Kept): Promise<void> {
    const { id, run, closing } = machine;
    const { clock, isOurs, log } = this.#parts;
    const { qmp, agent } = vm;
    return oneAtATime(qmp, async () => {
      if (machine.run !== run || !isOurs(id)) return;
      const answer = await qmp.execute("query-status", {}, closing);
      const status = isJson(answer) ? answer["status"] : undefined;
      if (status === "io-error") this.#letGoAt.set(qmp, clock.monotonic());
      if (status === "paused" || status === "io-error") {
        log.info(`${id} goes on: there is room on its host's disk`);
        await qmp.execute("cont", {}, closing);
        // Its clock stood still, too.
        void correctLateClock(agent, clock, closing).catch(() => {});
      }
      if (isHeld(machine)) machine.note({ heldInRun: undefined });
    });
  }
}

const isHeld = ({ record, run }: KeptMachine): boolean => record.heldInRun === run;

function takenBy({ disks }: RunningVm): Bytes {
  const blocks = disks.map(({ file }) => statSync(file, { throwIfNoEntry: false })?.blocks ?? 0);
  return bytes(blocks.reduce((sum, each) => sum + each, 0) * blockBytes);
}
