import type { ApplianceId, HostId } from "#base/ids.ts";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { digest } from "#base/digest.ts";
import type { Millis } from "#base/units.ts";
import type { BlobExchange, BlobStore, TransferProgress } from "#drivers/blob/port.ts";
import { digestOfFile } from "#drivers/blob/digests.ts";
import { CheckpointBook } from "#drivers/checkpoint/book.ts";
import type { ChainRecord, TakenRecord } from "#drivers/checkpoint/chain-record.ts";
import { withFold } from "#drivers/checkpoint/folding.ts";
import { chainOf, memoryOf, retention } from "#model/checkpoint-chain.ts";
import type {
  Checkpointer,
  CheckpointStore,
  KeptBefore,
  NamedPeer,
  TakeOrder,
} from "#drivers/checkpoint/port.ts";
import type { StoreFor } from "#drivers/checkpoint/stores.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import type { Checkpoint } from "#model/checkpoint.ts";
import type { BlobRef } from "#model/image.ts";
import type { AppliancePlan, VmPlan } from "#protocol/host-plan.ts";
import type { CheckpointReport } from "#protocol/host-report.ts";
import type { MachineSpec } from "../command/spec.ts";
import { processorCount } from "../resize/processors.ts";
import type { RunningVm } from "../vm.ts";
import { folded } from "./fold.ts";
import { knownMemory } from "./known-memory.ts";
import type { KnownMemory } from "./known-memory.ts";
import { restoredLayers } from "./layers.ts";
import { mainMemoryOf, restoreMemory } from "./restore.ts";
import { goOnAfterCutOff, take } from "./take.ts";
import type { Taken, TakeRequest } from "./take.ts";

export type MachineCheckpointsParts = {
  readonly directory: string;
  readonly blobs: BlobStore;
  readonly exchange: BlobExchange;
  readonly storeFor: StoreFor;
  readonly subprocess: Subprocess;
  readonly clock: Clock;
  readonly log: Log;
  /** Of the link that copies go over, in bytes per second: what is assumed before one was made. */
  readonly linkBps: number;
  /** undefined: it does not run here. */
  readonly running: (id: ApplianceId) => RunningVm | undefined;
  /** When it was begun, on whatever host that was. */
  readonly startedAt?: (id: ApplianceId) => Millis | undefined;
};

type Restore = NonNullable<VmPlan["restore"]>;

/** A chain below the oldest that is kept may have so many links before it is made one. */
const foldAbove = 8;

const goOnMsMax = 10_000;

/**
 * Checkpoints of the machines of one host.
 *
 *   take:     record "under way" ► QEMU ► blobs ► copies elsewhere ► record "complete" ► what is not needed is forgotten
 *   restore:  blobs from where copies are ► layers of its disks (`layers`) ► QEMU waits ► memory (`restore`) ► it runs
 */
export class MachineCheckpoints implements Checkpointer {
  readonly #parts: MachineCheckpointsParts;
  readonly #book: CheckpointBook;
  /** To go on: a checkpoint of these was under way when the manager before died, or they were released. */
  readonly #cutOff = new Set<ApplianceId>();
  /** A checkpoint of these is under way after which they are not to go on. */
  readonly #leaving = new Set<ApplianceId>();
  #own = "" as HostId;
  #peers: readonly NamedPeer[] = [];

  constructor(parts: MachineCheckpointsParts) {
    this.#parts = parts;
    this.#book = new CheckpointBook(parts.directory);
  }

  usePeers(own: HostId, peers: readonly NamedPeer[]): void {
    this.#own = own;
    this.#peers = peers;
  }

  observe(): readonly CheckpointReport[] {
    return this.#book.chains().flatMap(({ taken }) => taken);
  }

  onRecord(): readonly ApplianceId[] {
    return this.#book.chains().map(({ appliance }) => appliance);
  }

  async recover(_signal: AbortSignal): Promise<void> {
    await this.#book.load();
    for (const { appliance, underWay } of this.#book.chains()) {
      if (underWay !== undefined) this.#cutOff.add(appliance);
    }
  }

