import type { ApplianceId, HostId } from "#base/ids.ts";
import type { CheckpointsRecord } from "#cluster/checkpoints.ts";
import type { Parked } from "#cluster/parking.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { blobsOfAll, chainOf } from "#model/checkpoint-chain.ts";
import type { Breach } from "#sim/checks/breach.ts";
import type { HasContent } from "#sim/checks/checkpoints-kept.ts";

type Machine = {
  readonly host: HostId;
  readonly appliances: Iterable<{ readonly id: ApplianceId; readonly executes: boolean }>;
};

/** Machines that are on disk, with the name of the checkpoint that they are to go on from. */
export function onDisk(
  records: Iterable<Pick<EnsembleRecord, "state" | "parked">>,
): ReadonlyMap<ApplianceId, string> {
  return new Map(
    [...records].flatMap(({ state, parked }) =>
      Object.entries<Parked>(state === "present" ? (parked ?? {}) : {}).flatMap(([id, one]) =>
        one.state === "on-disk" ? [[id as ApplianceId, one.checkpoint] as const] : [],
      ),
    ),
  );
}

/** A machine that is suspended to disk, and nobody has all of it. */
export function parkedLost(
  parked: ReadonlyMap<ApplianceId, string>,
  checkpoints: Iterable<CheckpointsRecord>,
  hosts: Iterable<HostId>,
  hasContent: HasContent,
): Breach | undefined {
  const byAppliance = new Map([...checkpoints].map((record) => [record.appliance, record.taken]));
  const all = [...hosts];
  for (const [id, name] of parked) {
    const known = (byAppliance.get(id) ?? []).map(({ checkpoint }) => checkpoint);
    const chain = chainOf(name, known);
    if (chain === undefined) return broken(`${id} is on disk as ${name}, of which there is no record`);
    const isWhole = (host: HostId): boolean =>
      blobsOfAll(chain).every(({ digest }) => hasContent(host, digest));
    if (!all.some(isWhole)) return broken(`${id} is on disk as ${name}, and no host has all of that`);
  }
  return undefined;
}

/** A machine that is suspended to disk, and executes. */
export function parkedRuns(
  parked: ReadonlyMap<ApplianceId, string>,
  machines: Iterable<Machine>,
): Breach | undefined {
  if (parked.size === 0) return undefined;
  for (const { host, appliances } of machines) {
    for (const { id, executes } of appliances) {
      if (executes && parked.has(id)) return broken(`${id} is suspended to disk and runs on ${host}`);
    }
  }
  return undefined;
}

const broken = (message: string): Breach => ({ invariant: "parked-kept", message });
