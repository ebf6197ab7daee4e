import { basename } from "node:path";
import type { BlobRef } from "#model/image.ts";
import { macAddress } from "#base/ids.ts";
import { tapOf } from "./cable.ts";
import type { BootSpec, DiskLayer, DiskSpec, MachineSpec } from "./command/spec.ts";
import type { MachineRecord } from "./record.ts";
import type { PreparedDisk } from "./storage.ts";

/** How a host's files are seen by the machine, and what its processors are clocked at. */
export type MachineSurroundings = {
  /** The path inside of a file of the host. */
  readonly inside: (file: string) => string;
  readonly blobFile: (blob: BlobRef) => string;
  readonly clockKhz: number | undefined;
};

/** What QEMU is to be told for the next run of a machine whose disks are there. */
export function specOf(
  record: MachineRecord,
  disks: readonly PreparedDisk[],
  surroundings: MachineSurroundings,
): MachineSpec {
  const { plan, machine, accel } = record;
  const { vm } = plan;
  return {
    name: vm.hostname,
    machine,
    accel,
    vcpus: processorsOf(record),
    vcpusMax: vm.vcpusMax,
    memoryBytes: plan.memoryBytes,
    memoryBytesMax: vm.memoryBytesMax,
    memory: { kind: "own" },
    boot: bootOf(record, surroundings),
    disks: disks.map((disk) => diskOf(disk, surroundings)),
    nics: plan.interfaces.map(({ name, mac }) => ({
      name,
      tap: tapOf(plan.interfaces, name),
      mac: macAddress(mac),
    })),
    incoming: false,
  };
}

/**
 * An emulated machine is given none while it runs, so it has all it may have: its guest, where it has an agent, leaves
 * those alone that it is not to use.
 */
function processorsOf({ plan, accel }: MachineRecord): number {
  const { vcpus, vcpusMax, base } = plan.vm;
  return accel === "tcg" && base.features.includes("agent") ? vcpusMax : vcpus;
}

function bootOf(record: MachineRecord, at: MachineSurroundings): BootSpec {
  const { plan, machine, accel } = record;
  const { boot } = plan.vm.base;
  if (boot?.kind !== "kernel") return boot ?? { kind: "disk", firmware: "bios" };
  const { kernel, initrd, commandLine } = boot;
  const insideOf = (blob: BlobRef): string => at.inside(at.blobFile(blob));
  // An emulated microvm has no clock to measure its processor's with, but that is the host's. To be reliable keeps its
  // kernel from comparing it with ticks that come late, and from going on by those: its time would run a fifth too fast.
  const clock = machine === "microvm" && accel === "tcg" && at.clockKhz !== undefined;
  // A kernel that memory could be plugged into would keep 64 MiB for devices that reach the low 4 GiB only: none is here.
  const grows = machine === "q35" && plan.vm.memoryBytesMax > plan.memoryBytes;
  const words = [
    commandLine,
    // Without PCI or a keyboard to ask for a reset, which a kernel else tries for long.
    ...(machine === "microvm" ? ["pci=off", "reboot=t"] : []),
    ...(clock ? [`tsc_early_khz=${at.clockKhz}`, "tsc=reliable"] : []),
    ...(grows ? ["swiotlb=noforce"] : []),
    // On a busy host an emulated timer is late enough for a kernel to take it for broken, and to panic.
    ...(accel === "tcg" ? ["no_timer_check"] : []),
    ...(processorsOf(record) > plan.vm.vcpus ? [`maxcpus=${plan.vm.vcpus}`] : []),
  ];
  return {
    kind: "kernel",
    kernel: insideOf(kernel),
    commandLine: words.join(" "),
    ...(initrd === undefined ? {} : { initrd: insideOf(initrd) }),
  };
}

function diskOf({ name, readOnly, layers }: PreparedDisk, { inside }: MachineSurroundings): DiskSpec {
  const [top, ...below] = layers.map(({ file, format }): DiskLayer => ({
    source: { driver: "file", filename: inside(file) },
    format,
  }));
  if (top === undefined) throw new Error(`disk ${basename(name)} has no layer`);
  return { name, readOnly, layers: [top, ...below] };
}

/** From the text of /proc/cpuinfo, in kHz; undefined where it does not tell. */
export function clockKhzOf(cpuinfo: string): number | undefined {
  const [, mhz] = /^cpu MHz\s*:\s*([\d.]+)$/m.exec(cpuinfo) ?? [];
  return mhz === undefined ? undefined : Math.round(Number(mhz) * 1000);
}
