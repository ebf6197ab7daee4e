import type { ApplianceId } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Ensemble } from "#model/ensemble.ts";

const seedBytes = 32;

/**
 * Seeds of the keys of an ensemble's virtual machines: those that had one keep it. A guest that has moved, or goes on
 * from a checkpoint elsewhere, still has its keys, and so has its new host, as it is told the same seed. Only hosts a
 * machine is to be on are told its seed.
 */
export function identitiesOf(
  ensemble: Ensemble,
  before: Pick<EnsembleRecord, "identities"> | undefined,
  random: Pick<Random, "hex">,
): Pick<EnsembleRecord, "identities"> {
  const machines = appliancesOf(ensemble).filter(({ spec }) => spec.kind === "vm");
  if (machines.length === 0) return {};
  const seeds = machines.map(({ id }) => [id, before?.identities?.[id] ?? random.hex(seedBytes)] as const);
  return { identities: Object.fromEntries(seeds) as Readonly<Record<ApplianceId, string>> };
}
