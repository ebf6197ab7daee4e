import type { Fault } from "#sim/fault.ts";
import { durationOf } from "#sim/swarm/swarm-case.ts";
import type { Step, SwarmCase } from "#sim/swarm/swarm-case.ts";

/** Whether a smaller case still fails in the same way. */
type StillFails = (smaller: SwarmCase) => Promise<boolean>;

/**
 * Makes a failing case smaller: leaves out faults, then steps, then appliances, then makes faults shorter; and again,
 * until nothing can be left out or so many cases were tried.
 */
export async function shrinkCase(
  failing: SwarmCase,
  runs: number,
  stillFails: StillFails,
): Promise<SwarmCase> {
  let left = runs;
  const attempt: StillFails = (smaller) => {
    left -= 1;
    return left < 0 ? Promise.resolve(false) : stillFails(smaller);
  };
  let best = failing;
  for (let size = Infinity; sizeOf(best) < size;) {
    size = sizeOf(best);
    const { faults, steps } = best;
    const fewer = await shrinkList(faults, (some) => attempt({ ...best, faults: some, steps }));
    best = { ...best, faults: fewer };
    best = { ...best, steps: await shrinkList(steps, (some) => attempt({ ...best, steps: some })) };
    best = await shrinkEnsembles(best, attempt);
  }
  return shrinkDurations(best, attempt);
}

const sizeOf = ({ faults, steps }: SwarmCase): number => faults.length + steps.length;

/** Delta debugging (Zeller): halves, then quarters, … are left out as long as what remains fails. */
export async function shrinkList<One>(
  failing: readonly One[],
  fails: (some: readonly One[]) => Promise<boolean>,
): Promise<readonly One[]> {
  if (failing.length === 0 || (await fails([]))) return [];
  let list = failing;
  for (let parts = 2; list.length >= 2;) {
    const size = Math.ceil(list.length / parts);
    let smaller: readonly One[] | undefined;
    for (let from = 0; from < list.length && smaller === undefined; from += size) {
      const rest = [...list.slice(0, from), ...list.slice(from + size)];
      if (await fails(rest)) smaller = rest;
    }
    if (smaller !== undefined) {
      list = smaller;
      parts = Math.max(2, parts - 1);
    } else if (size === 1) break;
    else parts = Math.min(list.length, parts * 2);
  }
  return list;
}

async function shrinkEnsembles(failing: SwarmCase, fails: StillFails): Promise<SwarmCase> {
  let best = failing;
  for (const [index, step] of failing.steps.entries()) {
    if (step.kind !== "up") continue;
    const having = (appliances: typeof step.ensemble.appliances): SwarmCase => ({
      ...best,
      steps: best.steps.with(index, { ...step, ensemble: keepOnly(step.ensemble, appliances) }),
    });
    const fewer = await shrinkList(step.ensemble.appliances, async (some) =>
      some.length === 0 ? false : fails(having(some)),
    );
    if (fewer.length < step.ensemble.appliances.length) best = having(fewer);
  }
  return best;
}

type Ensemble = Extract<Step, { kind: "up" }>["ensemble"];

function keepOnly(ensemble: Ensemble, appliances: Ensemble["appliances"]): Ensemble {
  const names = new Set(appliances.map((one) => one.name));
  return {
    ...ensemble,
    appliances,
    links: ensemble.links.filter((link) => names.has(link.from) && names.has(link.to)),
    placement: ensemble.placement.filter((rule) => rule.appliances.every((name) => names.has(name))),
  };
}

const shortestMs = 100;

async function shrinkDurations(failing: SwarmCase, fails: StillFails): Promise<SwarmCase> {
  let best = failing;
  for (const index of failing.faults.keys()) {
    for (;;) {
      const fault = best.faults[index];
      if (fault === undefined || durationOf(fault) <= shortestMs) break;
      const smaller = { ...best, faults: best.faults.with(index, halved(fault)) };
      if (!(await fails(smaller))) break;
      best = smaller;
    }
  }
  return best;
}

function halved(fault: Fault): Fault {
  const half = Math.round(durationOf(fault) / 2);
  return "downForMs" in fault ? { ...fault, downForMs: half } : { ...fault, forMs: half };
}
