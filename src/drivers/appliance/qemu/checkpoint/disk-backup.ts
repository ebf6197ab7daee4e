import { chmod, constants, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Qmp, QmpEvent, RunningVm } from "../vm.ts";

/**
 * What was written to a machine's disks, for one checkpoint:
 *
 *   paused: a new bitmap begins to note writes │ a backup of what the last checkpoint's bitmap noted begins
 *   running: QEMU copies that as it was at this moment, also what is written meanwhile, into files of its own
 *   complete: the last checkpoint's bitmap goes      (failed: the new one goes; the last one has noted all the time)
 *
 * A disk without such a bitmap is copied as far as its own layer was ever written.
 */
export type DiskBackup = {
  readonly disk: string;
  /** On the host, in QEMU's format without a layer below; complete once `finished` resolves. */
  readonly file: string;
};

export type DiskBackups = {
  readonly files: readonly DiskBackup[];
  /** Relative to the last checkpoint, not to the layers below the machine's own. */
  readonly isIncremental: boolean;
  /** While the machine is paused after its memory was sent. */
  begin(signal: AbortSignal): Promise<void>;
  finished(signal: AbortSignal): Promise<void>;
  /** Removes the files. */
  close(): Promise<void>;
};

export type CreateDisk = (file: string, sizeBytes: number, signal: AbortSignal) => Promise<void>;

const bitmapOf = (checkpoint: string): string => `ck-${checkpoint}`;
const targetOf = (disk: string): string => `ck-target-${disk}`;
const fileOf = (disk: string): string => `ck-${disk}.qcow2`;
const jobOf = (disk: string): string => `ck-job-${disk}`;
/** What differs is told in pieces of this size. */
const granularity = 65_536;

type BlockNode = {
  readonly "node-name": string;
  readonly image: { readonly "virtual-size": number };
  readonly "dirty-bitmaps"?: readonly {
    readonly name?: string;
    readonly recording: boolean;
    readonly inconsistent?: boolean;
  }[];
};

async function blockNodes(qmp: Qmp, signal: AbortSignal): Promise<readonly BlockNode[]> {
  return (await qmp.execute("query-named-block-nodes", { flat: true }, signal)) as readonly BlockNode[];
}

type BackedDisk = { readonly name: string; readonly node: BlockNode; readonly file: string };

export type BackupParts = {
  readonly createDisk: CreateDisk;
  /** Nobody else may write here; of the same file system as the machine's directory. */
  readonly workshop: string;
};

/** Makes the files that `begin` needs, before the machine is paused. */
export async function prepareBackups(
  vm: RunningVm,
  { id, after }: { readonly id: string; readonly after?: string },
  parts: BackupParts,
  signal: AbortSignal,
): Promise<DiskBackups> {
  const nodes = await blockNodes(vm.qmp, signal);
  const disks = vm.disks.map(({ name }) => backedDisk(vm, name, nodes));
  const base = after !== undefined && disks.every((disk) => hasBitmap(disk, after)) ? after : undefined;
  await clearLeftovers(vm, nodes, signal);
  const mark = `${encodeURIComponent(vm.id)}-${id}`;
  for (const disk of disks) await makeTarget(disk, mark, parts, signal);
  const names = disks.map(({ name }) => name);
  const outcome = watchJobs(vm.qmp, names.map(jobOf));
  return {
    files: disks.map(({ name, file }) => ({ disk: name, file })),
    isIncremental: base !== undefined,
    async begin(stop) {
      if (disks.length === 0) return;
      // Not before: what QEMU has open when it lets go of its disks it may not write to until it goes on.
      for (const name of names) {
        const file = { driver: "file", filename: join(vm.inside, fileOf(name)) };
        const node = { driver: "qcow2", "node-name": targetOf(name), file };
        await vm.qmp.execute("blockdev-add", node, stop);
      }
      const actions = names.flatMap((name) => actionsOf(name, id, base));
      await withOpenDisks(vm, names, () => vm.qmp.execute("transaction", { actions }, stop), stop);
    },
    async finished(stop) {
      await outcome.done(stop);
      for (const name of names) await vm.qmp.execute("blockdev-del", { "node-name": targetOf(name) }, stop);
    },
    async close() {
      outcome.stop();
      for (const { file } of disks) await rm(file, { force: true });
    },
  };
}

function backedDisk(vm: RunningVm, name: string, nodes: readonly BlockNode[]): BackedDisk {
  const node = nodes.find((one) => one["node-name"] === name);
  if (node !== undefined) return { name, node, file: join(vm.directory, fileOf(name)) };
  throw new ConsortError("driver_failed", `Cannot copy the disk ${name} of ${vm.id}: QEMU has no such disk`);
}

const hasBitmap = ({ node }: BackedDisk, checkpoint: string): boolean =>
  node["dirty-bitmaps"]?.some(
    (one) => one.name === bitmapOf(checkpoint) && one.recording && one.inconsistent !== true,
  ) === true;

/** Made elsewhere and moved: whatever a machine may have put in its directory, nothing of ours follows it. */
async function makeTarget(
  { node, file }: BackedDisk,
  mark: string,
  { createDisk, workshop }: BackupParts,
  signal: AbortSignal,
): Promise<void> {
  const draft = join(workshop, `target-${mark}-${node["node-name"]}.qcow2`);
  await rm(draft, { force: true });
  await createDisk(draft, node.image["virtual-size"], signal);
  // Written by QEMU, which is a user of its own.
  await chmod(draft, 0o666);
  await rename(draft, file);
}

