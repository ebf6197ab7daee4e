import type { VmPlan } from "#protocol/host-plan.ts";
import type { MoveReport } from "#protocol/host-report.ts";

/** Of a machine made for a move of which nothing was done yet: what is here cannot begin by itself. */
export function awaitedMove(vm: Pick<VmPlan, "move"> | undefined): MoveReport | undefined {
  const move = vm?.move;
  return move?.side === "arriving" ? { move: move.move, side: "arriving", phase: "listening" } : undefined;
}
