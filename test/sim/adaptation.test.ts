import assert from "node:assert/strict";
import { test } from "node:test";
import { describeFailure } from "#sim/swarm/describe.ts";
import { makeCase, swarmProfile } from "#sim/swarm/make-case.ts";
import type { SwarmProfile } from "#sim/swarm/make-case.ts";
import { runCase } from "#sim/swarm/run-case.ts";

const hourMs = 3_600_000;

/** Hardly anything but sizes that change, and what is held and let go, while managers and machines die. */
const profile: SwarmProfile = {
  ...swarmProfile,
  kinds: ["crash", "crash-at-call", "power-loss", "pause", "cut", "store-down"],
  kindShare: [1, 1],
  steps: [900, 900],
  faults: [240, 240],
  faultMs: [100, 12_000],
  activeMs: hourMs,
  takeOvers: 1,
  adaptations: 0.94,
};

const seed = Number(process.env["CONSORT_SEED"] ?? 1);

test("an hour of sizes that change, appliances held and let go, and managers killed: reservations are kept, and nobody stays held", async () => {
  const one = makeCase(seed, profile);
  const adaptations = one.steps.filter(({ kind }) => ["resize", "suspend", "resume"].includes(kind));
  assert.ok(adaptations.length > 700, `only ${adaptations.length} adaptations`);
  const outcome = await runCase(one, 40);
  assert.equal(outcome.violation, undefined, describeFailure({ ...outcome, seed, case: one }));
  assert.ok(outcome.simulatedMs >= hourMs, `only ${outcome.simulatedMs} ms`);
});
