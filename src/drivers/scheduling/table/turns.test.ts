import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { turnsOf } from "./turns.ts";
import type { Sharing } from "./turns.ts";

test("round-robin gives each job a turn of its own, together one to all", () => {
  assert.deepEqual(turnsOf({ policy: "round-robin", jobs: [4, 7], teams: [] }), [[4], [7]]);
  assert.deepEqual(turnsOf({ policy: "together", jobs: [4, 7], teams: [] }), [[4, 7]]);
});

test("a team is one member among the others, and takes turns in itself", () => {
  const pair: Sharing = { policy: "round-robin", jobs: [1, 2], teams: [] };
  assert.deepEqual(turnsOf({ policy: "round-robin", jobs: [0], teams: [pair] }), [[0], [1], [0], [2]]);
  assert.deepEqual(turnsOf({ policy: "together", jobs: [0], teams: [pair] }), [
    [0, 1],
    [0, 2],
  ]);
});

test("teams without jobs take no turn", () => {
  const none: Sharing = { policy: "together", jobs: [], teams: [] };
  assert.deepEqual(turnsOf({ policy: "round-robin", jobs: [3], teams: [none] }), [[3]]);
  assert.deepEqual(turnsOf(none), []);
});

test("every job has a turn, however teams are nested, and members of one rotation have equally many", () => {
  const policy = fc.constantFrom("round-robin" as const, "together" as const);
  const jobs = fc.array(fc.nat(1000), { maxLength: 4 });
  const leaf = fc.record({ policy, jobs, teams: fc.constant([] as Sharing[]) });
  const nested = fc.record({ policy, jobs, teams: fc.array(leaf, { maxLength: 3 }) });
  const sharings = fc.record({ policy, jobs, teams: fc.array(nested, { maxLength: 3 }) });
  const jobsOf = (sharing: Sharing): number[] => [...sharing.jobs, ...sharing.teams.flatMap(jobsOf)];
  fc.assert(
    fc.property(sharings, (sharing) => {
      const turns = turnsOf(sharing);
      assert.deepEqual(new Set(turns.flat()), new Set(jobsOf(sharing)));
      assert.ok(turns.every((turn) => turn.length > 0));
      const own = new Set(sharing.jobs);
      if (
        own.size !== sharing.jobs.length ||
        sharing.teams.some((team) => jobsOf(team).some((job) => own.has(job)))
      )
        return;
      const times = sharing.jobs.map((job) => turns.filter((turn) => turn.includes(job)).length);
      assert.equal(new Set(times).size <= 1, true, JSON.stringify({ sharing, turns }));
    }),
  );
});
