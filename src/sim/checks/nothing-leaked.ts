import type { Breach } from "#sim/checks/breach.ts";
import type { World } from "#sim/checks/world.ts";

/** What is left although everything has been taken down and has had the time to go. */
export function leftovers(world: World): string[] {
  const left = world.records.map((record) => `the store's record of ${record.ensemble.name}`);
  left.push(
    ...world.checkpoints.map(({ appliance }) => `the store's record of the checkpoints of ${appliance}`),
    ...world.checkpointRequests.map(({ id, ensemble }) => `the request ${id} for checkpoints of ${ensemble}`),
  );
  for (const { host, appliances, saved, moving, network, tunnels, planned } of world.machines) {
    left.push(
      ...appliances.map((one) => `${one.id} on ${host}`),
      ...network.segments.map((one) => `segment ${one.network} on ${host}`),
      ...network.ports.map((one) => `a port of ${one.appliance} on ${host}`),
      ...network.shapedPairs.map((one) => `class of ${one.fromMac} to ${one.toMac} on ${host}`),
      ...network.permitted.map((one) => `permissions of ${one} on ${host}`),
      ...tunnels.map((peer) => `the tunnel of ${host} to ${peer}`),
      ...moving.map((id) => `a side of the move of ${id} on ${host}`),
      ...saved.map((id) => `the record of checkpoints of ${id} on ${host}`),
      ...planned.map((id) => `${id} in the plan of ${host}`),
    );
  }
  for (const { id, state } of world.operations) if (state === "running") left.push(`operation ${id}`);
  return left;
}

export function leaked(world: World): Breach | undefined {
  const left = leftovers(world);
  if (left.length === 0) return undefined;
  const more = left.length > 4 ? `, and ${left.length - 4} more` : "";
  return {
    invariant: "nothing-leaked",
    message: `after all was taken down: ${left.slice(0, 4).join(", ")}${more}`,
  };
}

/** Content that nobody needs was to be removed, and everything has been taken down. */
export function contentLeft(world: World): Breach | undefined {
  const left = world.machines.find(({ blobs }) => blobs > 0);
  if (left === undefined) return undefined;
  return {
    invariant: "nothing-leaked",
    message: `${left.blobs} parts of checkpoints are left on ${left.host}`,
  };
}
