import type { ApplianceId, HostId } from "#base/ids.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { CpuRequest } from "#model/ensemble.ts";
import type { HostSpec, Topology } from "#model/topology.ts";
import { promisableTopology } from "#model/wire.ts";
import { describedAbilities } from "#planner/demand.ts";
import { lintMapping } from "#planner/lint.ts";
import type { Breach } from "#sim/checks/breach.ts";

type Admitted = Pick<EnsembleRecord, "ensemble" | "placements" | "paths">;

/**
 * More is promised, by all ensembles together, than hosts and links have; or a promised path is none. What lost its
 * host (`isLost`) and waits for another one runs nowhere: its links and rules are no promise for now.
 */
export function overAdmitted(
  records: readonly Admitted[],
  topology: Topology,
  isLost: (host: HostId) => boolean = () => false,
): Breach | undefined {
  const placements = new Map(
    records.flatMap((record) => Object.entries(record.placements) as [ApplianceId, HostId][]),
  );
  const findings = lintMapping(
    {
      topology: promisableTopology(topology),
      ensembles: records.map((one) => one.ensemble),
      existing: [],
      capabilities: describedAbilities(topology),
    },
    { placements, paths: records.flatMap((one) => one.paths) },
  );
  if (findings.length === 0) return undefined;
  const waiting = subjectsThatWait(records, isLost);
  const found = findings.find((finding) => finding.about.split(" – ").every((one) => !waiting.has(one)));
  return found === undefined ? undefined : { invariant: "not-over-admitted", message: found.message };
}

/** Appliances without a host that is there, and the ensembles that have one. */
function subjectsThatWait(
  records: readonly Admitted[],
  isLost: (host: HostId) => boolean,
): ReadonlySet<string> {
  const waiting = new Set<string>();
  for (const { ensemble, placements } of records) {
    for (const { id } of appliancesOf(ensemble)) {
      const host = placements[id];
      if (host === undefined || isLost(host)) waiting.add(id).add(ensemble.name);
    }
  }
  return waiting;
}

/** What a machine guarantees to one appliance it really runs. */
export type Guarantee = {
  readonly id: ApplianceId;
  readonly executes: boolean;
  readonly cpu?: CpuRequest | undefined;
  readonly memoryBytes?: number | undefined;
};

/** The appliances that really run on a host are guaranteed more than it has. */
export function overloaded(
  host: Pick<HostSpec, "id" | "cpuMilli" | "memoryBytes">,
  appliances: Iterable<Guarantee>,
): Breach | undefined {
  let cpuMilli = 0;
  let memoryBytes = 0;
  for (const one of appliances) {
    if (!one.executes) continue;
    cpuMilli += guaranteedMilli(one.cpu);
    memoryBytes += one.memoryBytes ?? 0;
  }
  if (cpuMilli <= host.cpuMilli && memoryBytes <= host.memoryBytes) return undefined;
  const [what, taken, there] =
    cpuMilli > host.cpuMilli
      ? ["thousandths of a core", cpuMilli, host.cpuMilli]
      : ["bytes of memory", memoryBytes, host.memoryBytes];
  const ids = [...appliances].filter((one) => one.executes).map((one) => one.id);
  return {
    invariant: "not-over-admitted",
    message: `${host.id} runs ${ids.join(", ")}, which are guaranteed ${taken} ${what}, and has ${there}`,
  };
}

function guaranteedMilli(cpu: CpuRequest | undefined): number {
  if (cpu === undefined) return 0;
  return cpu.kind === "share" ? cpu.shareMilli : Math.ceil((cpu.executionUs * 1000) / cpu.periodUs);
}
