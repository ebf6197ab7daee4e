import type { JobPlace } from "#drivers/appliance/task/job-groups.ts";

/** What teams.pl wrote down about one job of a team, by its number in the spec. */
export type JobState = {
  readonly run: number;
  readonly state: "starting" | "running" | "waiting" | "over";
  readonly code: number;
  readonly starts: number;
};

const states: ReadonlySet<string> = new Set(["starting", "running", "waiting", "over"]);

/** A file that is just being rewritten may be read half: whoever writes it nudges its readers afterwards. */
export function parseJobStates(text: string): ReadonlyMap<number, JobState> {
  const found = new Map<number, JobState>();
  for (const line of text.split("\n").slice(0, -1)) {
    const [run, number, state, code, starts] = line.split("\t");
    if (state === undefined || !states.has(state)) continue;
    found.set(Number(number), {
      run: Number(run),
      state: state as JobState["state"],
      code: Number(code),
      starts: Number(starts),
    });
  }
  return found;
}

/** For people: which jobs of this run do not run, though nobody wanted them to end. */
export function jobsMessage(
  places: readonly JobPlace[],
  jobs: ReadonlyMap<number, JobState>,
  run: number,
): string | undefined {
  const failed = places.flatMap(({ team, number }, index) => {
    const job = jobs.get(index);
    if (job === undefined || job.run !== run || job.code === 0) return [];
    if (job.state !== "waiting" && job.state !== "over") return [];
    const then = job.state === "waiting" ? " and begins again" : "";
    return [`Job ${number} of team ${team} ended with exit code ${job.code}${then}`];
  });
  return failed.length === 0 ? undefined : failed.join("; ");
}
