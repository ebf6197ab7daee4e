import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { micros } from "#base/units.ts";
import { conformancePlan } from "#drivers/appliance/conformance.ts";
import { jobPlaces, machineRequest } from "#drivers/appliance/task/job-groups.ts";
import { jobsMessage, parseJobStates } from "#drivers/appliance/task/job-states.ts";
import type { TeamSpec } from "#model/ensemble.ts";

const cpu = { kind: "reservation", periodUs: micros(40_000), executionUs: micros(8_000) } as const;
const inner: TeamSpec = { name: "inner", policy: "together", jobs: [["c"], ["d"]], teams: [] };
const outer: TeamSpec = { name: "outer", policy: "round-robin", cpu, jobs: [["a"], ["b"]], teams: [inner] };
const empty: TeamSpec = { name: "frame", policy: "together", jobs: [], teams: [inner] };

describe("jobPlaces()", () => {
  it("names each job by its teams and number, and gives it a group that no name of a user can break", () => {
    assert.deepEqual(
      jobPlaces([outer, empty]).map(({ team, number, group }) => [team, number, group]),
      [
        ["outer", 1, "team-0/jobs/job-0"],
        ["outer", 2, "team-0/jobs/job-1"],
        ["outer/inner", 1, "team-0/team-0/jobs/job-0"],
        ["outer/inner", 2, "team-0/team-0/jobs/job-1"],
        ["frame/inner", 1, "team-1/team-0/jobs/job-0"],
        ["frame/inner", 2, "team-1/team-0/jobs/job-1"],
      ],
    );
  });
});

describe("machineRequest()", () => {
  it("reserves nothing for a share, nor for what asks for nothing", () => {
    assert.equal(machineRequest(conformancePlan({ command: ["true"] }), "host/task-1"), undefined);
  });

  it("dispatches a team that is together by one group, and one in turns job by job", () => {
    const plan = conformancePlan({ command: ["true"], cpu, teams: [outer, empty] });
    const request = machineRequest(plan, "host/task-1");
    const paths = request?.teams.map((team) =>
      team.jobs.map((job) => (job.kind === "cgroup" ? job.path : "")),
    );
    assert.deepEqual(paths, [["host/task-1/team-0/jobs/job-0", "host/task-1/team-0/jobs/job-1"], []]);
    assert.deepEqual(request?.teams[1]?.teams[0]?.jobs, [
      { kind: "cgroup", path: "host/task-1/team-1/team-0/jobs" },
    ]);
    assert.deepEqual(request?.teams[0]?.reservation, { periodUs: 40_000, executionUs: 8_000 });
    assert.equal(request?.enforcement, "auto");
  });
});

describe("jobsMessage()", () => {
  const places = jobPlaces([outer]);

  it("tells of the jobs that failed in this run, and of no others", () => {
    const text = [
      "7\t0\tover\t3\t1",
      "7\t1\twaiting\t137\t4",
      "7\t2\tover\t0\t1",
      "6\t3\tover\t9\t1",
      "",
    ].join("\n");
    assert.equal(
      jobsMessage(places, parseJobStates(text), 7),
      "Job 1 of team outer ended with exit code 3; Job 2 of team outer ended with exit code 137 and begins again",
    );
    assert.equal(jobsMessage(places, parseJobStates("7\t0\trunning\t3\t2\n"), 7), undefined);
  });

  it("leaves out what is not written to its end, and what it does not know", () => {
    assert.deepEqual([...parseJobStates("7\t0\tover\t3\t1\n7\t1\tov").keys()], [0]);
    assert.equal(parseJobStates("7\t0\tlost\t3\t1\n").size, 0);
  });
});
