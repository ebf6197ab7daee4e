import type { ApplianceId } from "#base/ids.ts";
import { digest } from "#base/digest.ts";
import type { ApplianceObservation, CpuSettings, LiveSettings } from "#drivers/appliance/port.ts";
import type { NetworkPlan, PortPlan } from "#drivers/network/port.ts";
import { fitting } from "#host/room.ts";
import type { Room } from "#host/room.ts";
import type { AppliancePlan, HostPlan, VmPlan } from "#protocol/host-plan.ts";

/** What a host manager does next; every choice is made here, and the executor only carries it out. */
export type HostSteps = {
  /** No longer wanted, or wanted in another generation: made anew once it is gone. */
  readonly destroy: readonly ApplianceId[];
  readonly create: readonly AppliancePlan[];
  /** What is promised of the processors changes at one moment: what one gives up another may get. */
  readonly adapt: ReadonlyMap<ApplianceId, CpuSettings>;
  readonly resize: readonly { readonly id: ApplianceId; readonly settings: LiveSettings }[];
  readonly suspend: readonly ApplianceId[];
  readonly resume: readonly ApplianceId[];
  /** Wait until what is being stopped has given up its share. */
  readonly waiting: readonly ApplianceId[];
};

/**
 * Compares a host plan with what runs. `busy` are appliances an earlier step still works on: they are left
 * alone, and looked at again when that step has ended.
 */
export function decideSteps(
  plan: HostPlan,
  observed: readonly ApplianceObservation[],
  busy: ReadonlySet<ApplianceId>,
  capacity: Room,
): HostSteps {
  const desired = new Map(plan.appliances.map((appliance) => [appliance.id, appliance]));
  const present = new Map(observed.map((observation) => [observation.id, observation]));
  const idle = observed.filter((observation) => !busy.has(observation.id));
  const isCurrent = (observation: ApplianceObservation): boolean => {
    const appliance = desired.get(observation.id);
    return appliance?.generation === observation.generation && !isOfThePast(appliance, observation);
  };
  const stays = (observation: ApplianceObservation): boolean =>
    !busy.has(observation.id) && isCurrent(observation);
  const staying = observed.filter(stays);
  const begins = plan.appliances.filter(({ id, held }) => held !== true && !present.has(id) && !busy.has(id));
  const kept = staying.flatMap(({ id }) => desired.get(id) ?? []);
  const leaving = observed.filter((observation) => !stays(observation));
  const fits = fitting(capacity, leaving, staying, [...kept, ...begins]);
  return {
    destroy: idle.filter((observation) => !isCurrent(observation)).map((observation) => observation.id),
    create: begins.filter((appliance) => fits.has(appliance)),
    adapt: adaptations(kept, present, fits),
    resize: staying.flatMap((observation) => {
      const appliance = desired.get(observation.id);
      if (appliance === undefined) return [];
      return liveChange(appliance, observation, fits.has(appliance));
    }),
    suspend: kept
      .filter(({ id, suspended }) => suspended === true && present.get(id)?.state === "running")
      .map(({ id }) => id),
    resume: kept
      .filter(({ id, suspended }) => suspended !== true && present.get(id)?.state === "suspended")
      .map(({ id }) => id),
    waiting: [...kept, ...begins].flatMap((appliance) => (fits.has(appliance) ? [] : [appliance.id])),
  };
}

/**
 * It has left in a move, or has not come: what is here cannot go on. Where the plan speaks of no move any more, and of
 * nobody else who may still run it, it begins anew; and so does one that comes back before it was removed here.
 */
function isOfThePast(appliance: AppliancePlan, { vm }: ApplianceObservation): boolean {
  const move = vm?.move;
  if (move === undefined) return false;
  const wanted = appliance.vm?.move;
  // Of what came, or may have, somebody else decides; of what has not even begun to come nothing is lost.
  if (appliance.held === true)
    return wanted === undefined && move.side === "arriving" && move.phase === "listening";
  if (wanted !== undefined && (wanted.move === move.move || wanted.side === "leaving")) return false;
  if (move.side === "leaving") return move.phase === "sent";
  // Its move is spoken of until all of it is here: without that, its disks are lost with the host it left.
  return move.phase !== "local" && (move.phase !== "running-remote-disks" || wanted === undefined);
}

