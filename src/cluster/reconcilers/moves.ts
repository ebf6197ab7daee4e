import type { ApplianceId, HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { millis } from "#base/units.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { isBoundByLease } from "#cluster/leaving.ts";
import { afterMoves } from "#cluster/moving-together.ts";
import type { MovingFacts } from "#cluster/moving-together.ts";
import { moveOf, newMove, nextStep, withoutMove } from "#cluster/moves.ts";
import type { Move, MoveSeen, MoveStep, Reroute } from "#cluster/moves.ts";
import { pathsWhereTheyAre } from "#cluster/rerouting.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { StoreWrite } from "#drivers/store/port.ts";
import type { ApplianceReport, MoveReport } from "#protocol/host-report.ts";

/** What a step of a move tells people. */
type Told = { readonly id: ApplianceId; readonly move: Move; readonly step: MoveStep };

/** Takes the next step of every live move; moves.ts has the picture. */
export async function stepMoves(context: ClusterContext, signal: AbortSignal): Promise<void> {
  if (stepsOf(context).writes.length === 0) return;
  const told = await context.state.change(() => {
    const { writes, steps } = stepsOf(context);
    return { writes, result: steps };
  }, signal);
  for (const { id, move, step } of told) tell(context, id, move, step);
  context.wake.now();
  context.wakeRecovery.now();
}

function stepsOf(context: ClusterContext): { writes: StoreWrite[]; steps: Told[] } {
  const writes: StoreWrite[] = [];
  const steps: Told[] = [];
  const reroute: Reroute = (record, before) => pathsWhereTheyAre(record, before, context.facts());
  // Whatever moves is leaving a host.
  for (const record of context.state.whereabouts().unsettled()) {
    const known = Object.entries<Move>(record.moves ?? {}) as [ApplianceId, Move][];
    const alone = new Map(
      known.flatMap(([id, move]): [ApplianceId, MoveStep][] =>
        moveOf(record, id) === undefined ? [] : [[id, nextStep(move, seenOf(context, record, id, move))]],
      ),
    );
    const taken = afterMoves(record, alone, movingFacts(context, record), reroute);
    let { after } = taken;
    for (const [id, move] of known) {
      const step = taken.steps.get(id);
      // It was placed anew meanwhile: that it has to leave both hosts is on record.
      if (step === undefined) after = withoutMove(after, id);
      else if (step.kind !== "goes on" || step.move !== move) steps.push({ id, move, step });
    }
    if (after !== record) writes.push({ put: keys.ensemble(record.ensemble.name), value: after });
  }
  return { writes, steps };
}

function movingFacts(context: ClusterContext, record: EnsembleRecord): MovingFacts {
  const { seen, parts, moveEnds } = context;
  const specs = new Map(appliancesOf(record.ensemble).map(({ id, spec }) => [id, spec]));
  const { isLost, isDraining, hasEnded } = context.fates();
  return {
    siteOf: (host) => parts.topology.hosts.find(({ id }) => id === host)?.site,
    isLost,
    isDraining,
    hasEnded,
    mayBePlacedAnew: (id, host) =>
      specs.get(id)?.onHostLoss === "elsewhere" && isBoundByLease(record, id, host) && seen.isLost(host),
    hasToWait: (id) => (moveEnds.get(id)?.until ?? -Infinity) > parts.clock.monotonic(),
    secrets: () => newMove(parts),
  };
}

function seenOf(context: ClusterContext, record: EnsembleRecord, id: ApplianceId, move: Move): MoveSeen {
  const { seen, state } = context;
  const spec = appliancesOf(record.ensemble).find((one) => one.id === id)?.spec;
  const isGivenUp = seen.isLost(move.from) && state.standing(move.from).fenced;
  return {
    leaving: moveReport(context, id, move, move.from),
    arriving: moveReport(context, id, move, move.to),
    startedAt: reportOf(context, id, move.from)?.startedAt,
    isFromLost: seen.isLost(move.from),
    isToLost: seen.isLost(move.to),
    areDisksLost: !state.hosts().has(move.from) || (isGivenUp && spec?.onHostLoss === "elsewhere"),
  };
}

/** What a host that is there tells of its side of this move, and of no earlier one. */
export function moveReport(
  { seen }: Pick<ClusterContext, "seen">,
  id: ApplianceId,
  { move }: Pick<Move, "move">,
  host: HostId,
): MoveReport | undefined {
  const report = reportOf({ seen }, id, host)?.vm?.move;
  return report?.move === move ? report : undefined;
}

const reportOf = (
  { seen }: Pick<ClusterContext, "seen">,
  id: ApplianceId,
  host: HostId,
): ApplianceReport | undefined => seen.freshReport(host)?.appliances.find((one) => one.id === id);

function tell(context: ClusterContext, id: ApplianceId, move: Move, step: MoveStep): void {
  const { events, moveEnds, parts } = context;
  const { from, to } = move;
  if (step.kind === "goes on") {
    if (step.move.state === move.state) return;
    if (step.move.state === "sent") {
      const paused = moveReport(context, id, move, from)?.downtimeMs;
      const detail = paused === undefined ? "" : `, ${paused} ms without it`;
      events.append("appliance.arrived", id, `${from} → ${to}: it goes on on ${to}${detail}`);
    }
    return;
  }
  if (step.kind === "settled") {
    events.append("appliance.settled", id, `all of it is on ${to}, nothing is left on ${from}`);
    return;
  }
  if (step.kind === "diskless") {
    events.append("appliance.displaced", id, `its disk was on ${from}, which is lost: it begins anew`);
    return;
  }
  const why = step.kind === "lost" ? `${from} is lost` : step.why;
  const until = millis(parts.clock.monotonic() + limits.recoveryRetryMs);
  moveEnds.set(id, { move: move.move, why, until });
  const what =
    step.kind === "stays"
      ? `it stays on ${from}`
      : step.kind === "follows"
        ? `it is moved again, to be with others on ${to}`
        : `it begins anew on ${to}`;
  events.append("appliance.stayed", id, `${from} → ${to} failed, ${what}: ${why}`);
}
