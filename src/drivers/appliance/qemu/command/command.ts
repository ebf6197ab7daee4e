import { mebibytes } from "#base/units.ts";
import { translationBytes } from "#model/vm-memory.ts";
import {
  busOf,
  commonArguments,
  consoleArguments,
  monitorArguments,
  nicArguments,
  portArguments,
  q35Arguments,
  roomBytes,
} from "./devices.ts";
import { ramBytes } from "../write-tracking.ts";
import { diskArguments } from "./disks.ts";
import type { BootSpec, MachineSpec } from "./spec.ts";

export const qemuProgram = "qemu-system-x86_64";

/** The descriptor its launcher opens for what the guest writes to its console. */
export const consoleOutputFd = 9;

/** OVMF as Debian's package `ovmf` has it. */
const uefiFirmware = "/usr/share/OVMF/OVMF_CODE.fd";

/**
 * QEMU's arguments, without its name. It waits to be told to go on (`cont`), so that what is to be set before the guest
 * runs can be; a guest's reboot is a reset in place, its power-off and its panic end QEMU (codes 0 and 1).
 */
export function qemuArguments(spec: MachineSpec): readonly string[] {
  const bus = busOf(spec.machine);
  return [
    "-name",
    `guest=${spec.name},debug-threads=on`,
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-sandbox",
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    "-action",
    "reboot=reset,shutdown=poweroff,panic=exit-failure",
    "-S",
    ...machineArguments(spec),
    ...bootArguments(spec.boot),
    ...monitorArguments(),
    ...consoleArguments(consoleOutputFd),
    ...portArguments(bus),
    ...spec.disks.flatMap((disk) => diskArguments(disk, bus)),
    ...spec.nics.flatMap((nic) => nicArguments(nic, bus)),
    ...commonArguments(bus),
    ...(spec.machine === "q35" ? q35Arguments(spec) : []),
    ...(spec.incoming ? ["-incoming", "defer"] : []),
  ];
}

function machineArguments(spec: MachineSpec): readonly string[] {
  const { vcpus, vcpusMax, memoryBytes } = spec;
  const options =
    spec.machine === "microvm" ? "microvm,x-option-roms=off,rtc=on,isa-serial=on" : "q35,usb=off,vmport=off";
  const mostBytes = ramBytes(memoryBytes) + roomBytes(spec);
  const room =
    spec.machine === "microvm" || roomBytes(spec) === 0 ? "" : `,slots=1,maxmem=${kilobytes(mostBytes)}K`;
  const translated = megabytes(translationBytes(memoryBytes, vcpusMax));
  return [
    "-machine",
    `${options},memory-backend=ram,dump-guest-core=off`,
    "-accel",
    spec.accel === "kvm" ? "kvm" : `tcg,thread=multi,tb-size=${translated}`,
    "-cpu",
    "max",
    "-smp",
    `cpus=${vcpus},maxcpus=${vcpusMax}`,
    "-m",
    `${kilobytes(ramBytes(memoryBytes))}K${room}`,
    "-object",
    JSON.stringify(memoryObject(spec)),
  ];
}

function memoryObject({ memory, memoryBytes }: MachineSpec): Readonly<Record<string, unknown>> {
  const common = { id: "ram", size: ramBytes(memoryBytes) };
  if (memory.kind === "own") return { "qom-type": "memory-backend-ram", ...common };
  return { "qom-type": "memory-backend-file", ...common, "mem-path": memory.path, share: memory.shared };
}

function bootArguments(boot: BootSpec): readonly string[] {
  if (boot.kind === "disk") return boot.firmware === "uefi" ? ["-bios", uefiFirmware] : [];
  const initrd = boot.initrd === undefined ? [] : ["-initrd", boot.initrd];
  return ["-kernel", boot.kernel, ...initrd, "-append", boot.commandLine];
}

const megabytes = (amount: number): number => Math.ceil(amount / mebibytes(1));
const kilobytes = (amount: number): number => amount / 1024;