/** All or none: while one of them waits for room, nobody gives up what it was to get. */
function adaptations(
  kept: readonly AppliancePlan[],
  present: ReadonlyMap<ApplianceId, ApplianceObservation>,
  fits: ReadonlySet<AppliancePlan>,
): HostSteps["adapt"] {
  const changed = kept.flatMap((appliance) => {
    const now = present.get(appliance.id);
    const settings = now === undefined ? undefined : cpuChange(appliance, now);
    return settings === undefined ? [] : [{ appliance, settings }];
  });
  if (!changed.every(({ appliance }) => fits.has(appliance))) return new Map();
  return new Map(changed.map(({ appliance, settings }) => [appliance.id, settings]));
}

const noTeams: NonNullable<AppliancePlan["teams"]> = [];

/** A limit the plan does not speak of needs a new generation. */
function cpuChange(
  { cpu, enforcement = "auto", teams = noTeams }: AppliancePlan,
  now: ApplianceObservation,
): CpuSettings | undefined {
  const settings: CpuSettings = {
    ...(cpu === undefined || same(cpu, now.cpu) ? {} : { cpu }),
    ...(enforcement === (now.enforcement ?? "auto") ? {} : { enforcement }),
    ...(same(teams, now.teams ?? noTeams) ? {} : { teams }),
  };
  return Object.keys(settings).length === 0 ? undefined : settings;
}

/** Which of the other settings of a running appliance differ from the plan. */
function liveChange(
  { id, memoryBytes, restart, stopGraceMs, leased = false, vm }: AppliancePlan,
  now: ApplianceObservation,
  fits: boolean,
): HostSteps["resize"] {
  const settings: LiveSettings = {
    ...(memoryBytes === undefined || memoryBytes === now.memoryLimitBytes || !fits ? {} : { memoryBytes }),
    ...(same(restart, now.restart) ? {} : { restart }),
    ...(stopGraceMs === now.stopGraceMs ? {} : { stopGraceMs }),
    ...(leased === (now.leased ?? false) ? {} : { leased }),
    ...machineChange(vm, now),
  };
  return Object.keys(settings).length === 0 ? [] : [{ id, settings }];
}

/** Whether it goes through is told by what is observed then: a guest may refuse. */
function machineChange(wanted: VmPlan | undefined, now: ApplianceObservation): Pick<LiveSettings, "vm"> {
  if (wanted === undefined || now.vm === undefined) return {};
  const { vcpus, disk } = wanted;
  if (vcpus === now.vm.vcpus && same(disk, now.diskLimits)) return {};
  return { vm: disk === undefined ? { vcpus } : { vcpus, disk } };
}

const same = (a: unknown, b: unknown): boolean => a === b || digest(a) === digest(b);

const hasCome = new Set<string>(["running-remote-disks", "local"]);

/** The network of a host as its plan wants it, with a port for every wanted interface whose namespace exists. */
export function decideNetwork(plan: HostPlan, observed: readonly ApplianceObservation[]): NetworkPlan {
  const present = new Map(observed.map((observation) => [observation.id, observation]));
  const ports = plan.appliances.flatMap((appliance): PortPlan[] => {
    const observation = present.get(appliance.id);
    if (observation === undefined || observation.generation !== appliance.generation) return [];
    // It goes on elsewhere: frames for it are not to end here.
    const move = observation.vm?.move;
    if (move?.phase === "sent") return [];
    const isComing = appliance.vm?.move?.side === "arriving" && !hasCome.has(move?.phase ?? "");
    return appliance.interfaces.map((one) => ({
      appliance: appliance.id,
      netns: observation.netns,
      interface: one,
      ...(appliance.kind === "vm" ? { guest: true as const } : {}),
      ...(isComing ? { coming: true as const } : {}),
    }));
  });
  const { segments, shapedPairs, traffic } = plan;
  return { segments, ports, shapedPairs, ...(traffic === undefined ? {} : { traffic }) };
}

/** What the names of its ensemble resolve to inside an appliance: members of every network it is attached to. */
export function namesFor(plan: HostPlan, appliance: AppliancePlan): ReadonlyMap<string, string> {
  const attached = new Set(appliance.interfaces.map((one) => one.network));
  const names = new Map<string, string>();
  for (const segment of plan.segments) {
    if (!attached.has(segment.network)) continue;
    for (const member of segment.members) {
      if (!names.has(member.name)) names.set(member.name, member.address);
    }
  }
  return names;
}
