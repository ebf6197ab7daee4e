import { constants, openSync, closeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { CheckpointPart } from "#model/checkpoint.ts";
import { settledStatus } from "../settled-status.ts";
import { tracksWrites } from "../write-tracking.ts";
import { oneAtATime, setCapabilities } from "../turns.ts";
import type { Qmp, QmpEvent, RunningVm } from "../vm.ts";
import { contentOf, keepOnlyBitmap, prepareBackups } from "./disk-backup.ts";
import type { CreateDisk, DiskBackups } from "./disk-backup.ts";
import type { KnownMemory } from "./known-memory.ts";
import { MemoryTaker } from "./memory-taker.ts";
import { keepPart } from "./part.ts";
import type { PartTarget } from "./part.ts";

/**
 * One checkpoint of one running machine.
 *
 *   running ─ memory is sent, again where it changes ─► QEMU stops it and sends the rest ─► paused
 *           ─ disks: bitmaps and backups begin (transaction) ─► `whilePaused` ─► running
 *           ─ what was taken becomes blobs, the disks' backups end ─► taken
 *
 * QEMU 7.2 sends all of memory each time; only pages whose content changed since the last checkpoint are kept
 * (memory.worker.ts). Backups cannot begin earlier: QEMU lets go of its disks when all was sent, and fails if a backup
 * runs then; nor right then, as it has to open them first (disk-backup.ts).
 */
export type TakeRequest = {
  readonly id: string;
  /** The last complete one; absent: all is taken. */
  readonly after?: { readonly id: string; readonly memory: KnownMemory };
  /** The memory it began from: only what differs from it is taken where the last one does not serve. */
  readonly beganFrom?: KnownMemory;
  /** Others may have to be paused, too, before this one goes on. */
  readonly whilePaused?: (signal: AbortSignal) => Promise<void>;
  /** It does not go on when it has been paused; whoever asks lets it go on when this fails. */
  readonly stays?: true;
  /** It stands still though it is to go on, as its QEMU could not be told. */
  readonly onStuck?: () => void;
};

export type TakeParts = PartTarget & { readonly createDisk: CreateDisk; readonly clock: Clock };

export type Taken = {
  readonly disks: readonly { readonly disk: string; readonly content: CheckpointPart }[];
  readonly memory: CheckpointPart;
  readonly table: Uint8Array;
  /** It is relative to the checkpoint it was taken after, not to the one the machine began from, if to any. */
  readonly isIncremental: boolean;
  readonly pauseMs: Millis;
};

/** QEMU stops the machine when what is left takes so long. */
const downtimeMs = 60;
/** A guest that writes quicker than is read is stopped for longer rather than never. */
const patienceMs = millis(5000);
const longDowntimeMs = 1000;
/** No limit in practice: who reads sets the pace. */
const bandwidthBps = 64 * 1024 ** 3;

/** Rejects with the machine running as before; the last complete checkpoint stays what the next one is taken after. */
export function take(
  vm: RunningVm,
  request: TakeRequest,
  parts: TakeParts,
  signal: AbortSignal,
): Promise<Taken> {
  return oneAtATime(vm.qmp, () => takeNow(vm, request, parts, signal));
}

async function takeNow(
  vm: RunningVm,
  { id, after, beganFrom, whilePaused, stays, onStuck }: TakeRequest,
  parts: TakeParts,
  signal: AbortSignal,
): Promise<Taken> {
  const name = "ck-memory";
  await rm(join(vm.directory, name), { force: true });
  await keepOnlyBitmap(vm, after?.id, signal);
  const stopping = new AbortController();
  const stop = AbortSignal.any([signal, stopping.signal, vm.qmp.closed]);
  const asked = { id, ...(after === undefined ? {} : { after: after.id }) };
  const backups = await prepareBackups(
    vm,
    asked,
    { createDisk: parts.createDisk, workshop: parts.blobs.workshop },
    stop,
  );
  // Of disks and memory the same: a checkpoint has one that it is taken after.
  const before = backups.isIncremental ? after?.memory : beganFrom;
  const directory = openSync(vm.directory, constants.O_RDONLY | constants.O_DIRECTORY);
  await using taker = new MemoryTaker({
    socketPath: `/proc/self/fd/${directory}/${name}`,
    ...(before === undefined ? {} : { before }),
  });
  const memory = keepPart(taker.content(stop), parts, stop);
  memory.catch(() => {});
  try {
    await taker.listening();
    const socket = join(vm.inside, name);
    const wanted = { socket, stays: stays === true, onStuck };
    const pauseMs = await pausedWhile(vm, wanted, parts.clock, stop, async () => {
      await backups.begin(stop);
      await whilePaused?.(stop);
    });
    const disks = await keepDisks(backups, parts, stop);
    const { table } = await taker.done();
    return { disks, memory: await memory, table, isIncremental: backups.isIncremental, pauseMs };
  } catch (cause) {
    stopping.abort(cause);
    if (!vm.qmp.closed.aborted)
      await keepOnlyBitmap(vm, after?.id, AbortSignal.timeout(5000)).catch(() => {});
    // QEMU only sees that nobody takes its memory any more.
    throw signal.aborted ? cause : (taker.failure ?? cause);
  } finally {
    closeSync(directory);
    await rm(join(vm.directory, basename(name)), { force: true });
    await backups.close();
  }
}

async function keepDisks(
  backups: DiskBackups,
  parts: TakeParts,
  signal: AbortSignal,
): Promise<Taken["disks"]> {
  await backups.finished(signal);
  const disks: { disk: string; content: CheckpointPart }[] = [];
  for (const { disk, file } of backups.files) {
    disks.push({ disk, content: await keepPart(contentOf(file), parts, signal) });
  }
  return disks;
}

/** Sends all of the machine to the socket; it is paused from when all was sent until `work` has ended, or for good. */
async function pausedWhile(
  vm: RunningVm,
  {
    socket,
    stays,
    onStuck,
  }: { readonly socket: string; readonly stays: boolean; readonly onStuck: (() => void) | undefined },
  clock: Clock,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<Millis> {
  const { qmp } = vm;
  const status = (await qmp.execute("query-status", {}, signal)) as { readonly running: boolean };
  if (!status.running) {
    throw new ConsortError("conflict", `Cannot take a checkpoint of ${vm.id}: it does not run`);
  }
  await setCapabilities(qmp, ["events"], signal);
  const limits = { "max-bandwidth": bandwidthBps, "downtime-limit": downtimeMs };
  await qmp.execute("migrate-set-parameters", limits, signal);
  using pause = watchPause(qmp);
  const sent = sentAll(qmp);
  // What cannot be seen being written must not be: it stands still from the first page on.
  const standsStill = !(await tracksWrites(qmp, signal));
  let isStopped = standsStill;
  let isToStay = false;
  try {
    if (standsStill) await qmp.execute("stop", {}, signal);
    await qmp.execute("migrate", { uri: `unix:${socket}` }, signal);
    const hurry = clock.timer(patienceMs, () => {
      const longer = { "downtime-limit": longDowntimeMs };
      qmp.execute("migrate-set-parameters", longer, signal).catch(() => {});
    });
    await sent.done(signal).finally(hurry);
    isStopped = true;
    await work();
    isToStay = stays;
  } finally {
    sent.stop();
    if (!qmp.closed.aborted && !isToStay) {
      await goOn(qmp, isStopped, clock).catch((cause: unknown) => {
        onStuck?.();
        throw cause;
      });
    }
  }
  return pause.lasted();
}

/** Whatever happened, it runs again: not even a manager that is told to end leaves it as it is. */
export async function goOn(qmp: Pick<Qmp, "execute">, isStopped: boolean, clock: Clock): Promise<void> {
  const always = AbortSignal.timeout(10_000);
  await qmp.execute("migrate_cancel", {}, always);
  const status = await settledStatus(qmp, clock, always);
  if (isStopped || status === "postmigrate") await qmp.execute("cont", {}, always);
}

function sentAll(qmp: Qmp): { done(signal: AbortSignal): Promise<void>; stop(): void } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => {});
  const stop = qmp.onEvent(({ event, data }: QmpEvent) => {
    if (event !== "MIGRATION") return;
    if (data["status"] === "completed") resolve();
    else if (data["status"] === "failed" || data["status"] === "cancelled") {
      reject(new ConsortError("driver_failed", "Cannot take a checkpoint: QEMU could not send the memory"));
    }
  });
  return {
    done(signal) {
      const abort = (): void => reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      if (signal.aborted) abort();
      return promise.finally(() => signal.removeEventListener("abort", abort));
    },
    stop,
  };
}

