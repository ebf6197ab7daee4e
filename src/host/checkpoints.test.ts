import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { FakeCheckpointer } from "#drivers/checkpoint/fake.ts";
import { silentLog } from "#drivers/system/log.ts";
import { HostCheckpoints } from "#host/checkpoints.ts";
import type { AppliancePlan, CheckpointPlan, HostPlan } from "#protocol/host-plan.ts";

const shop = ensembleName("shop");
const db = applianceId(shop, applianceName("db"));
const web = applianceId(shop, applianceName("web"));
const signal = new AbortController().signal;

type Rig = {
  readonly clock: ManualClock;
  readonly checkpointer: FakeCheckpointer;
  readonly host: HostCheckpoints;
  readonly running: Set<ApplianceId>;
  readonly plan: (everyMs: number | undefined, checkpoints?: readonly CheckpointPlan[]) => HostPlan;
  readonly ids: () => string[];
  readonly states: () => string[];
  readonly pass: (ms: number) => Promise<void>;
};

function rig(): Rig {
  const clock = new ManualClock();
  const checkpointer = new FakeCheckpointer(clock);
  const running = new Set([db, web]);
  const host = new HostCheckpoints({
    host: hostId("h1"),
    checkpointer,
    appliances: {
      observe: () => [...running].map((id) => ({ id, state: "running" }) as ApplianceObservation),
    },
    clock,
    random: seededRandom(1),
    log: silentLog,
    onChange: () => {},
  });
  const appliance = (id: ApplianceId, everyMs: number | undefined): AppliancePlan =>
    ({
      id,
      generation: "g",
      vm: everyMs === undefined ? {} : { checkpoint: { everyMs: millis(everyMs), copies: 0, keep: 3 } },
    }) as AppliancePlan;
  return {
    clock,
    checkpointer,
    host,
    running,
    plan: (everyMs, checkpoints) =>
      ({
        appliances: [appliance(db, everyMs), appliance(web, undefined)],
        ...(checkpoints === undefined ? {} : { checkpoints }),
      }) as unknown as HostPlan,
    ids: () => checkpointer.observe().map(({ checkpoint }) => checkpoint.id),
    pass: async (ms) => {
      for (let left = ms; left > 0; left -= 100) {
        clock.advance(millis(Math.min(left, 100)));
        await settled();
      }
    },
    states: () => (host.report().checkpointRequests ?? []).map(({ state }) => state),
  };
}

/** All that can go on without time passing has gone on. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 60; turn += 1) await Promise.resolve();
};

test("a machine with a policy has one taken every so often, while it runs", async () => {
  const { host, pass, plan, ids, running } = rig();
  host.follow(plan(1000), signal);
  await pass(3500);
  assert.equal(ids().length, 3);
  running.delete(db);
  await pass(2000);
  assert.equal(ids().length, 3);
});

test("without the policy no more are taken", async () => {
  const { host, pass, plan, ids } = rig();
  host.follow(plan(1000), signal);
  await pass(1500);
  host.follow(plan(undefined), signal);
  await pass(5000);
  assert.equal(ids().length, 1);
});

test("one that failed is tried again, not at once", async () => {
  const { host, pass, plan, ids, checkpointer } = rig();
  checkpointer.failing.add(db);
  host.follow(plan(1000), signal);
  await pass(1000);
  checkpointer.failing.clear();
  await pass(limits.checkpointRetryMs - 1);
  assert.equal(ids().length, 0);
  await pass(2);
  assert.equal(ids().length, 1);
});

test("what is requested is taken once, whoever asks again or restarted", async () => {
  const { host, plan, ids, states, checkpointer } = rig();
  const asked = plan(undefined, [{ id: "r1", appliances: [db] }]);
  host.follow(asked, signal);
  await settled();
  host.follow(asked, signal);
  await settled();
  assert.deepEqual(ids(), ["r1"]);
  assert.deepEqual(states(), ["taken"]);
  const again = rig();
  await again.checkpointer.take(
    { appliance: db, id: "r1", generation: "g", policy: { copies: 0, keep: 2 } },
    signal,
  );
  again.host.follow(asked, signal);
  await settled();
  assert.deepEqual(again.ids(), ["r1"]);
  assert.ok(checkpointer.observe().length === 1);
});

test("a machine that is to stay stands still until nobody asks for that any more", async () => {
  const { host, plan, pass, checkpointer, states } = rig();
  const stays: CheckpointPlan = { id: "s", appliances: [db], isWhole: true, stays: true };
  host.follow(plan(undefined, [stays]), signal);
  await pass(100);
  assert.deepEqual([states(), [...checkpointer.standing()]], [["taken"], [[db, "s"]]]);
  host.follow({ ...plan(undefined), appliances: [] }, signal);
  assert.equal(checkpointer.standing().size, 1, "what is to leave does not go on first");
  host.follow(plan(undefined), signal);
  assert.equal(checkpointer.standing().size, 0);
});

test("a machine that is called back while it is being saved does not stay", async () => {
  const { host, plan, pass, checkpointer } = rig();
  const stays: CheckpointPlan = { id: "s", appliances: [db], isWhole: true, stays: true };
  host.follow(plan(undefined, [stays]), signal);
  host.follow(plan(undefined), signal);
  await pass(100);
  assert.deepEqual([[...checkpointer.standing()], checkpointer.observe().length], [[], 1]);
});

test("a group that is all here goes on when all are paused", async () => {
  const { host, plan, states, checkpointer } = rig();
  host.follow(plan(undefined, [{ id: "g1", group: "noon", appliances: [db, web], isWhole: true }]), signal);
  await settled();
  assert.deepEqual(states(), ["taken", "taken"]);
  assert.deepEqual(
    checkpointer.observe().map(({ checkpoint }) => checkpoint.group),
    ["noon", "noon"],
  );
});

test("a group with others elsewhere is held until it is told to go on", async () => {
  const { host, plan, states, checkpointer } = rig();
  const asked = { id: "g1", group: "noon", appliances: [db, web] };
  host.follow(plan(undefined, [asked]), signal);
  await settled();
  assert.deepEqual(states(), ["held", "held"]);
  assert.equal(checkpointer.paused.size, 2);
  host.follow(plan(undefined, [{ ...asked, goOn: true }]), signal);
  await settled();
  assert.equal(checkpointer.observe()[0]?.checkpoint.group, "noon");
});

test("who is not told in time goes on, and what was taken is of no group", async () => {
  const { host, plan, pass, checkpointer } = rig();
  host.follow(plan(undefined, [{ id: "g1", group: "noon", appliances: [db, web] }]), signal);
  await settled();
  await pass(limits.checkpointHoldMsMax);
  assert.equal(checkpointer.paused.size, 0);
  assert.equal(checkpointer.observe()[0]?.checkpoint.group, undefined);
});

test("what left this host has no checkpoints here any more", async () => {
  const { host, plan, ids, running } = rig();
  host.follow(plan(undefined, [{ id: "r1", appliances: [web] }]), signal);
  await settled();
  running.delete(web);
  host.follow({ ...plan(undefined), appliances: [] }, signal);
  await settled();
  assert.deepEqual(ids(), []);
});
