import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { ConsortError, codeOf } from "#base/errors.ts";
import { abortable, connectQmp } from "../qmp.ts";
import type { VmDisk, RunningVm } from "../vm.ts";
import { servingNames } from "./ports.ts";
import type { MachinePlace } from "./ports.ts";

const program = "qemu-storage-daemon";
const qcow2Magic = 0x51_46_49_fb;
const headerBytes = 32;
/** Of who serves disks, to end or to say that it is there. */
const endMsMax = 10_000;
const slackBytes = 16 * 1024 * 1024;

/** A layer as it is served: a name below the machine's directory. */
export type ServedDisk = Pick<VmDisk, "name" | "file">;

/**
 * Serves a machine's writable layers, byte for byte, from beside its QEMU: in its own namespaces, group and user, and
 * whatever becomes of that QEMU. Nothing is written through it before the machine has stopped here for good.
 */
export async function serveDisks(
  vm: RunningVm,
  disks: readonly ServedDisk[],
  move: string,
  signal: AbortSignal,
): Promise<void> {
  if (await isServing(vm.directory, move, signal)) return;
  for (const disk of disks) makeRoom(disk.file);
  const inside = (name: string): string => `${vm.inside}/${name}`;
  checkServed(vm.id, await vm.run([program, ...argumentsFor(disks, move, inside)], signal));
}

/**
 * The same where nothing of the machine runs any more, as after its host has lost its power: by its own user from its own
 * directory, without a network.
 */
export async function serveDisksAlone(
  place: MachinePlace,
  disks: readonly ServedDisk[],
  move: string,
  signal: AbortSignal,
): Promise<void> {
  if (await isServing(place.directory, move, signal)) return;
  place.cgroup.create();
  const { gid } = statSync(place.directory);
  const args = argumentsFor(disks, move, (name) => name);
  const child = spawn(
    "sh",
    ["-c", alone, "sh", place.cgroup.procsFiles().join(" "), ...confined(gid), program, ...args],
    {
      cwd: place.directory,
      stdio: ["ignore", "ignore", "pipe"],
      signal,
    },
  );
  let output = "";
  child.stderr.on("data", (chunk: Buffer) => (output = (output + String(chunk)).slice(0, outputBytesMax)));
  const [exitCode] = (await once(child, "close")) as [number | null];
  checkServed(place.id, { exitCode: exitCode ?? -1, output });
}

/** Joins the machine's groups first. */
const alone = 'for file in $1; do echo $$ > "$file" || exit 1; done; shift; exec "$@"';
const outputBytesMax = 1024;

/** As the machine's own user, whose number its group has, too. Root only where the directory is root's, as in tests. */
function confined(user: number): readonly string[] {
  const network = ["unshare", "--net", "--ipc"];
  if (user === 0) return network;
  const ids = [`--reuid=${user}`, `--regid=${user}`, "--clear-groups"];
  return [...network, "setpriv", ...ids, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"];
}

function checkServed(id: string, { exitCode, output }: { exitCode: number; output: string }): void {
  if (exitCode === 0) return;
  throw new ConsortError("driver_failed", `Cannot serve the disks of ${id}: ${output.trim() || exitCode}`);
}

/** It goes on by itself when it serves. */
function argumentsFor(
  disks: readonly ServedDisk[],
  move: string,
  inside: (name: string) => string,
): readonly string[] {
  const names = servingNames(move);
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
  return [
    "--daemonize",
    "--chardev",
    `socket,id=control,path=${inside(names.control)},server=on,wait=off`,
    "--monitor",
    "chardev=control",
    ...nodes,
    "--nbd-server",
    `addr.type=unix,addr.path=${inside(names.disks)},max-connections=0`,
    ...exports,
  ];
}

async function isServing(directory: string, move: string, caller: AbortSignal): Promise<boolean> {
  const signal = AbortSignal.any([caller, AbortSignal.timeout(endMsMax)]);
  try {
    (await connectQmp(join(directory, servingNames(move).control), signal)).close();
    return true;
  } catch (cause) {
    if (codeOf(cause) === "unavailable") return false;
    throw cause;
  }
}

/** Nothing is served any more when this resolves. Rejects when whoever serves does not end in time: it is asked again. */
export async function stopServingDisks(directory: string, move: string, caller: AbortSignal): Promise<void> {
  const signal = AbortSignal.any([caller, AbortSignal.timeout(endMsMax)]);
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
  try {
    await abortable(ended, signal);
  } finally {
    control.close();
  }
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
