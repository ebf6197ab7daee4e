import { networkId } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Move } from "#cluster/moves.ts";
import type { Parked } from "#cluster/parking.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";
import type { ApplianceState } from "#protocol/host-report.ts";
import type { Breach } from "#sim/checks/breach.ts";
import type { MachineState, World } from "#sim/checks/world.ts";

/** A command that ended as its policy lets it, and one that is started again and again, are as desired too. */
const settled: ReadonlySet<ApplianceState> = new Set(["running", "exited", "failed", "backoff"]);

/** Held where it is, unless it had ended before. */
const settledHeld: ReadonlySet<ApplianceState> = new Set(["suspended", "exited", "failed", "backoff"]);

const hasSize = (there: MachineState["appliances"][number], spec: ApplianceSpec): boolean =>
  there.memoryBytes === spec.memoryBytes && JSON.stringify(there.cpu) === JSON.stringify(spec.cpu);

/** What came whole out of a move that counted as failed is newer than any checkpoint, and goes on. */
const isAsRestored = ({ restores }: MachineState, one: MachineState["appliances"][number]): boolean =>
  one.cameByMove === true || !restores.has(one.id) || restores.get(one.id) === one.beganFrom;

/** Whether no place can be found for all of an ensemble that has lost some of its places. */
type IsHopeless = (record: EnsembleRecord) => boolean;

/**
 * How the world differs from what the store desires, worked out from the declared ensembles, their placements and
 * addresses alone, with none of the managers' functions. Empty: nothing differs.
 */
export function differences(world: World, isHopeless: IsHopeless = () => false): string[] {
  const present = world.records.filter((record) => record.state === "present");
  const found = world.records
    .filter((record) => record.state === "removing")
    .map((record) => `${record.ensemble.name} is still being removed`);
  for (const record of present) found.push(...unsettled(record, isHopeless));
  for (const machine of world.machines) {
    found.push(...applianceDifferences(machine, present), ...networkDifferences(machine, present));
  }
  for (const [host, standing] of world.standings) if (standing.fenced) found.push(`${host} is still fenced`);
  for (const { id, kind, ensemble, host, state, message } of world.operations) {
    if (state === "running") found.push(`operation ${id} (${kind} ${ensemble ?? host}) goes on: ${message}`);
  }
  return [...found, ...savedDifferences(world, present), ...tunnelDifferences(world, present)];
}

/** Faults have stopped, and time to settle has passed. */
export function unconverged(world: World, isHopeless?: IsHopeless): Breach | undefined {
  const found = differences(world, isHopeless);
  if (found.length === 0) return undefined;
  const more = found.length > 3 ? `; and ${found.length - 3} more` : "";
  return { invariant: "converged", message: `${found.slice(0, 3).join("; ")}${more}` };
}

function unsettled(record: EnsembleRecord, isHopeless: IsHopeless): string[] {
  const homeless = appliancesOf(record.ensemble).filter(
    ({ id }) => record.placements[id] === undefined && record.over?.includes(id) !== true,
  );
  const leaving = Object.entries<readonly HostId[]>(record.leaving).filter(([, hosts]) => hosts.length > 0);
  const saving = Object.entries<Parked>(record.parked ?? {}).filter(([, one]) => one.state === "saving");
  return [
    ...saving.map(([id]) => `${id} is still being suspended to disk`),
    ...(homeless.length === 0 || isHopeless(record) ? [] : homeless).map(({ id }) => `${id} has no host`),
    ...Object.entries<Move>(record.moves ?? {}).map(
      ([id, { from, to, state }]) => `${id} still moves from ${from} to ${to}: ${state}`,
    ),
    ...leaving.map(([id, hosts]) => `${id} still leaves ${hosts.join(", ")}`),
  ];
}

function applianceDifferences(machine: MachineState, present: readonly EnsembleRecord[]): string[] {
  const wanted = new Map<ApplianceId, ApplianceSpec>();
  for (const record of present) {
    for (const { id, spec } of appliancesOf(record.ensemble)) {
      if (record.placements[id] === machine.host) wanted.set(id, spec);
    }
  }
  const found: string[] = [];
  for (const one of machine.appliances) {
    const { id, state } = one;
    const spec = wanted.get(id);
    const states = spec?.suspended === true ? settledHeld : settled;
    if (spec === undefined) found.push(`${id} is on ${machine.host} and should not be`);
    else if (!states.has(state)) found.push(`${id} on ${machine.host} is ${state}`);
    else if (!isAsRestored(machine, one))
      found.push(`${id} on ${machine.host} was to begin from ${machine.restores.get(id)}`);
    else if (!hasSize(one, spec)) found.push(`${id} on ${machine.host} has another size`);
    wanted.delete(id);
  }
  found.push(...machine.moving.map((id) => `${machine.host} still has a side of the move of ${id}`));
  return [...found, ...[...wanted.keys()].map((id) => `${id} is not on ${machine.host}`)];
}

