import type { HostId } from "#base/ids.ts";
import type { CheckpointRequest, CheckpointsRecord } from "#cluster/checkpoints.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord, HostStanding, OperationRecord } from "#cluster/records.ts";
import type { Topology } from "#model/topology.ts";
import type { MachineState, World } from "#sim/checks/world.ts";
import type { Cloud } from "#sim/cloud.ts";

/** A simulated cloud as plain data; what its managers believe is left out. */
export function worldOf(cloud: Cloud, topology: Topology): World {
  return {
    topology,
    records: storedRecords(cloud),
    standings: storedStandings(cloud),
    operations: storedOperations(cloud).map((record) => record.operation),
    checkpoints: storedCheckpoints(cloud),
    checkpointRequests: storedRequests(cloud),
    machines: [...cloud.machines.keys()].map((host) => machineState(cloud, host)),
  };
}

export const storedRecords = (cloud: Pick<Cloud, "stored">): EnsembleRecord[] =>
  cloud.stored(keys.prefix.ensemble).map((entry) => entry.value as EnsembleRecord);

export const storedCheckpoints = (cloud: Pick<Cloud, "stored">): CheckpointsRecord[] =>
  cloud.stored(keys.prefix.checkpoints).map((entry) => entry.value as CheckpointsRecord);

const storedRequests = (cloud: Pick<Cloud, "stored">): CheckpointRequest[] =>
  cloud.stored(keys.prefix.checkpointRequest).map((entry) => entry.value as CheckpointRequest);

export const storedStandings = (cloud: Pick<Cloud, "stored">): ReadonlyMap<HostId, HostStanding> =>
  new Map(
    cloud
      .stored(keys.prefix.standing)
      .map(({ key, value }) => [key.slice(keys.prefix.standing.length) as HostId, value as HostStanding]),
  );

export const storedOperations = (cloud: Pick<Cloud, "stored">): OperationRecord[] =>
  cloud.stored(keys.prefix.operation).map((entry) => entry.value as OperationRecord);

function machineState(cloud: Cloud, host: HostId): MachineState {
  const network = cloud.networks.get(host);
  const book = [...(network?.book.values() ?? [])];
  return {
    host,
    appliances: [...(cloud.machines.get(host)?.appliances ?? [])],
    network: {
      segments: network?.plan.segments ?? [],
      ports: network?.plan.ports ?? [],
      shapedPairs: network?.plan.shapedPairs ?? [],
      permitted: book.flatMap(({ network: name, pairs, sources }) =>
        pairs.size + sources.size === 0 ? [] : [name ?? "an unknown network"],
      ),
    },
    moving: [...(cloud.machines.get(host)?.moving ?? [])],
    tunnels: (cloud.gateways.get(host)?.plans ?? []).map((plan) => plan.peerSite),
    ...savedState(cloud, host),
    planned: (cloud.storedPlan(host)?.appliances ?? []).map((appliance) => appliance.id),
  };
}

function savedState(cloud: Cloud, host: HostId): Pick<MachineState, "saved" | "blobs" | "restores"> {
  const there = cloud.contents.hosts.get(host);
  const plans = cloud.storedPlan(host)?.appliances ?? [];
  return {
    saved: [...(there?.book.keys() ?? [])],
    blobs: there?.blobs.list().length ?? 0,
    restores: new Map(
      plans.flatMap(({ id, vm }) => {
        const from = vm?.restore?.checkpoints[0];
        return from === undefined ? [] : [[id, from.id] as const];
      }),
    ),
  };
}
