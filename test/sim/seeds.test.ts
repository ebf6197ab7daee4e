import assert from "node:assert/strict";
import { test } from "node:test";
import { swarmProfile } from "#sim/swarm/make-case.ts";
import { runSeeds } from "./pool.ts";

/** CONSORT_SEED: the first seed; with CONSORT_SIM_SEEDS=1 that one alone, and how it fails is told whole. */
const first = Number(process.env["CONSORT_SEED"] ?? 1);
const count = Number(
  process.env["CONSORT_SIM_SEEDS"] ?? (process.env["CONSORT_SEED"] === undefined ? 200 : 1),
);
/** All are wrong for the same reason, mostly: these are read. */
const failuresShown = 3;

test(`every invariant holds in ${count} clouds from seed ${first} on`, async (t) => {
  const seeds = Array.from({ length: count }, (_, index) => first + index);
  let failures = 0;
  const reports = await runSeeds(seeds, {
    profile: swarmProfile,
    signal: t.signal,
    onReport: ({ violation }) => violation !== undefined && (failures += 1) >= failuresShown,
  });
  const told = reports.flatMap((report) => report.told ?? []);
  assert.equal(told.length, 0, `\n${told.join("\n\n")}`);
  assert.equal(reports.length, count);
  const events = reports.reduce((sum, report) => sum + report.events, 0);
  assert.ok(events > count * 500, `only ${events} events: the clouds did not live`);
});

test("a seed runs the same way in two processes, to the last event", async (t) => {
  const seeds = [first, first + 1, first + 2];
  const options = { profile: swarmProfile, signal: t.signal, processes: 1 };
  const [one, other] = await Promise.all([runSeeds(seeds, options), runSeeds(seeds, options)]);
  assert.deepEqual(
    one.map((report) => report.traceHash),
    other.map((report) => report.traceHash),
  );
});
