import { mebibytes } from "#base/units.ts";
import { insideDirectory, portNames, socketNames } from "./spec.ts";
import type { MachineSpec, NicSpec } from "./spec.ts";

/** virtio devices sit on a memory-mapped bus in a microvm, on PCI in a q35. */
export type Bus = "device" | "pci";

export const busOf = (machine: MachineSpec["machine"]): Bus => (machine === "microvm" ? "device" : "pci");

export const inside = (name: string): string => `${insideDirectory}/${name}`;

/** A socket that waits for whoever connects, and goes on without. */
function socketArguments(id: string, name: string, more: readonly string[] = []): readonly string[] {
  return [
    "-chardev",
    ["socket", `id=${id}`, `path=${inside(name)}`, "server=on", "wait=off", ...more].join(),
  ];
}

export function monitorArguments(): readonly string[] {
  return [...socketArguments("qmp", socketNames.qmp), "-mon", "chardev=qmp,mode=control"];
}

/**
 * The serial port is a console for whoever connects, and what the guest writes there is kept as the machine's output:
 * by way of a file descriptor that the launcher opened, as the file itself is not the machine's.
 */
export function consoleArguments(outputFd: number): readonly string[] {
  const kept = [`logfile=/dev/fdset/${outputFd}`, "logappend=on"];
  return [
    "-add-fd",
    `fd=${outputFd},set=${outputFd}`,
    ...socketArguments("console", socketNames.console, kept),
    "-serial",
    "chardev:console",
  ];
}

export function portArguments(bus: Bus): readonly string[] {
  const port = (id: "agent" | "context"): readonly string[] => [
    ...socketArguments(id, socketNames[id]),
    "-device",
    `virtserialport,bus=ports.0,chardev=${id},id=port-${id},name=${portNames[id]}`,
  ];
  return ["-device", `virtio-serial-${bus},id=ports`, ...port("agent"), ...port("context")];
}

export function nicArguments({ name, tap, mac }: NicSpec, bus: Bus): readonly string[] {
  const rom = bus === "pci" ? ",romfile=" : "";
  return [
    "-netdev",
    `tap,id=net-${name},ifname=${tap},script=no,downscript=no`,
    "-device",
    `virtio-net-${bus},id=${name},netdev=net-${name},mac=${mac}${rom}`,
  ];
}

/** Memory given back, and randomness: what every machine has. */
export function commonArguments(bus: Bus): readonly string[] {
  return [
    "-device",
    `virtio-balloon-${bus},id=balloon,deflate-on-oom=on,free-page-reporting=on`,
    "-object",
    "rng-random,id=randomness,filename=/dev/urandom",
    "-device",
    `virtio-rng-${bus},rng=randomness`,
  ];
}

/** What only a machine with PCI and firmware has. */
export function q35Arguments(spec: MachineSpec): readonly string[] {
  const display =
    spec.boot.kind === "disk" ? ["-device", "VGA", "-vnc", `unix:${inside(socketNames.display)}`] : [];
  return ["-device", "pvpanic", ...display, ...roomArguments(spec)];
}

/** Of the device through which memory is plugged in. */
export const roomName = "room";

/** Guests add memory in blocks of their own: less than one could not be used. */
export const roomBytes = ({ memoryBytes, memoryBytesMax }: MachineSpec): number =>
  Math.ceil(Math.max(0, memoryBytesMax - memoryBytes) / mebibytes(128)) * mebibytes(128);

/** Memory up to the greatest size, none of it there until it is asked for. */
function roomArguments(spec: MachineSpec): readonly string[] {
  const size = roomBytes(spec);
  if (size === 0) return [];
  const backend = { "qom-type": "memory-backend-ram", id: `${roomName}-memory`, size };
  const device = `virtio-mem-pci,id=${roomName},memdev=${roomName}-memory,requested-size=0`;
  return ["-object", JSON.stringify(backend), "-device", device];
}
