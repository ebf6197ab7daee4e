import type { MapperState } from "#planner/state.ts";

/** Beyond so many moves and swaps the search itself has to do. */
const neighboursMost = 8192;
const passesMost = 16;
const leastGain = 1e-9;

/** The last of it, for small problems: every move and every swap, as long as one helps. Annealing ends a little above. */
export function descend(state: MapperState, units: readonly number[]): void {
  const { hostCount, choices, unitChoice } = state.compiled;
  if (units.length * (hostCount + units.length) > neighboursMost) return;
  const allowed = (unit: number, host: number): boolean => choices[unitChoice[unit]!]!.mask[host] === 1;
  const keepIfBetter = (): boolean => {
    state.route();
    const better = state.violation <= violation && state.preference < preference - leastGain;
    if (!better) state.undo();
    ({ violation, preference } = state);
    return better;
  };
  let { violation, preference } = state;
  for (let pass = 0, improved = true; improved && pass < passesMost; pass += 1) {
    improved = false;
    for (const unit of units) {
      for (let host = 0; host < hostCount; host += 1) {
        if (host === state.hostOf[unit] || !allowed(unit, host)) continue;
        state.begin();
        state.move(unit, host);
        improved = keepIfBetter() || improved;
      }
      for (const other of units) {
        const from = state.hostOf[unit]!;
        const to = state.hostOf[other]!;
        if (other <= unit || from === to || from < 0 || to < 0 || !allowed(unit, to) || !allowed(other, from))
          continue;
        state.begin();
        state.move(unit, to);
        state.move(other, from);
        improved = keepIfBetter() || improved;
      }
    }
  }
}
