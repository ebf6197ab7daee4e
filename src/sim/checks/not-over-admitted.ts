import type { ApplianceId, HostId } from "#base/ids.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { CpuRequest } from "#model/ensemble.ts";
import type { HostSpec, Topology } from "#model/topology.ts";
import { promisableTopology } from "#model/wire.ts";
import { lintMapping } from "#planner/lint.ts";
import type { LintFinding } from "#planner/lint.ts";
import type { Placements } from "#planner/mapping.ts";
import type { Breach } from "#sim/checks/breach.ts";

/** Records are replaced, never changed: what was found about the same ones still holds. */
type Admitted = Pick<EnsembleRecord, "ensemble" | "placements" | "paths">;

/** More is promised, by all ensembles together, than hosts and links have; or a promised path is none. */
export function overAdmitted(records: readonly Admitted[], topology: Topology): Breach | undefined {
  const placements = new Map(
    records.flatMap((record) => Object.entries(record.placements) as [ApplianceId, HostId][]),
  );
  const findings = lintMapping(
    { topology: promisableTopology(topology), ensembles: records.map((one) => one.ensemble), existing: [] },
    { placements, paths: records.flatMap((one) => one.paths) },
  );
  const homeless = withoutHost(records, placements);
  const found = findings.find((finding) => !isAbsence(finding, homeless));
  return found === undefined ? undefined : { invariant: "not-over-admitted", message: found.message };
}

/** What lost its host and waits for room is promised nothing for now. */
function withoutHost(records: readonly Admitted[], placements: Placements): ReadonlySet<string> {
  const ids = records.flatMap((one) => appliancesOf(one.ensemble)).map((one) => one.id);
  return new Set(ids.filter((id) => !placements.has(id)));
}

function isAbsence({ about, message }: LintFinding, homeless: ReadonlySet<string>): boolean {
  const ends = about.split(" – ");
  return (
    (message.endsWith("has no host") || message.endsWith("has no path")) &&
    ends.some((id) => homeless.has(id))
  );
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
