import { ConsortError } from "#base/errors.ts";
import type { TrafficTarget } from "#drivers/network/reservations/port.ts";
import { Connection } from "./connection.ts";
import type { ConnectionSettings, NetworkParam } from "./connection.ts";
import { ProcessJob } from "./process-job.ts";
import type { Job } from "./resource.ts";
import type { SchedParam } from "./sched-param.ts";
import { Team } from "./team.ts";
import type { TeamPart } from "./team.ts";
import { VirtualTaskMachine } from "./virtual-task-machine.ts";

/** What two sides of an adaptation are to have. */
export type BothSides<Param> = { readonly x: Param; readonly y: Param };

/**
 * Gives CPU time of one job to another: after an admission test both change, or none. Both are machines, or both are
 * directly in one team. In a running dispatch table it takes effect at the next slot.
 */
export function cpuAdapt(x: Job, y: Job, to: BothSides<SchedParam>): void {
  differ(x, y);
  if (x instanceof VirtualTaskMachine && y instanceof VirtualTaskMachine && x.scheduler === y.scheduler)
    x.scheduler.adapt(pair(x, to.x, y, to.y));
  else if (isPart(x) && isPart(y) && aboveOf(x) !== undefined && aboveOf(x) === aboveOf(y))
    aboveOf(x)?.scheduler.adapt(pair<TeamPart, SchedParam>(x, to.x, y, to.y));
  else
    throw new ConsortError(
      "bad_input",
      `Cannot move CPU time between ${x.name} and ${y.name}: both must be machines of one host, or be directly in one team`,
    );
}

export type ReserveOptions = Partial<Pick<ConnectionSettings, "name" | "priority" | "direction">>;

/**
 * Reserves bandwidth for what a machine sends to these targets, receives from them, or both: packets are told apart by
 * where they go and where they come from. Without a priority it is the last to get spare bandwidth.
 */
export const networkReserve = (
  machine: VirtualTaskMachine,
  param: NetworkParam,
  targets: readonly TrafficTarget[],
  { name = machine.name, priority = 7, direction = "out" }: ReserveOptions = {},
): Promise<Connection> =>
  machine.connectionFactory().create(machine, { name, targets, priority, direction }, param);

/** The same for bandwidth. A machine stands for its connection, if it has one only. */
export function networkAdapt(
  x: VirtualTaskMachine | Connection,
  y: VirtualTaskMachine | Connection,
  to: BothSides<NetworkParam>,
): void {
  differ(x, y);
  const [first, second] = [connectionOf(x), connectionOf(y)];
  if (first.manager !== second.manager)
    throw new ConsortError(
      "bad_input",
      `Cannot move bandwidth between ${first.name} and ${second.name}: they leave by different interfaces`,
    );
  first.manager.adapt(pair(first, to.x, second, to.y));
}

const pair = <Side, Param>(x: Side, toX: Param, y: Side, toY: Param): ReadonlyMap<Side, Param> =>
  new Map([
    [x, toX],
    [y, toY],
  ]);

const isPart = (job: Job): job is TeamPart => job instanceof Team || job instanceof ProcessJob;

const aboveOf = (part: TeamPart): Team | undefined => (part.kind === "team" ? part.parent : part.team);

function differ(x: { readonly name: string }, y: { readonly name: string }): void {
  if (x === y) throw new ConsortError("bad_input", `Cannot adapt ${x.name}: both sides are the same`);
}

function connectionOf(side: VirtualTaskMachine | Connection): Connection {
  if (side instanceof Connection) return side;
  const [only, ...others] = side.connections;
  if (only !== undefined && others.length === 0) return only;
  throw new ConsortError(
    "bad_input",
    `Cannot move bandwidth of ${side.name}: it has ${side.connections.length} connections, name one`,
  );
}
