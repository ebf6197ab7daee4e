import type { ApplianceId } from "#base/ids.ts";
import { bitsPerSecond, bytes, formatBandwidth, formatBytes, formatCpu, milliCpu } from "#base/units.ts";
import type { Violation } from "#planner/mapping.ts";
import type { MapperState } from "#planner/state.ts";

/** Hosts and appliances looked at for an answer; beyond, an even selection of them. */
const hostsMost = 256;
const unitsMost = 16;

/**
 * A rule gives way when keeping it would break more elsewhere. Then the rule alone is not what binds: its message
 * also names what would be broken were it kept, at the least. The state must hold the mapping; it is left as it is.
 */
export function withConflict(violation: Violation, state: MapperState): Violation {
  if (violation.kind !== "rule") return violation;
  const instead = brokenInstead(state, new Set(violation.appliances));
  if (instead === undefined) return violation;
  return { ...violation, message: `${violation.message}; were it kept, ${instead}` };
}

function brokenInstead(state: MapperState, appliances: ReadonlySet<ApplianceId>): string | undefined {
  const { compiled, violation, brokenRules } = state;
  const units = new Set(
    compiled.appliances.flatMap(({ id }, index) => (appliances.has(id) ? [compiled.unitOf[index]!] : [])),
  );
  let lowest = Infinity;
  let found: string | undefined;
  for (const unit of [...units].slice(0, unitsMost)) {
    const { list } = compiled.choices[compiled.unitChoice[unit]!]!;
    const stride = Math.ceil(list.length / hostsMost);
    for (let at = 0; at < list.length; at += stride) {
      const host = list[at]!;
      state.begin();
      state.move(unit, host);
      state.route();
      const added = state.violation - violation + (brokenRules - state.brokenRules);
      if (state.brokenRules < brokenRules && added > 0 && added < lowest) {
        lowest = added;
        found = describe(state, unit, host) ?? found;
      }
      state.undo();
    }
  }
  return found;
}

/** What the unit meets on this host. */
function describe(state: MapperState, unit: number, host: number): string | undefined {
  const { compiled } = state;
  const { topology } = compiled.problem;
  const { id, cpuMilli, memoryBytes } = topology.hosts[host]!;
  if (state.cpuFree[host]! < 0) {
    const wanted = formatCpu(milliCpu(cpuMilli - state.cpuFree[host]!));
    return `${id} would need CPU ${wanted}, it has ${formatCpu(cpuMilli)}`;
  }
  if (state.memoryFree[host]! < 0) {
    const wanted = formatBytes(bytes(memoryBytes - state.memoryFree[host]!));
    return `${id} would need memory ${wanted}, it has ${formatBytes(memoryBytes)}`;
  }
  const { adjacentStart, adjacent, links } = compiled;
  for (let at = adjacentStart[unit]!; at < adjacentStart[unit + 1]!; at += 1) {
    const link = adjacent[at]!;
    const ends = `${links[link]!.from} and ${links[link]!.to}`;
    if (state.isUnreachable(link)) return `there would be no path between ${ends}`;
    if (state.isTooFar(link)) return `low latency between ${ends} would cross a router`;
    if (!state.isCrowded(link)) continue;
    const physical = topology.links.findIndex(
      (_, index) => state.linkFree[index]! < 0 && state.crosses(link, index),
    );
    const { a, b, bandwidthBps } = topology.links[physical]!;
    const wanted = formatBandwidth(bitsPerSecond(bandwidthBps - state.linkFree[physical]!));
    return `the link between ${ends} would need bandwidth ${wanted} between ${a} and ${b}, which has ${formatBandwidth(bandwidthBps)}`;
  }
  return undefined;
}
