import type { TeamPolicy } from "#model/ensemble.ts";

/** Jobs, by number, and teams without a reservation of their own, that share one target's slots. */
export type Sharing = {
  readonly policy: TeamPolicy;
  readonly jobs: readonly number[];
  readonly teams: readonly Sharing[];
};

/** Beyond so many turns teams of unlike sizes in one rotation are treated a little unequally. */
const turnsMax = 4096;

/**
 * Who runs together, slot after slot; it repeats. round-robin: one of the jobs and teams at a time; together: all
 * jobs, and of each team whose turn it is in it. Empty when there is no job.
 */
export function turnsOf(sharing: Sharing): readonly (readonly number[])[] {
  const members = [
    ...sharing.jobs.map((job): readonly (readonly number[])[] => [[job]]),
    ...sharing.teams.map(turnsOf).filter((turns) => turns.length > 0),
  ];
  if (members.length === 0) return [];
  const rounds = rotation(members.map((turns) => turns.length));
  const at = (turns: readonly (readonly number[])[], round: number): readonly number[] =>
    turns[round % turns.length] ?? [];
  const each = Array.from({ length: rounds }, (_each, round) => members.map((turns) => at(turns, round)));
  return sharing.policy === "together" ? each.map((round) => round.flat()) : each.flat();
}

/** After how many rounds members of these lengths are all at their beginning again. */
function rotation(lengths: readonly number[]): number {
  let common = 1;
  for (const length of lengths) {
    common = (common / greatestDivisor(common, length)) * length;
    if (common > turnsMax) return Math.max(...lengths);
  }
  return common;
}

function greatestDivisor(one: number, other: number): number {
  return other === 0 ? one : greatestDivisor(other, one % other);
}
