import { ConsortError } from "#base/errors.ts";
import type { Arguments } from "#cli/arguments.ts";
import { parseDuration } from "#formats/units.ts";
import type { Play } from "#sim/scenario/play.ts";

const seedsMost = 1_000_000;

export const badInput = (what: string): ConsortError =>
  new ConsortError("bad_input", `Cannot run consort simulate: ${what}`);

/** Options that mean nothing beside each other, with the reason; "json" is one too. */
const pairs: readonly (readonly [one: string, other: string, reason: string])[] = [
  ["from-live", "snapshot", "both tell where to start, wanted one"],
  ["seed", "seeds", "both tell the seed, wanted one"],
  ["swarm", "from-live", "--swarm draws its own clouds"],
  ["swarm", "snapshot", "--swarm draws its own clouds"],
  ["swarm", "until", "--swarm draws its own durations"],
  ["swarm", "svg", "--swarm draws no chart"],
  ["svg", "seeds", "--svg draws one run, wanted --seed N"],
  ["trace", "json", "--json has no place for every event, wanted one of them"],
];

/** Refuses what would be left out without a word. Throws `bad_input`. */
export function refuseContradictions(given: Arguments): void {
  for (const [one, other, reason] of pairs)
    if (given.has(one) && given.has(other))
      throw badInput(`--${one} and --${other} do not go together: ${reason}`);
  if (!given.has("swarm") && given.has("trace") && given.has("seeds"))
    throw badInput("--trace and --seeds do not go together: of many runs only what went wrong is told");
  if (given.has("swarm") && given.positionals.length > 0)
    throw badInput("--swarm draws its own scenario, and a file is given");
}

/** The seeds of `--seeds A..B`; undefined: not given. Throws `bad_input`. */
export function seedsOf(given: Arguments): number[] | undefined {
  const text = given.text("seeds");
  if (text === undefined) return undefined;
  const found = /^(\d{1,10})\.\.(\d{1,10})$/.exec(text);
  const [from, to] = [Number(found?.[1]), Number(found?.[2])];
  if (found === null || to < from || to - from >= seedsMost)
    throw badInput(
      `--seeds is "${text}", wanted two whole numbers such as 1..200, at most ${seedsMost} seeds`,
    );
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

/** The play, ending when `--until` says, sooner or later than its file does. Throws `bad_input`. */
export function endingAsTold(play: Play, given: Arguments): Play {
  const text = given.text("until");
  if (text === undefined) return play;
  const until = parseDuration(text);
  if (!until.ok || until.value === 0) throw badInput(`--until is "${text}", wanted a time such as 10m`);
  const steps = play.steps.filter((step) => step.atMs <= until.value);
  return { ...play, durationMs: until.value, steps };
}
