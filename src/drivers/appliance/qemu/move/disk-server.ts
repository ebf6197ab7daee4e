import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync } from "node:fs";
import { basename, join } from "node:path";
import { ConsortError, codeOf } from "#base/errors.ts";
import { connectQmp } from "../qmp.ts";
import type { VmDisk, RunningVm } from "../vm.ts";
import { servingNames } from "./ports.ts";

const program = "qemu-storage-daemon";
const qcow2Magic = 0x51_46_49_fb;
const headerBytes = 32;
const slackBytes = 16 * 1024 * 1024;

/**
 * Serves a machine's writable layers, byte for byte, from beside its QEMU: in its own namespaces, group and user, and
 * whatever becomes of that QEMU. Nothing is written through it before the machine has stopped here for good.
 */
export async function serveDisks(
  vm: RunningVm,
  disks: readonly VmDisk[],
  move: string,
  signal: AbortSignal,
): Promise<void> {
  if (await isServing(vm.directory, move, signal)) return;
  const names = servingNames(move);
  for (const disk of disks) makeRoom(disk.file);
  const inside = (name: string): string => `${vm.inside}/${name}`;
  const nodes = disks.flatMap(({ name, file }) => [
    "--blockdev",
    JSON.stringify({
      driver: "file",
      "node-name": name,
      filename: inside(basename(file)),
      // QEMU has its own lock on it until its state is sent.
      locking: "off",
      discard: "unmap",
    }),
  ]);
  const exports = disks.flatMap(({ name }) => [
    "--export",
    `type=nbd,id=${name},node-name=${name},name=${name},writable=on`,
  ]);
  const { exitCode, output } = await vm.run(
    [
      program,
      "--daemonize",
      "--chardev",
      `socket,id=control,path=${inside(names.control)},server=on,wait=off`,
      "--monitor",
      "chardev=control",
      ...nodes,
      "--nbd-server",
      `addr.type=unix,addr.path=${inside(names.disks)},max-connections=0`,
      ...exports,
    ],
    signal,
  );
  if (exitCode === 0) return;
  throw new ConsortError("driver_failed", `Cannot serve the disks of ${vm.id}: ${output.trim() || exitCode}`);
}

async function isServing(directory: string, move: string, signal: AbortSignal): Promise<boolean> {
  try {
    (await connectQmp(join(directory, servingNames(move).control), signal)).close();
    return true;
  } catch (cause) {
    if (codeOf(cause) === "unavailable") return false;
    throw cause;
  }
}

/** Nothing is served any more when this resolves. */
export async function stopServingDisks(directory: string, move: string, signal: AbortSignal): Promise<void> {
  let control;
  try {
    control = await connectQmp(join(directory, servingNames(move).control), signal);
  } catch (cause) {
    if (codeOf(cause) === "unavailable") return;
    throw cause;
  }
  const ended = new Promise<void>((resolve) => control.closed.addEventListener("abort", () => resolve()));
  try {
    await control.execute("quit", {}, signal);
  } catch (cause) {
    if (codeOf(cause) !== "unavailable") throw cause;
  }
  await ended;
}

/**
 * A file that is served keeps its size, and a layer in qcow2 grows with what is written: it is made as long as it may
 * ever become, which takes no room on the disk.
 */
function makeRoom(file: string): void {
  const open = openSync(file, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    const stat = fstatSync(open);
    if (!stat.isFile()) throw new ConsortError("driver_failed", `Cannot serve ${file}: it is no file`);
    const header = Buffer.alloc(headerBytes);
    if (readSync(open, header, 0, headerBytes, 0) < headerBytes) return;
    if (header.readUInt32BE(0) !== qcow2Magic) return;
    ftruncateSync(open, Math.max(stat.size, qcow2BytesMax(header.readBigUInt64BE(24))));
  } finally {
    closeSync(open);
  }
}

/** All of it written: tables take about an eight-thousandth for clusters of 64 KiB. */
export function qcow2BytesMax(virtualBytes: bigint): number {
  const bytes = Number(virtualBytes);
  const cluster = 65_536;
  return Math.ceil((bytes * (1 + 1 / 4096) + slackBytes) / cluster) * cluster;
}
