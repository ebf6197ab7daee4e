import { ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { bytes, millis } from "#base/units.ts";
import type { BlobExchange, BlobStore } from "#drivers/blob/port.ts";
import type { ChainRecord, TakenRecord } from "#drivers/checkpoint/chain-record.ts";
import { withFold } from "#drivers/checkpoint/folding.ts";
import { HostCopies } from "#drivers/checkpoint/host-copies.ts";
import type { Checkpointer, NamedPeer, TakeOrder } from "#drivers/checkpoint/port.ts";
import { Speed } from "#drivers/checkpoint/speed.ts";
import { chainOf, retention } from "#model/checkpoint-chain.ts";
import type { Checkpoint, CheckpointPart } from "#model/checkpoint.ts";
import type { VmPlan } from "#protocol/host-plan.ts";
import type { CheckpointReport } from "#protocol/host-report.ts";
import { diskFull, slowed } from "#sim/drivers/disk.ts";
import type { DiskState } from "#sim/drivers/disk.ts";
import type { SimulatedMachine } from "#sim/drivers/machine.ts";
import { executes, isOver } from "#sim/drivers/machine-appliance.ts";
import type { SimulatedAppliance } from "#sim/drivers/machine-appliance.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { SimulationSettings } from "#sim/settings.ts";

/** What a host's disk has on record of checkpoints. */
export type SimulatedBook = Map<ApplianceId, ChainRecord>;

type Restore = NonNullable<VmPlan["restore"]>;

type CheckpointerParts = {
  readonly machine: SimulatedMachine;
  readonly life: Incarnation;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: SimulationSettings;
  readonly disk: DiskState;
  readonly book: SimulatedBook;
  readonly blobs: BlobStore;
  readonly exchange: BlobExchange;
  /** A machine stood still for a checkpoint, in virtual ms. */
  readonly onStood: (appliance: ApplianceId, checkpoint: string, fromMs: number) => void;
  readonly nowMs: () => number;
};

/** A chain below the oldest that is kept may have so many links before it is made one. */
const foldAbove = 4;

/**
 * What one life of a host manager does about checkpoints of its machine's appliances: by the rules of the real one, with
 * its copies on other hosts and its arithmetic of chains. What is in a part tells of what it was taken.
 *
 *   record "under way" ► it stands still ► `whilePaused` ► it goes on ► blobs ► copies ► record "complete" ► fold
 */
export class SimulatedCheckpointer implements Checkpointer {
  readonly #parts: CheckpointerParts;
  readonly #chains = new Map<ApplianceId, ChainRecord>();
  readonly #taking = new Set<ApplianceId>();
  /** To go on: one was under way when the manager before died, or they were released. */
  readonly #cutOff = new Set<ApplianceId>();
  /** A checkpoint of these is under way after which they are not to go on. */
  readonly #leaving = new Set<ApplianceId>();
  readonly #speed = new Speed();
  #own = "" as HostId;
  #peers: readonly NamedPeer[] = [];

  constructor(parts: CheckpointerParts) {
    this.#parts = parts;
  }

  async recover(): Promise<void> {
    for (const record of this.#parts.book.values()) {
      this.#chains.set(record.appliance, record);
      if (record.underWay !== undefined) this.#cutOff.add(record.appliance);
    }
  }

  look(signal: AbortSignal): void {
    for (const appliance of this.#cutOff) {
      const one = this.#parts.machine.present.get(appliance);
      if (one === undefined || isOver(one)) continue;
      this.#cutOff.delete(appliance);
      this.#goOn(one).catch((cause: unknown) => {
        if (signal.aborted) return;
        this.#cutOff.add(appliance);
        this.#parts.log.warn(`Cannot let ${appliance} go on: ${messageOf(cause)}`, { cause });
      });
    }
  }

  async take(order: TakeOrder, signal: AbortSignal): Promise<void> {
    const { appliance, id, policy } = order;
    const one = this.#able(appliance);
    const began = one.plan.vm?.restore;
    if (began !== undefined && this.#chain(appliance).taken.length === 0) {
      await this.begin(appliance, began, signal);
    }
    this.#taking.add(appliance);
    if (order.stays === true) this.#leaving.add(appliance);
    try {
      const { underWay: _before, ...record } = this.#chain(appliance);
      await this.#write({ ...record, underWay: id });
      await this.#takeOrGoOn(one, order, record, signal);
      if (order.stays === true) return;
      await this.#retain(appliance, policy, signal);
    } finally {
      this.#taking.delete(appliance);
      this.#leaving.delete(appliance);
    }
  }

  standing(): ReadonlyMap<ApplianceId, string> {
    return new Map(
      [...this.#chains.values()].flatMap(({ appliance, standing }) =>
        standing === undefined ? [] : [[appliance, standing]],
      ),
    );
  }

  /** When it begins again, it waits. */
  standsStill(id: ApplianceId): boolean {
    return this.#leaving.has(id) || this.#chain(id).standing !== undefined;
  }

  release(appliance: ApplianceId, signal: AbortSignal): void {
    if (this.#chain(appliance).standing === undefined) return;
    this.#cutOff.add(appliance);
    this.look(signal);
  }

  observe(): readonly CheckpointReport[] {
    return this.#chains.size === 0 ? [] : [...this.#chains.values()].flatMap(({ taken }) => taken);
  }

  onRecord(): readonly ApplianceId[] {
    return this.#chains.size === 0 ? [] : [...this.#chains.keys()];
  }

  usePeers(own: HostId, peers: readonly NamedPeer[]): void {
    this.#own = own;
    this.#peers = peers;
  }

  async forget(appliance: ApplianceId): Promise<void> {
    const { life, settings, disk, book } = this.#parts;
    this.#chains.delete(appliance);
    await life.call("checkpoints, forget", slowed(settings.diskMs, disk), () => void book.delete(appliance));
  }

  /** It is not to be sent to another host now. */
  isBusy(appliance: ApplianceId): boolean {
    return this.#taking.has(appliance) || this.#cutOff.has(appliance) || this.standing().has(appliance);
  }

  /** What a machine begins from comes here, and is what its checkpoints are taken after. */
  async begin(appliance: ApplianceId, { checkpoints, copies }: Restore, signal: AbortSignal): Promise<void> {
    const [newest] = checkpoints;
    if (newest === undefined) return;
    await this.#store(0).fetch(checkpoints, copies, () => {}, signal);
    const taken = checkpoints.toReversed().map((checkpoint) => ({
      checkpoint,
      copies: copies.hosts,
      missing: [],
    }));
    await this.#write({ appliance, taken, beganFrom: newest.id });
  }

  #able(id: ApplianceId): SimulatedAppliance {
    const { machine } = this.#parts;
    const one = machine.present.get(id);
    const side = machine.sides.get(id);
    const moves = side !== undefined && side.phase !== "local" && side.phase !== "failed";
    if (one === undefined || !executes(one) || moves || this.isBusy(id)) {
      throw new ConsortError("conflict", `Cannot take a checkpoint of ${id}: it does not run here`);
    }
    return one;
  }

  async #takeOrGoOn(
    one: SimulatedAppliance,
    order: TakeOrder,
    record: ChainRecord,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const saved = await this.#takeNow(one, order, record, signal);
      const complete = { ...record, taken: [...record.taken, saved] };
      await this.#write(order.stays === true ? { ...complete, standing: order.id } : complete);
    } catch (cause) {
      const { underWay: _cutOff, ...now } = this.#chain(record.appliance);
      if (order.stays === true && now.standing === undefined) {
        await this.#goOn(one).catch(() => this.#cutOff.add(record.appliance));
      } else await this.#write(now);
      throw cause;
    }
  }

  async #takeNow(
    one: SimulatedAppliance,
    { appliance, id, generation, policy, whilePaused, stays }: TakeOrder,
    record: ChainRecord,
    signal: AbortSignal,
  ): Promise<TakenRecord> {
    const { life, settings, machine, clock } = this.#parts;
    const last = record.taken.at(-1);
    const isAfter = last?.checkpoint.generation === generation && one.lastCheckpoint === last.checkpoint.id;
    const { begunAtMs } = one;
    const takenAtMs = clock.now();
    let stoodFromMs = 0;
    await life.call(`checkpoint of ${appliance}`, settings.checkpointMs, () => {
      machine.standStill(one);
      stoodFromMs = this.#parts.nowMs();
    });
    const pausedAt = clock.monotonic();
    let group: string | undefined;
    let isToStay = false;
    try {
      group = await whilePaused?.(signal);
      isToStay = stays === true;
    } finally {
      this.#parts.onStood(appliance, id, stoodFromMs);
      if (!isToStay) life.act(() => machine.goOnAfterCheckpoint(one));
    }
    const pauseMs = millis(clock.monotonic() - pausedAt);
    const round = Math.floor(record.taken.length / 2);
    const disk = await this.#keep(`disk of ${appliance} ${generation} ${round}`, signal);
    const memory = await this.#keep(`memory of ${appliance} ${id} on ${this.#own}`, signal);
    if (machine.present.get(appliance) !== one || one.begunAtMs !== begunAtMs || isOver(one)) {
      throw new ConsortError("driver_failed", `Cannot take a checkpoint of ${appliance}: it has ended`);
    }
    one.lastCheckpoint = id;
    const after = isAfter ? last?.checkpoint.id : record.beganFrom;
    const checkpoint: Checkpoint = {
      id,
      appliance,
      generation,
      takenAtMs,
      disks: [{ disk: "root", content: disk }],
      memory,
      machine: "simulated",
      pauseMs,
      ...(after === undefined ? {} : { after }),
      ...(group === undefined ? {} : { group }),
    };
    return this.#save(checkpoint, record.taken, policy.copies, signal);
  }

  async #save(
    checkpoint: Checkpoint,
    taken: readonly TakenRecord[],
    copies: number,
    signal: AbortSignal,
  ): Promise<TakenRecord> {
    const known = [...taken.map((one) => one.checkpoint), checkpoint];
    const chain = chainOf(checkpoint.id, known);
    if (chain === undefined) {
      throw new ConsortError("internal", `Cannot keep ${checkpoint.id}: what it needs is not here`);
    }
    const saved = await this.#store(copies).save(
      chain,
      { hosts: taken.at(-1)?.copies ?? [], places: [] },
      signal,
    );
    return { checkpoint, ...saved };
  }

  /** What is not needed any more goes from the record; the oldest that is kept becomes a full one in time. */
  async #retain(appliance: ApplianceId, policy: TakeOrder["policy"], signal: AbortSignal): Promise<void> {
    const { log } = this.#parts;
    const record = this.#chain(appliance);
    const known = record.taken.map(({ checkpoint }) => checkpoint);
    const { needed, fold } = retention(known, policy.keep, foldAbove);
    const taken = record.taken.filter(({ checkpoint }) => needed.includes(checkpoint));
    if (taken.length < record.taken.length) await this.#write({ ...record, taken });
    if (fold === undefined) return;
    try {
      await this.#fold(fold, policy.copies, signal);
    } catch (cause) {
      signal.throwIfAborted();
      log.warn(`Cannot fold the checkpoints of ${appliance}: ${messageOf(cause)}`, { cause });
    }
  }

  async #fold({ id, appliance, ...one }: Checkpoint, copies: number, signal: AbortSignal): Promise<void> {
    const record = this.#chain(appliance);
    const { after: _below, ...alone } = one;
    const memory = await this.#keep(`folded memory of ${appliance} ${id}`, signal);
    const full: Checkpoint = { ...alone, id, appliance, memory };
    const hosts = record.taken.at(-1)?.copies ?? [];
    const saved = await this.#store(copies).save([full], { hosts, places: [] }, signal);
    await this.#write(withFold(record, full, saved));
  }

  async #keep(text: string, signal: AbortSignal): Promise<CheckpointPart> {
    const content = Buffer.from(text);
    const blob = await this.#parts.blobs.put(oneOf(content), {}, signal);
    return { ...blob, compression: "none", contentBytes: bytes(content.length) };
  }

  async #goOn(one: SimulatedAppliance): Promise<void> {
    const { life, settings, machine } = this.#parts;
    await life.call("checkpoints, go on", settings.callMs, () => machine.goOnAfterCheckpoint(one));
    const { underWay: _cutOff, standing: _stood, ...record } = this.#chain(one.plan.id);
    await this.#write(record);
  }

  #chain(appliance: ApplianceId): ChainRecord {
    return this.#chains.get(appliance) ?? { appliance, taken: [] };
  }

  async #write(record: ChainRecord): Promise<void> {
    const { life, settings, disk, book } = this.#parts;
    await life.call("checkpoints, write", slowed(settings.diskMs, disk), () => {
      if (disk.full) throw diskFull("keep the record of a checkpoint");
      book.set(record.appliance, record);
    });
    this.#chains.set(record.appliance, record);
  }

  #store(copies: number): HostCopies {
    const { blobs, exchange, clock, log } = this.#parts;
    const peers = (): readonly NamedPeer[] => this.#peers;
    return new HostCopies({ blobs, exchange, clock, log, own: this.#own, peers, copies }, this.#speed);
  }
}

async function* oneOf(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}