/** Requests that go on, and machines whose newest checkpoint is none, or has fewer copies than its policy wants. */
function savedDifferences(world: World, present: readonly EnsembleRecord[]): string[] {
  const found = world.checkpointRequests
    .filter(({ state }) => state === "taking")
    .map(({ id, ensemble }) => `the request ${id} for checkpoints of ${ensemble} goes on`);
  const newest = new Map(world.checkpoints.map(({ appliance, taken }) => [appliance, taken.at(-1)]));
  const hosts = world.topology.hosts.length;
  for (const record of present) {
    for (const { id, spec } of appliancesOf(record.ensemble)) {
      const policy = spec.vm?.checkpoint;
      const machine = world.machines.find(({ host }) => host === record.placements[id]);
      const runs = machine?.appliances.some((one) => one.id === id && one.state === "running");
      if (policy === undefined || runs !== true || spec.suspended === true) continue;
      const copies = newest.get(id)?.copies.length ?? 0;
      const wanted = 1 + Math.min(policy.copies, hosts - 1);
      if (copies < wanted)
        found.push(`the newest checkpoint of ${id} is on ${copies} hosts, not on ${wanted}`);
    }
  }
  return found;
}

function networkDifferences({ host, network }: MachineState, present: readonly EnsembleRecord[]): string[] {
  const wanted = { segments: new Set<string>(), ports: new Set<string>(), pairs: new Set<string>() };
  for (const record of present) {
    const name = record.ensemble.name;
    for (const { id } of appliancesOf(record.ensemble)) {
      if (record.placements[id] !== host) continue;
      for (const one of record.interfaces[id] ?? []) {
        wanted.segments.add(networkId(name, one.network));
        wanted.ports.add(`${id} ${one.mac}`);
      }
    }
    for (const pair of promisedPairs(record, host)) wanted.pairs.add(pair);
  }
  return [
    ...compare(
      `${host}: network`,
      wanted.segments,
      network.segments.map((one) => one.network),
    ),
    ...compare(
      `${host}: port`,
      wanted.ports,
      network.ports.map((one) => `${one.appliance} ${one.interface.mac}`),
    ),
    ...compare(
      `${host}: shaped pair`,
      wanted.pairs,
      network.shapedPairs.map((one) => `${one.fromMac} ${one.toMac} ${one.rateBps}`),
    ),
  ];
}

/** "<from> <to> <bit/s>" of every promised link whose sender is on the host and whose receiver is not. */
function promisedPairs(record: EnsembleRecord, host: HostId): string[] {
  const macOf = (id: ApplianceId, network: string): string | undefined =>
    record.interfaces[id]?.find((one) => networkId(record.ensemble.name, one.network) === network)?.mac;
  return linksOf(record.ensemble).flatMap((link) => {
    const { bandwidthBps } = link.spec;
    const places = [record.placements[link.from], record.placements[link.to]];
    if (bandwidthBps === undefined || places.includes(undefined) || places[0] === places[1]) return [];
    const ends = places[0] === host ? [link.from, link.to] : [link.to, link.from];
    if (!places.includes(host)) return [];
    const macs = ends.map((id) => macOf(id, link.network));
    return [`${macs.join(" ")} ${bandwidthBps}`];
  });
}

function tunnelDifferences(world: World, present: readonly EnsembleRecord[]): string[] {
  const siteOf = new Map(world.topology.hosts.map((host) => [host.id, host.site]));
  const guarded = new Set(
    world.topology.sites.filter((site) => site.tunnel !== "vxlan").map((site) => site.name),
  );
  const wanted = new Set<string>();
  for (const record of present) {
    for (const network of record.ensemble.networks) {
      const ids = Object.keys(record.interfaces) as ApplianceId[];
      const members = ids.filter((id) => record.interfaces[id]?.some((one) => one.network === network.name));
      const sites = new Set(
        members.flatMap((id) => siteOf.get(record.placements[id] ?? ("" as HostId)) ?? []),
      );
      for (const a of sites) {
        for (const b of sites) {
          if (a !== b && (guarded.has(a) || guarded.has(b))) wanted.add(`${a} to ${b}`);
        }
      }
    }
  }
  const gateways = new Map(
    world.topology.devices.flatMap((one) => (one.site === undefined ? [] : [[one.id, one.site] as const])),
  );
  const there = world.machines.flatMap((machine) =>
    machine.tunnels.map((peer) => `${gateways.get(machine.host) ?? machine.host} to ${peer}`),
  );
  return compare("tunnel", wanted, there);
}

function compare(what: string, wanted: ReadonlySet<string>, there: readonly string[]): string[] {
  const extra = there.filter((one) => !wanted.has(one));
  const missing = [...wanted].filter((one) => !there.includes(one));
  return [
    ...extra.map((one) => `${what} ${one} is there and should not be`),
    ...missing.map((one) => `${what} ${one} is missing`),
  ];
}
