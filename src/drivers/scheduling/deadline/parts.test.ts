import assert from "node:assert/strict";
import { test } from "node:test";
import { micros } from "#base/units.ts";
import type { EnforcedMachine, EnforcedTeam, JobGroup } from "../port.ts";
import { partsOf, shareOf } from "./parts.ts";

const job = (path: string): JobGroup => ({ kind: "cgroup", path });
const times = (executionMs: number, periodMs: number) => ({
  executionUs: micros(executionMs * 1000),
  periodUs: micros(periodMs * 1000),
});
const team = (name: string, change: Partial<EnforcedTeam>): EnforcedTeam => ({
  name,
  policy: "together",
  jobs: [job(name)],
  teams: [],
  ...change,
});
const machine = (teams: readonly EnforcedTeam[]): EnforcedMachine => ({
  id: "machine",
  reservation: times(20, 40),
  policy: "together",
  jobs: [job("own")],
  teams,
  suspended: false,
});

test("a machine's own jobs and teams without a part share what the other teams leave", () => {
  const parts = partsOf(machine([team("fixed", { reservation: times(10, 80) }), team("free", {})]));
  assert.deepEqual(
    parts.map(({ jobs, reservation }) => [jobs, reservation]),
    [
      [[job("own"), job("free")], times(15, 40)],
      [[job("fixed")], times(10, 80)],
    ],
  );
});

test("teams inside teams divide what these have", () => {
  const inner = team("inner", { reservation: times(4, 40) });
  const parts = partsOf(machine([team("outer", { reservation: times(12, 40), teams: [inner] })]));
  assert.deepEqual(
    parts.map(({ reservation }) => reservation.executionUs),
    [8000, 8000, 4000],
  );
});

test("threads share a part equally", () => {
  assert.deepEqual(shareOf(times(9, 40), 3), { runtimeUs: 3000, periodUs: 40_000 });
  assert.equal(shareOf(times(0, 40), 3).runtimeUs, 2);
});
