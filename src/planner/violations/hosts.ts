import type { HostId } from "#base/ids.ts";
import { bytes, formatBytes, formatCpu, micros, milliCpu } from "#base/units.ts";
import type { Bytes, MilliCpu } from "#base/units.ts";
import type { Appliance } from "#model/appliances.ts";
import type { HostSpec } from "#model/topology.ts";
import { cpuDemandMilli, memoryDemandBytes } from "#planner/demand.ts";
import { existingLoad } from "#planner/existing-load.ts";
import type { MappingProblem, Placements, Violation } from "#planner/mapping.ts";
import { machineOf, scheduleRefusal, stayingMachines } from "#planner/reservations.ts";
import { wantedAppliances } from "#planner/wanted.ts";
import { names } from "./names.ts";
import { reservationText } from "./schedules.ts";

export function hostViolations(problem: MappingProblem, placements: Placements): Violation[] {
  const { hosts } = problem.topology;
  const load = existingLoad(problem);
  const on = new Map<HostId, Appliance[]>();
  for (const appliance of wantedAppliances(problem)) {
    const host = placements.get(appliance.id);
    if (host === undefined) continue;
    const list = on.get(host);
    if (list === undefined) on.set(host, [appliance]);
    else list.push(appliance);
  }
  return hosts.flatMap((host, index): Violation[] => {
    const found: Violation[] = [];
    const byCpu = (on.get(host.id) ?? []).filter(({ spec }) => cpuDemandMilli(spec) > 0);
    const byMemory = (on.get(host.id) ?? []).filter(({ spec }) => memoryDemandBytes(spec) > 0);
    const cpu = byCpu.reduce((sum, { spec }) => sum + cpuDemandMilli(spec), load.cpu[index]!);
    const memory = byMemory.reduce((sum, { spec }) => sum + memoryDemandBytes(spec), load.memory[index]!);
    if (byCpu.length > 0 && cpu > host.cpuMilli) {
      found.push({
        kind: "host-cpu",
        host: host.id,
        wantedMilli: milliCpu(cpu),
        capacityMilli: host.cpuMilli,
        appliances: byCpu.map((one) => one.id),
        message: `Cannot reserve CPU on ${host.id}: it has ${hasCpu(host.cpuMilli, load.cpu[index]!)}, wanted ${formatCpu(milliCpu(cpu - load.cpu[index]!))} for ${names(byCpu.map((one) => one.id))}`,
        remedy: `Ask for ${formatCpu(milliCpu(cpu - host.cpuMilli))} less CPU${largest(problem, host, byCpu, cpu - host.cpuMilli)}, or add hosts`,
      });
    }
    if (byMemory.length > 0 && memory > host.memoryBytes) {
      found.push({
        kind: "host-memory",
        host: host.id,
        wantedBytes: bytes(memory),
        capacityBytes: host.memoryBytes,
        appliances: byMemory.map((one) => one.id),
        message: `Cannot reserve memory on ${host.id}: it has ${hasMemory(host.memoryBytes, load.memory[index]!)}, wanted ${formatBytes(bytes(memory - load.memory[index]!))} for ${names(byMemory.map((one) => one.id))}${withMonitors(byMemory)}`,
        remedy: `Ask for ${formatBytes(bytes(memory - host.memoryBytes))} less memory, or add hosts`,
      });
    }
    return found;
  });
}

/** What a machine takes is more than its file says. */
const withMonitors = (appliances: readonly Appliance[]): string =>
  appliances.some(({ spec }) => spec.kind === "vm") ? ", what QEMU itself needs with it" : "";

/** "150%"; where others have some of it, "150%, 55% of it free". */
const hasCpu = (cpuMilli: MilliCpu, takenMilli: number): string =>
  takenMilli === 0
    ? formatCpu(cpuMilli)
    : `${formatCpu(cpuMilli)}, ${formatCpu(milliCpu(Math.max(0, cpuMilli - takenMilli)))} of it free`;

const hasMemory = (memoryBytes: Bytes, taken: number): string =>
  taken === 0
    ? formatBytes(memoryBytes)
    : `${formatBytes(memoryBytes)}, ${formatBytes(bytes(Math.max(0, memoryBytes - taken)))} of it free`;

/** What one of them alone could have instead, as a clause: the one who would lose least. Empty: giving less of one is not enough. */
function largest(
  problem: MappingProblem,
  host: HostSpec,
  wanted: readonly Appliance[],
  excessMilli: number,
): string {
  const asked = wanted
    .filter(({ spec }) => cpuDemandMilli(spec) > excessMilli)
    .toSorted((a, b) => cpuDemandMilli(b.spec) - cpuDemandMilli(a.spec));
  for (const one of asked) {
    const { cpu } = one.spec;
    if (cpu === undefined) continue;
    const leftMilli = milliCpu(cpuDemandMilli(one.spec) - excessMilli);
    if (cpu.kind === "share") return `, for example at most ${formatCpu(leftMilli)} for ${one.id}`;
    const executionUs = micros(Math.floor((leftMilli * cpu.periodUs) / 1000));
    if (executionUs < 1) continue;
    const less = { ...one, spec: { ...one.spec, cpu: { ...cpu, executionUs } } };
    const staying = stayingMachines(problem).get(host.id) ?? [];
    const machines = [...wanted.filter((other) => other !== one), less].flatMap(
      (each) => machineOf(each) ?? [],
    );
    if (scheduleRefusal([...staying, ...machines], host) !== undefined) continue;
    return `, for example at most ${reservationText({ ...cpu, executionUs })} for ${one.id}`;
  }
  return "";
}
