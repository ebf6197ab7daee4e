import { existsSync, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { tmpdir, totalmem } from "node:os";
import { codeOf } from "#base/errors.ts";
import { bytes, millis } from "#base/units.ts";
import { Nftables } from "#drivers/network/kernel/nftables.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { groupName, removeAbandonedGroups } from "./abandoned-groups.ts";
import { removeAbandonedPlaces } from "./abandoned-places.ts";
import { capabilities } from "./capabilities.ts";
import {
  controllerCapability,
  controllers,
  probeController,
  readLayout,
  versionFinding,
} from "./cgroup-probes.ts";
import { probeEnforcement } from "./enforcement-probe.ts";
import { KernelProbes } from "./kernel-probes.ts";
import { probeKvm } from "./kvm-probe.ts";
import {
  availableMemory,
  clockFinding,
  diskFinding,
  memoryFinding,
  nodeFinding,
  pidMaxFinding,
  rootFinding,
  tunnelFinding,
} from "./machine.ts";
import { patient } from "./patient.ts";
import { findingOf, judge } from "./report.ts";
import type { Capability, DoctorItem, DoctorReport, DoctorStatus, Finding } from "./report.ts";
import { toolFinding, tools } from "./tools.ts";

const toolMsMax = millis(1500);
const clockSourceFile = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

export type DoctorDeps = {
  readonly subprocess: Subprocess;
  /** Where Consort keeps its state: its disk and file system are looked at. Must exist. */
  readonly directory: string;
  readonly nodeVersion: string;
  readonly nodePath: string;
  /** As `process.arch`. */
  readonly arch: string;
  readonly uid: number | undefined;
  readonly pid: number;
};

/**
 * Tries everything at once, in about two seconds where the machine is not busy, and what was too slow again. Leaves
 * nothing, and removes what one that was killed left.
 */
export async function runDoctor(deps: DoctorDeps, signal: AbortSignal): Promise<DoctorReport> {
  const subprocess = patient(deps.subprocess);
  const isRunning = (pid: number): boolean => existsSync(`/proc/${pid}`);
  removeAbandonedGroups(readLayout(), isRunning);
  removeAbandonedPlaces([tmpdir(), deps.directory], isRunning);
  const [kernel, toolItems] = await Promise.all([
    kernelItems(deps, subprocess, signal),
    findTools(subprocess, signal),
  ]);
  const tunnels = judge(capabilities.encryptedTunnels, tunnelsOf([...kernel, ...toolItems]));
  return {
    items: [...(await machineItems(deps)), ...cgroupItems(deps.pid), ...kernel, tunnels, ...toolItems],
  };
}

function tunnelsOf(items: readonly DoctorItem[]): Finding {
  const ids = {
    kernelWireGuard: capabilities.wireguardKernel.id,
    wg: "tool-wg",
    wireguardGo: "tool-wireguard-go",
    openvpn: "tool-openvpn",
    tun: capabilities.tun.id,
  };
  const is = (id: string, status: DoctorStatus): boolean =>
    items.some((item) => item.id === id && item.status === status);
  return tunnelFinding({
    kernelWireGuard: is(ids.kernelWireGuard, "ok"),
    wg: is(ids.wg, "ok"),
    wireguardGo: is(ids.wireguardGo, "ok"),
    openvpn: is(ids.openvpn, "ok"),
    tun: is(ids.tun, "ok"),
    isUnclear: Object.values(ids).some((id) => is(id, "unclear")),
  });
}

async function machineItems(deps: DoctorDeps): Promise<DoctorItem[]> {
  const disk = await statfs(deps.directory);
  const pidMax = Number(text("/proc/sys/kernel/pid_max"));
  const psi = existsSync("/proc/pressure/cpu");
  return [
    judge(capabilities.node, nodeFinding(deps.nodeVersion)),
    judge(capabilities.root, rootFinding(deps.uid)),
    judge(capabilities.disk, diskFinding(bytes(disk.bavail * disk.bsize), deps.directory)),
    judge(capabilities.memory, memoryFinding(availableMemory(text("/proc/meminfo")), bytes(totalmem()))),
    judge(capabilities.pidMax, pidMaxFinding(pidMax)),
    judge(capabilities.clockSource, clockFinding(text(clockSourceFile).trim())),
    judge(capabilities.psi, psi ? { status: "ok", found: "on" } : { status: "missing", found: "off" }),
  ];
}

function cgroupItems(pid: number): DoctorItem[] {
  const layout = readLayout();
  return [
    judge(capabilities.cgroupVersion, versionFinding(layout)),
    ...controllers.map((controller) =>
      judge(controllerCapability(controller), probeController(layout, controller, groupName(pid))),
    ),
  ];
}

function kernelItems(deps: DoctorDeps, subprocess: Subprocess, signal: AbortSignal): Promise<DoctorItem[]> {
  const probes = new KernelProbes(subprocess, signal);
  const attempts: readonly (readonly [Capability, Promise<Finding>])[] = [
    [capabilities.netNamespace, probes.namespace("net")],
    [capabilities.pidNamespace, probes.namespace("pid")],
    [capabilities.mountNamespace, probes.namespace("mount")],
    [capabilities.utsNamespace, probes.namespace("uts")],
    [capabilities.userNamespace, probes.namespace("user")],
    [capabilities.overlayfs, probes.overlay(deps.directory)],
    [capabilities.veth, probes.link("probe0", "type", "veth", "peer", "name", "probe1")],
    [capabilities.bridge, probes.link("probe0", "type", "bridge")],
    [capabilities.nftBridge, probes.bridgeRules()],
    [capabilities.libnftables, libraryFinding()],
    [capabilities.htb, probes.shaping()],
    [capabilities.ifb, probes.link("probe0", "type", "ifb")],
    [capabilities.vxlan, probes.link("probe0", "type", "vxlan", "id", "1", "dstport", "4789")],
    [capabilities.tun, probes.tun()],
    [capabilities.wireguardKernel, probes.link("probe0", "type", "wireguard")],
    [capabilities.fifo, probes.fifo()],
    [capabilities.deadline, probes.deadline()],
    ...reservationProbes(deps, signal),
    [capabilities.kvm, probeKvm(deps.subprocess, deps.nodePath, deps.arch, signal)],
  ];
  return Promise.all(attempts.map(async ([capability, finding]) => judge(capability, await finding)));
}

/** One busy machine under each back end, all at the same time. */
function reservationProbes(
  { subprocess, nodePath }: DoctorDeps,
  signal: AbortSignal,
): readonly (readonly [Capability, Promise<Finding>])[] {
  const probe = (kind: "dispatch-table" | "bandwidth" | "deadline"): Promise<Finding> =>
    probeEnforcement(subprocess, nodePath, kind, signal);
  return [
    [capabilities.dispatchTable, probe("dispatch-table")],
    [capabilities.bandwidth, probe("bandwidth")],
    [capabilities.deadlineReservations, probe("deadline")],
  ];
}

/** Reads only: the rules it asks for are this network namespace's own. */
async function libraryFinding(): Promise<Finding> {
  try {
    const nftables = new Nftables();
    try {
      await nftables.transact("list tables");
    } finally {
      nftables.close();
    }
    return { status: "ok", found: "works" };
  } catch (cause) {
    return findingOf(cause);
  }
}

function findTools(subprocess: Subprocess, signal: AbortSignal): Promise<DoctorItem[]> {
  return Promise.all(
    tools.map(async (tool) => {
      const { file, args, ...capability } = tool;
      const printed = await subprocess
        .run(file, args, signal, { timeoutMs: toolMsMax })
        .then(({ stdout, stderr }) => `${stdout}\n${stderr}`)
        .catch((cause: unknown) => {
          signal.throwIfAborted();
          return codeOf(cause) === "timeout" ? findingOf(cause) : undefined;
        });
      return judge(capability, typeof printed === "object" ? printed : toolFinding(printed));
    }),
  );
}

function text(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