  look(signal: AbortSignal): void {
    for (const appliance of this.#cutOff) {
      const vm = this.#parts.running(appliance);
      if (vm === undefined) continue;
      this.#cutOff.delete(appliance);
      this.#goOn(vm, signal).catch((cause: unknown) => {
        if (signal.aborted) return;
        this.#cutOff.add(appliance);
        this.#parts.log.warn(`Cannot let ${appliance} go on: ${messageOf(cause)}`, { cause });
      });
    }
  }

  async #goOn(vm: RunningVm, signal: AbortSignal): Promise<void> {
    await goOnAfterCutOff(vm, this.#parts.clock, signal);
    const { underWay: _cutOff, standing: _stood, ...record } = this.#book.chain(vm.id);
    await this.#book.write(record);
  }

  standing(): ReadonlyMap<ApplianceId, string> {
    return new Map(
      this.#book
        .chains()
        .flatMap(({ appliance, standing }) => (standing === undefined ? [] : [[appliance, standing]])),
    );
  }

  /** Should its QEMU end and begin again, its guest is not to run: what it did would be in no checkpoint. */
  standsStill(id: ApplianceId): boolean {
    return this.#leaving.has(id) || this.#book.chain(id).standing !== undefined;
  }

  release(appliance: ApplianceId, signal: AbortSignal): void {
    if (this.#book.chain(appliance).standing === undefined) return;
    this.#cutOff.add(appliance);
    this.look(signal);
  }

  async take(order: TakeOrder, signal: AbortSignal): Promise<void> {
    const { appliance, id, policy } = order;
    const vm = this.#parts.running(appliance);
    if (vm === undefined || this.#cutOff.has(appliance) || this.standing().has(appliance)) {
      throw new ConsortError("conflict", `Cannot take a checkpoint of ${appliance}: it does not run here`);
    }
    const store = this.#store(policy);
    // It came from another host while it ran: what it began from is not known here yet.
    const began = vm.plan.vm?.restore;
    if (began !== undefined && this.#book.chain(appliance).taken.length === 0) {
      await this.#begin(appliance, began, () => {}, signal);
    }
    // Once it stands still nothing may fail any more that would let it go on.
    if (order.stays === true) await this.#retain(appliance, policy, store, signal);
    const { underWay: _before, ...record } = this.#book.chain(appliance);
    await this.#book.write({ ...record, underWay: id });
    if (order.stays === true) this.#leaving.add(appliance);
    let isStuck = false;
    try {
      await this.#takeNow(vm, { ...order, onStuck: () => (isStuck = true) }, record, store, signal);
      if (order.stays !== true) await this.#retain(appliance, policy, store, signal);
    } catch (cause) {
      const { underWay: _cutOff, ...now } = this.#book.chain(appliance);
      if (isStuck || (order.stays === true && now.standing === undefined)) await this.#goOnInAnyCase(vm);
      else await this.#book.write(now);
      throw cause;
    } finally {
      this.#leaving.delete(appliance);
    }
  }

  /** What is not needed is forgotten, and a chain that has grown long made a short one. */
  async #retain(
    appliance: ApplianceId,
    policy: TakeOrder["policy"],
    store: CheckpointStore,
    signal: AbortSignal,
  ): Promise<void> {
    const record = this.#book.chain(appliance);
    const known = record.taken.map(({ checkpoint }) => checkpoint);
    const { fold, needed } = retention(known, policy.keep, foldAbove);
    const isNeeded = new Set(needed.map((one) => one.id));
    const kept = { ...record, taken: record.taken.filter((one) => isNeeded.has(one.checkpoint.id)) };
    await this.#book.write(kept);
    if (fold !== undefined) await this.#fold(fold, kept, policy.store, store, signal);
  }

  /** Also when this manager is told to end; what cannot be reached now goes on when it can. */
  async #goOnInAnyCase(vm: RunningVm): Promise<void> {
    const limit = AbortSignal.timeout(goOnMsMax);
    if (!vm.qmp.closed.aborted) await this.#goOn(vm, limit).catch(() => this.#cutOff.add(vm.id));
    else {
      this.#cutOff.add(vm.id);
      // The next one may be there already, and waits.
      this.look(limit);
    }
  }

  async #takeNow(
    vm: RunningVm,
    { id, generation, policy, whilePaused, stays, onStuck }: TakeOrder & Pick<TakeRequest, "onStuck">,
    record: ChainRecord,
    store: CheckpointStore,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, blobs, log } = this.#parts;
    const { appliance, beganFrom } = record;
    const last = record.taken.at(-1);
    const isOfThis = last?.checkpoint.generation === generation;
    const takenAtMs = clock.now();
    const startedAt = this.#parts.startedAt?.(appliance);
    let group: string | undefined;
    let processors = 0;
    const taken = await take(
      vm,
      {
        id,
        ...(last === undefined || !isOfThis
          ? {}
          : { after: { id: last.checkpoint.id, memory: this.#known(record, last.checkpoint.id) } }),
        ...(beganFrom === undefined ? {} : { beganFrom: this.#known(record, beganFrom) }),
        whilePaused: async (stop) => {
          processors = await processorCount(vm.qmp, stop);
          group = await whilePaused?.(stop);
        },
        ...(stays === undefined ? {} : { stays }),
        ...(onStuck === undefined ? {} : { onStuck }),
      },
      { blobs, clock, targetBps: store.speedBps ?? this.#parts.linkBps, createDisk: this.#createDisk },
      signal,
    );
    const after = taken.isIncremental ? last?.checkpoint.id : beganFrom;
    const checkpoint: Checkpoint = {
      id,
      appliance,
      generation,
      takenAtMs,
      disks: taken.disks,
      memory: taken.memory,
      machine: machineOf(vm.plan, processors),
      pauseMs: taken.pauseMs,
      ...(startedAt === undefined ? {} : { startedAt }),
      ...(after === undefined ? {} : { after }),
      ...(group === undefined ? {} : { group }),
    };
    const saved = await this.#save(checkpoint, record, policy.store, store, signal);
    log.info(`Took a checkpoint of ${appliance}`, {
      id,
      bytes: taken.memory.sizeBytes,
      pauseMs: taken.pauseMs,
    });
    await this.#complete(stays === true ? { ...record, standing: id } : record, saved, taken);
  }

  #known({ appliance, taken }: ChainRecord, id: string): KnownMemory {
    const tableFile = (of: ApplianceId, checkpoint: string): string => this.#book.tableFile(of, checkpoint);
    const all = taken.map(({ checkpoint }) => checkpoint);
    return knownMemory({ id, appliance }, all, { tableFile, blobs: this.#parts.blobs });
  }

  async #save(
    checkpoint: Checkpoint,
    { taken }: ChainRecord,
    url: string | undefined,
    store: CheckpointStore,
    signal: AbortSignal,
  ): Promise<TakenRecord> {
    const known = [...taken.map((one) => one.checkpoint), checkpoint];
    const chain = chainOf(checkpoint.id, known);
    if (chain === undefined) {
      throw new ConsortError(
        "internal",
        `Cannot keep the checkpoint ${checkpoint.id}: what it needs is not here`,
      );
    }
    const saved = await store.save(chain, keptBefore(taken), signal);
    return { checkpoint, ...saved, ...(url === undefined ? {} : { store: url }) };
  }

  /** The moment it counts: what it is taken after next is the one that is on record. */
  async #complete(record: ChainRecord, saved: TakenRecord, { table }: Taken): Promise<void> {
    const { appliance } = record;
    await this.#book.writeTable(appliance, saved.checkpoint.id, table);
    const complete = { ...record, taken: [...record.taken, saved] };
    await this.#book.write(complete);
    await this.#book.removeTables(appliance, saved.checkpoint.id);
  }

  /** Its record is replaced once the full one is where the others are; what lay below it goes then. */
  async #fold(
    { id }: Checkpoint,
    record: ChainRecord,
    url: string | undefined,
    store: CheckpointStore,
    signal: AbortSignal,
  ): Promise<void> {
    const { blobs, clock, subprocess, log } = this.#parts;
    const known = record.taken.map(({ checkpoint }) => checkpoint);
    const chain = chainOf(id, known);
    const old = record.taken.find(({ checkpoint }) => checkpoint.id === id);
    if (chain === undefined || old === undefined) return;
    try {
      const targetBps = store.speedBps ?? this.#parts.linkBps;
      const full = await folded(chain, { blobs, clock, subprocess, targetBps }, signal);
      // Those that have the newest: it needs this one from now on.
      const saved = await store.save([full], keptBefore(record.taken), signal);
      const where = url === undefined ? {} : { store: url };
      await this.#book.write(withFold(record, full, { ...saved, ...where }));
    } catch (cause) {
      signal.throwIfAborted();
      log.warn(`Cannot fold the checkpoints of ${record.appliance}: ${messageOf(cause)}`, { cause });
    }
  }

  /**
   * What its plan has it begin from comes here; the read-only layers of its disks above those of its images, by the
   * disk's name, the newest first.
   */
  async layers(
    plan: AppliancePlan,
    onProgress: (progress: TransferProgress) => void,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, readonly BlobRef[]>> {
    const restore = plan.vm?.restore;
    const newest = restore?.checkpoints[0];
    if (restore === undefined || newest === undefined) return new Map();
    const { checkpoints } = restore;
    await this.#begin(plan.id, restore, onProgress, signal);
    return restoredLayers(checkpoints, this.#parts.blobs, signal);
  }

  /** What this machine began from comes here, and is what its checkpoints are taken after. */
  async #begin(
    appliance: ApplianceId,
    restore: Restore,
    onProgress: (progress: TransferProgress) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { checkpoints, copies } = restore;
    const [newest] = checkpoints;
    if (newest === undefined) return;
    await this.#fetch(restore, onProgress, signal);
    const taken = checkpoints.toReversed().map((checkpoint) => ({
      checkpoint,
      copies: copies.hosts,
      missing: [],
      ...(copies.store === undefined ? {} : { store: copies.store }),
    }));
    await this.#book.write({ appliance, taken, beganFrom: newest.id });
  }

  async #fetch(
    { checkpoints, copies }: Restore,
    onProgress: (progress: TransferProgress) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { hosts: _hosts, ...where } = copies;
    await this.#store({ copies: 0, ...where }).fetch(checkpoints, copies, onProgress, signal);
  }

  /** What a QEMU needs to go on with it; undefined: its machine is laid out otherwise, so its memory is of no use. */
  async beganWith(
    plan: AppliancePlan,
    signal: AbortSignal,
  ): Promise<Pick<MachineSpec, "memoryBytes" | "vcpus"> | undefined> {
    const checkpoints = plan.vm?.restore?.checkpoints ?? [];
    const [memory] = memoryOf(checkpoints);
    const vcpus = processorsIn(plan, checkpoints[0]?.machine);
    const restore = plan.vm?.restore;
    if (restore === undefined || memory === undefined || vcpus === undefined) return undefined;
    // What was found damaged here at the attempt before comes from others.
    await this.#fetch(restore, () => {}, signal);
    return this.#read(
      checkpoints,
      async () => ({
        memoryBytes: await mainMemoryOf(memory, this.#parts.blobs, signal),
        vcpus,
      }),
      signal,
    );
  }

  /** What cannot be read may be damaged on this disk: such content goes, so that it is fetched anew. */
  async #read<Result>(
    checkpoints: readonly Checkpoint[],
    work: () => Promise<Result>,
    signal: AbortSignal,
  ): Promise<Result> {
    const { blobs, log } = this.#parts;
    try {
      return await work();
    } catch (cause) {
      signal.throwIfAborted();
      for (const { digest: name } of memoryOf(checkpoints)) {
        if (!blobs.has(name) || (await digestOfFile(blobs.path(name), signal)) === name) continue;
        log.warn("A part of a checkpoint is damaged on this host, and fetched anew", { digest: name });
        await blobs.remove(name, signal);
      }
      throw cause;
    }
  }

  /** One that waits for its memory goes on where it was. */
  restore(vm: RunningVm, signal: AbortSignal): Promise<void> {
    const checkpoints = vm.plan.vm?.restore?.checkpoints ?? [];
    const { blobs } = this.#parts;
    return this.#read(checkpoints, () => restoreMemory(vm, memoryOf(checkpoints), blobs, signal), signal);
  }

  async forget(appliance: ApplianceId, _signal: AbortSignal): Promise<void> {
    await this.#book.remove(appliance);
  }

  #store(policy: Parameters<StoreFor>[0]): CheckpointStore {
    return this.#parts.storeFor(policy, this.#own, () => this.#peers);
  }

  readonly #createDisk = async (file: string, sizeBytes: number, signal: AbortSignal): Promise<void> => {
    await this.#parts.subprocess.check(
      "qemu-img",
      ["create", "-q", "-f", "qcow2", file, String(sizeBytes)],
      signal,
    );
  };
}

/** Places of other hosts among them, where it came from there. */
const keptBefore = (taken: readonly TakenRecord[]): KeptBefore => ({
  hosts: taken.at(-1)?.copies ?? [],
  places: taken.flatMap(({ store }) => store ?? []),
});

/** So many QEMU had when that was taken, of a machine laid out as this one; undefined: it was laid out otherwise. */
function processorsIn(plan: AppliancePlan, machine: string | undefined): number | undefined {
  const numbers = Array.from({ length: plan.vm?.vcpusMax ?? 0 }, (_, before) => before + 1);
  return numbers.find((processors) => machineOf(plan, processors) === machine);
}

/** What continues one must have the same of: all that QEMU lays its machine out by, but how much memory it began with. */
function machineOf({ vm }: AppliancePlan, vcpus: number): string {
  if (vm === undefined) return "";
  const { machine, vcpusMax, memoryBytesMax, software, homeBytes, swapBytes, base } = vm;
  const names = software.map(({ name }) => name);
  return digest({
    machine,
    vcpus,
    vcpusMax,
    memoryBytesMax,
    names,
    homeBytes,
    swapBytes,
    boot: base.boot,
  });
}