/** What was written since `base`, or all that the disk's own layer has. */
function actionsOf(name: string, id: string, base: string | undefined): readonly object[] {
  const part =
    base === undefined ? { sync: "top" } : { sync: "bitmap", bitmap: bitmapOf(base), "bitmap-mode": "never" };
  return [
    { type: "block-dirty-bitmap-add", data: { node: name, name: bitmapOf(id), granularity } },
    {
      type: "blockdev-backup",
      data: { device: name, "job-id": jobOf(name), target: targetOf(name), ...part },
    },
  ];
}

/**
 * QEMU has let go of its disks when all was sent, and opens them anew when the machine goes on: under a backup that had
 * begun before, it would crash. An export opens them earlier; nobody is ever to connect to it.
 */
async function withOpenDisks(
  vm: RunningVm,
  disks: readonly string[],
  work: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const path = join(vm.inside, "ck-open");
  await rm(join(vm.directory, "ck-open"), { force: true });
  await vm.qmp.execute("nbd-server-start", { addr: { type: "unix", data: { path } } }, signal);
  try {
    for (const disk of disks) {
      const opening = { type: "nbd", id: `ck-open-${disk}`, "node-name": disk, name: disk };
      await vm.qmp.execute("block-export-add", opening, signal);
    }
    await work();
  } finally {
    await vm.qmp.execute("nbd-server-stop", {}, AbortSignal.timeout(10_000));
    await rm(join(vm.directory, "ck-open"), { force: true });
  }
}

/** Of these jobs, all of which are to complete. */
function watchJobs(
  qmp: Qmp,
  jobs: readonly string[],
): { done(signal: AbortSignal): Promise<void>; stop(): void } {
  const left = new Set(jobs);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => {});
  if (left.size === 0) resolve();
  const failed = (why: string): void =>
    reject(new ConsortError("driver_failed", `Cannot copy a disk: ${why}`));
  const stop = qmp.onEvent(({ event, data }: QmpEvent) => {
    const { device, error, id, status } = data as Readonly<Record<string, string | undefined>>;
    if (event === "BLOCK_JOB_COMPLETED" && error !== undefined && left.has(device ?? "")) failed(error);
    if (event === "BLOCK_JOB_CANCELLED" && left.has(device ?? "")) failed("it was called off");
    // Only then is nothing of it in use any more.
    if (event !== "JOB_STATUS_CHANGE" || status !== "null" || !left.delete(id ?? "")) return;
    if (left.size === 0) resolve();
  });
  const lost = (): void => reject(new ConsortError("unavailable", "Cannot copy a disk: QEMU has gone"));
  qmp.closed.addEventListener("abort", lost, { once: true });
  return {
    async done(signal) {
      const abort = (): void => reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      if (signal.aborted) abort();
      await promise.finally(() => signal.removeEventListener("abort", abort));
    },
    stop() {
      stop();
      qmp.closed.removeEventListener("abort", lost);
    },
  };
}

/** There is one only if whoever started it was killed before it was stopped. */
async function stopServer(qmp: Qmp, signal: AbortSignal): Promise<void> {
  try {
    await qmp.execute("nbd-server-stop", {}, signal);
  } catch (cause) {
    if (!messageOf(cause).includes("NBD server not running")) throw cause;
  }
}

/** Of an attempt that was cut off: its jobs end first. */
async function clearLeftovers(
  vm: RunningVm,
  nodes: readonly BlockNode[],
  signal: AbortSignal,
): Promise<void> {
  const isOurs = new Set(vm.disks.map(({ name }) => targetOf(name)));
  const targets = nodes.map((node) => node["node-name"]).filter((name) => isOurs.has(name));
  if (targets.length === 0) return;
  await stopServer(vm.qmp, signal);
  const jobs = vm.disks.map(({ name }) => jobOf(name));
  const running = (await vm.qmp.execute("query-jobs", {}, signal)) as readonly { readonly id: string }[];
  const left = running.map(({ id }) => id).filter((id) => jobs.includes(id));
  const ended = watchJobs(vm.qmp, left);
  try {
    for (const id of left) await vm.qmp.execute("block-job-cancel", { device: id, force: true }, signal);
    await ended.done(signal).catch(() => signal.throwIfAborted());
    for (const target of targets) await vm.qmp.execute("blockdev-del", { "node-name": target }, signal);
  } finally {
    ended.stop();
  }
}

/** All bitmaps of ours but that of this checkpoint go; none is kept without one. */
export async function keepOnlyBitmap(
  vm: RunningVm,
  checkpoint: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const kept = checkpoint === undefined ? undefined : bitmapOf(checkpoint);
  for (const node of await blockNodes(vm.qmp, signal)) {
    for (const { name } of node["dirty-bitmaps"] ?? []) {
      if (name === undefined || name === kept || !name.startsWith("ck-")) continue;
      await vm.qmp.execute("block-dirty-bitmap-remove", { node: node["node-name"], name }, signal);
    }
  }
}

/** What QEMU has written, for us; nothing else is followed that may stand under this name. */
export async function* contentOf(file: string): AsyncGenerator<Uint8Array> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    yield* handle.createReadStream({ autoClose: false, highWaterMark: 1024 * 1024 });
  } finally {
    await handle.close();
  }
}