/** By QEMU's own clock. */
function watchPause(qmp: Qmp): { lasted(): Millis; [Symbol.dispose](): void } {
  let stoppedAt: number | undefined;
  let lasted = 0;
  const stop = qmp.onEvent(({ event, timestampMs }: QmpEvent) => {
    if (event === "STOP") stoppedAt = timestampMs;
    if (event === "RESUME" && stoppedAt !== undefined) lasted = timestampMs - stoppedAt;
  });
  return { lasted: () => millis(lasted), [Symbol.dispose]: stop };
}

/**
 * A machine whose manager died while it was paused for a checkpoint goes on. To be called only for one of which
 * is on record that a checkpoint was under way: one that has moved away looks the same.
 */
export async function goOnAfterCutOff(vm: RunningVm, clock: Clock, signal: AbortSignal): Promise<void> {
  await oneAtATime(vm.qmp, async () => {
    const status = await settledStatus(vm.qmp, clock, signal);
    // Its QEMU has begun again meanwhile, and waits to be let go on.
    if (status === "prelaunch") await vm.qmp.execute("cont", {}, signal);
    if (status === "postmigrate") await vm.qmp.execute("cont", {}, signal);
    if (status === "running" || status === "paused") await vm.qmp.execute("migrate_cancel", {}, signal);
    if (status === "paused") await vm.qmp.execute("cont", {}, signal);
  });
}
