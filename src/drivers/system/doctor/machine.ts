import { bytes, formatBytes } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { Finding } from "./report.ts";

/** Judgements on numbers; the probes read them. */
const nodeMajorMin = 24;
const diskBytesMin = bytes(1024 ** 3);
const diskBytesGood = bytes(5 * 1024 ** 3);
const memoryBytesMin = bytes(1024 ** 3);
const memoryBytesGood = bytes(3 * 1024 ** 3);
const pidMaxGood = 32_768;
const goodClocks = ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"];

export function nodeFinding(version: string): Finding {
  const major = Number(/^v?(\d+)/.exec(version)?.[1] ?? 0);
  return major >= nodeMajorMin
    ? { status: "ok", found: version }
    : { status: "missing", found: `${version}, wanted ${nodeMajorMin} or later` };
}

export function rootFinding(uid: number | undefined): Finding {
  return uid === 0
    ? { status: "ok", found: "yes" }
    : { status: "missing", found: `user ${uid ?? "unknown"}` };
}

export function diskFinding(free: Bytes, directory: string): Finding {
  const found = `${formatBytes(free)} free for ${directory}`;
  return { status: graded(free, diskBytesMin, diskBytesGood), found };
}

export function memoryFinding(available: Bytes, total: Bytes): Finding {
  const found = `${formatBytes(available)} available of ${formatBytes(total)}`;
  return { status: graded(available, memoryBytesMin, memoryBytesGood), found };
}

export function pidMaxFinding(pidMax: number): Finding {
  return { status: pidMax > pidMaxGood ? "ok" : "limited", found: `up to ${pidMax}` };
}

export function clockFinding(name: string): Finding {
  return { status: goodClocks.includes(name) ? "ok" : "limited", found: name };
}

/** From the text of /proc/meminfo. */
export function availableMemory(meminfo: string): Bytes {
  return bytes(Number(/^MemAvailable:\s+(\d+) kB$/m.exec(meminfo)?.[1] ?? 0) * 1024);
}

/** The best of three ways to encrypt between sites. */
export function tunnelFinding(have: {
  readonly kernelWireGuard: boolean;
  readonly wg: boolean;
  readonly wireguardGo: boolean;
  readonly openvpn: boolean;
  readonly tun: boolean;
  /** Of one of them no answer came in time. */
  readonly isUnclear?: boolean;
}): Finding {
  if (have.kernelWireGuard && have.wg) return { status: "ok", found: "WireGuard in the kernel" };
  if (have.wireguardGo && have.wg && have.tun) return { status: "ok", found: "WireGuard in user space" };
  if (have.openvpn && have.tun) return { status: "limited", found: "OpenVPN only" };
  if (have.isUnclear === true) return { status: "unclear", found: "no answer in time of what they need" };
  return { status: "missing", found: "neither WireGuard nor OpenVPN can run" };
}

function graded(value: number, min: number, good: number): Finding["status"] {
  if (value < min) return "missing";
  return value < good ? "limited" : "ok";
}
