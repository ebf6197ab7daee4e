import { moveBandwidth, moveCpu } from "#control/adaptation/move.ts";
import { formatLimits } from "#formats/limits.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { ApplianceSpec, Ensemble, StrategyAction } from "#model/ensemble.ts";

type Move = Extract<StrategyAction, { readonly kind: "move-cpu" | "move-bandwidth" }>;
type Sizes = ReadonlyMap<string, ApplianceSpec>;

/**
 * Moves that could never be done: neither with what is declared, nor with what has been adjusted since, nor after what
 * other strategies move. Who gives or gets nothing at all is told elsewhere.
 */
export function moveFindings(ensemble: Ensemble): Finding[] {
  const { adjustments, ...declared } = ensemble;
  const strategies = (ensemble.strategies ?? []).filter(
    ({ actions }) => actions.length <= formatLimits.actionsPerStrategy,
  );
  const moves = strategies.flatMap(({ actions }) => actions.filter(isMove));
  if (moves.length === 0) return [];
  const states = [declared, ...(adjustments === undefined ? [] : [ensemble])].map(sizesOf);
  const [givers, receivers] = [endsOf(moves, "from"), endsOf(moves, "to")];
  return strategies.flatMap(({ name, actions }) =>
    actions.flatMap((action, index): Finding[] => {
      if (!isMove(action)) return [];
      const { kind, from, to } = action;
      // What others move before may make it possible.
      if (receivers.has(`${kind} ${from}`) || givers.has(`${kind} ${to}`)) return [];
      const reasons = states.map((sizes) => refusalOf(action, sizes));
      const [reason] = reasons;
      if (reason === undefined || reasons.includes(undefined)) return [];
      const path: Path = ["strategies", name, "then", ...(actions.length > 1 ? [index] : [])];
      return [{ path, message: `it can never be done: ${reason}`, suggestion: "move less" }];
    }),
  );
}

const isMove = (action: StrategyAction): action is Move =>
  action.kind === "move-cpu" || action.kind === "move-bandwidth";

const endsOf = (moves: readonly Move[], end: "from" | "to"): ReadonlySet<string> =>
  new Set(moves.map((move) => `${move.kind} ${move[end]}`));

const sizesOf = (ensemble: Ensemble): Sizes =>
  new Map(appliancesOf(ensemble).map(({ name, spec }) => [name, spec]));

/** Undefined also where it is not known what would move. */
function refusalOf(action: Move, sizes: Sizes): string | undefined {
  const [from, to] = [sizes.get(action.from), sizes.get(action.to)];
  if (from === undefined || to === undefined || action.from === action.to) return undefined;
  const [giver, receiver] = [
    { ...from, name: action.from },
    { ...to, name: action.to },
  ];
  if (action.kind === "move-bandwidth") {
    const both = (way: "outBps" | "inBps"): boolean =>
      giver.traffic?.[way] !== undefined && receiver.traffic?.[way] !== undefined;
    if (!both("outBps") && !both("inBps")) return undefined;
    const moved = moveBandwidth(action.bandwidthBps, giver, receiver);
    return moved.kind === "refused" ? moved.reason : undefined;
  }
  if (giver.cpu === undefined || receiver.cpu === undefined) return undefined;
  if (giver.cpu.kind === "share" && receiver.cpu.kind === "share") return undefined;
  const moved = moveCpu(action.executionUs, giver, receiver);
  return moved.kind === "refused" ? moved.reason : undefined;
}
