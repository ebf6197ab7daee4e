import { seededRandom } from "#base/seeded-random.ts";
import { Annealer, Snapshot } from "#planner/anneal.ts";
import type { ShouldStop } from "#planner/anneal.ts";
import { chooseSites } from "#planner/coarse.ts";
import type { SiteChoice } from "#planner/coarse.ts";
import { compileProblem } from "#planner/compile.ts";
import type { Compiled } from "#planner/compile.ts";
import { descend } from "#planner/descend.ts";
import { localityOf, placeGreedily } from "#planner/greedy.ts";
import type { Locality } from "#planner/greedy.ts";
import { mappingOf } from "#planner/mapping-result.ts";
import type { Mapping, MappingProblem } from "#planner/mapping.ts";
import { Repairer } from "#planner/repair.ts";
import { repairSchedules } from "#planner/schedule-repair.ts";
import { MapperState } from "#planner/state.ts";

export type SolveOptions = {
  /** The same problem, seed and effort give the same mapping. */
  readonly seed: number;
  /** Multiplies the number of proposals; 1 unless told. */
  readonly effort?: number;
  readonly shouldStop?: ShouldStop;
};

/** Far above any gain in distance: a running appliance moves only for a promise. */
const settledWeight = 1000;
/** While a promise is broken: below what that weighs, or nothing would ever move for it. Needless moves are undone last. */
const unsettledWeight = 2;
/** Up to so many units both are tried: sites chosen first, which fills them alike, and wherever is best. */
const fewUnits = 64;
/** Up to so many units a few more starts cost nothing to speak of. */
const veryFewUnits = 16;
const moreStarts = 2;
const repairRounds = 8;
const repairSteps = 2000;
/** Where it starts to cool, in turn: what is left may take a nudge or a rearrangement. */
const repairWarmth = [0.4, 1.5, 6];
/** Share of its preference a placement may lose to its repair without being improved again. */
const worsenedMost = 0.02;

export function solveMapping(problem: MappingProblem, options: SolveOptions): Mapping {
  const random = seededRandom(options.seed);
  const compiled = compileProblem(problem);
  const state = new MapperState(compiled, random, problem.moveWeight ?? settledWeight);
  const locality = localityOf(compiled);
  const shouldStop = options.shouldStop ?? (() => false);
  const placeable = [...compiled.unitChoice.keys()].filter(
    (unit) => compiled.choices[compiled.unitChoice[unit]!]!.list.length > 0,
  );
  const units = placeable.filter((unit) => compiled.unitPinned[unit] === 0);
  const settled = pin(state, placeable) + settle(state, units);
  const unsettled = units.filter((unit) => state.hostOf[unit]! < 0);
  const effort = options.effort ?? 1;
  const best = new Snapshot(compiled);
  const search: Search = { compiled, state, locality, random, best, shouldStop, effort };
  if (settled === 0) {
    if (compiled.siteCount === 1 || units.length <= fewUnits) start(search, units);
    for (let more = 0; more < moreStarts && units.length <= veryFewUnits; more += 1) start(search, units);
    if (compiled.siteCount > 1) {
      const proposals = effort * (5000 + 400 * units.length);
      start(search, units, chooseSites(compiled, units, random, proposals, shouldStop));
    }
  } else {
    placeGreedily(state, unsettled, locality);
    best.offer(state);
    extend(search, units, unsettled);
  }
  best.restore(state);
  if (settled === 0) descend(state, units);
  else sendHome(state, units);
  repairSchedules(state, units);
  return mappingOf(state);
}

type Search = {
  readonly compiled: Compiled;
  readonly state: MapperState;
  readonly locality: Locality;
  readonly random: ReturnType<typeof seededRandom>;
  readonly best: Snapshot;
  readonly shouldStop: ShouldStop;
  readonly effort: number;
};

/** With nothing running: from nowhere, and with sites chosen first where there are some. */
function start(search: Search, units: readonly number[], sites?: SiteChoice): void {
  const { state, locality, best } = search;
  for (const unit of units) {
    state.begin();
    state.move(unit, -1);
  }
  placeGreedily(state, units, locality, sites);
  best.offer(state);
  explore(search, units, sites?.kept !== true);
}

/** With something running: first what is new, then, if need be, those in its way, then all. */
function extend(search: Search, units: readonly number[], unsettled: readonly number[]): void {
  const { compiled, state, locality, random, best, shouldStop, effort } = search;
  const { moveWeight } = compiled.problem;
  if (unsettled.length > 0) explore(search, unsettled, true);
  if (best.violation > 0) {
    best.restore(state);
    new Repairer(state, random, locality, units).run(Math.ceil(effort * repairSteps), best, shouldStop);
  }
  if (units.length === 0 || (best.violation === 0 && moveWeight === undefined)) return;
  state.moveWeight = moveWeight ?? unsettledWeight;
  explore(search, units, true);
  state.moveWeight = moveWeight ?? settledWeight;
}

/**
 * Cools once from warm; then, while promises are broken, mends what is broken and, where that alone does not help,
 * shakes all of it a little between.
 */
function explore(search: Search, units: readonly number[], roams: boolean): void {
  const { state, random, locality, best, shouldStop, effort } = search;
  const annealer = new Annealer(state, random, locality, units);
  const repairer = new Repairer(state, random, locality, units);
  const iterations = Math.round(effort * proposalsFor(units.length));
  const steps = Math.ceil(effort * repairSteps);
  annealer.roams = roams;
  annealer.run({ iterations, warmest: 1, coldest: 0.02, focus: 0.3, penaltyMost: 20 }, best, shouldStop);
  const { preference } = best;
  for (let round = 0; round < repairRounds && best.violation > 0 && !shouldStop(); round += 1) {
    best.restore(state);
    if (round > 0) {
      state.penalty = 10;
      annealer.roams = roams || round >= repairWarmth.length;
      annealer.run(
        {
          iterations: iterations / 3,
          warmest: repairWarmth[round % repairWarmth.length]!,
          coldest: 0.05,
          focus: 0.5,
          penaltyMost: 20 * 2 ** (round / 2),
          untilKept: true,
        },
        best,
        shouldStop,
      );
    }
    repairer.run(steps, best, shouldStop);
  }
  if (best.violation > 0 || best.preference <= preference * (1 + worsenedMost)) return;
  // Kept at last, but in a hurry: what is left is to bring close what talks much.
  best.restore(state);
  annealer.run(
    { iterations: iterations / 3, warmest: 0.3, coldest: 0.02, focus: 0.3, penaltyMost: 40 },
    best,
    shouldStop,
  );
}

function proposalsFor(units: number): number {
  return 20_000 + 800 * units;
}

/** First: whoever stays is where it is, for good. Returns how many. */
function pin(state: MapperState, placeable: readonly number[]): number {
  const { unitPinned, unitChoice, choices } = state.compiled;
  const pinned = placeable.filter((unit) => unitPinned[unit] === 1);
  for (const unit of pinned) {
    state.begin();
    state.move(unit, choices[unitChoice[unit]!]!.list[0]!);
    state.route();
  }
  if (pinned.length > 0) state.acceptWhatIsBroken();
  return pinned.length;
}

/** Puts what runs back where it runs, if that is still allowed. Returns how many. */
function settle(state: MapperState, units: readonly number[]): number {
  const { unitHome, unitChoice, choices } = state.compiled;
  let settled = 0;
  for (const unit of units) {
    const home = unitHome[unit]!;
    if (home < 0 || choices[unitChoice[unit]!]!.mask[home] !== 1) continue;
    state.begin();
    state.move(unit, home);
    state.route();
    settled += 1;
  }
  return settled;
}

/** Last: whatever was moved without need goes back to where it runs. */
function sendHome(state: MapperState, units: readonly number[]): void {
  const { unitHome, unitChoice, choices } = state.compiled;
  for (const unit of units) {
    const home = unitHome[unit]!;
    if (home < 0 || state.hostOf[unit] === home || choices[unitChoice[unit]!]!.mask[home] !== 1) continue;
    const { violation, preference } = state;
    state.begin();
    state.move(unit, home);
    state.route();
    if (state.violation > violation || state.preference > preference) state.undo();
  }
}
