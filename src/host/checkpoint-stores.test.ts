import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { InTurnByKey } from "#base/in-turn.ts";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import { silentLog } from "#drivers/system/log.ts";
import { HostStores } from "#host/checkpoint-stores.ts";
import { keptInPlace } from "#model/checkpoint-chain.ts";
import type { KeptInPlace } from "#model/checkpoint-chain.ts";
import { sampleCheckpoint } from "#model/sample-vm.ts";
import type { StorePlan } from "#protocol/host-plan.ts";
import type { CheckpointReport } from "#protocol/host-report.ts";

const db = applianceId(ensembleName("shop"), applianceName("db"));
const place = "s3://backups/one";
const nothing: KeptInPlace = { records: [], parts: [] };

const taken = (id: string): CheckpointReport => ({
  checkpoint: sampleCheckpoint(id),
  copies: [],
  missing: [],
  store: place,
});

const toEmpty: StorePlan = { place, appliance: db, store: "s3://backups" };
const toKeep = (...all: CheckpointReport[]): StorePlan => ({ ...toEmpty, keep: keptInPlace(all, place) });

function rig(onRecord: CheckpointReport[] = []) {
  const clock = new ManualClock();
  const sweeps: KeptInPlace[] = [];
  const life = new AbortController();
  const turns = new InTurnByKey<ApplianceId>();
  const rigged = { failing: false };
  const stores = new HostStores({
    sweeper: {
      sweep: async (_at, keep) => {
        if (rigged.failing) throw new Error("the store does not answer");
        sweeps.push(keep);
      },
    },
    observe: () => onRecord,
    turns,
    clock,
    log: silentLog,
    onChange: () => {},
  });
  const follow = async (...plans: StorePlan[]): Promise<void> => {
    stores.follow(plans, life.signal);
    await settled();
  };
  const pass = async (ms: number): Promise<void> => {
    clock.advance(millis(ms));
    await settled();
  };
  return { stores, sweeps, follow, pass, rigged, turns, onRecord };
}

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 40; turn += 1) await Promise.resolve();
};

test("a place that is to be emptied is emptied once, and told to be empty as long as that is asked for", async () => {
  const { stores, sweeps, follow } = rig([taken("c1")]);
  await follow(toEmpty);
  await follow(toEmpty);
  assert.deepEqual([sweeps, stores.report()], [[nothing], [{ place, state: "empty" }]]);
  await follow();
  assert.deepEqual(stores.report(), []);
});

test("what is not needed goes only when the cluster manager knows exactly what this host has", async () => {
  const { sweeps, follow, onRecord } = rig([taken("c1")]);
  await follow(toKeep());
  onRecord.push(taken("c2"));
  await follow(toKeep(taken("c1")));
  assert.deepEqual(sweeps, []);
  await follow(toKeep(taken("c1"), taken("c2")));
  assert.deepEqual(sweeps, [{ records: ["c1", "c2"], parts: ["sha256:c1", "sha256:c2"] }]);
});

test("a store that does not answer is asked again, later each time, and that is told until it has done it", async () => {
  const { stores, sweeps, follow, pass, rigged } = rig();
  rigged.failing = true;
  await follow(toEmpty);
  const failed = { place, state: "failed", message: "the store does not answer" };
  assert.deepEqual(stores.report(), [failed]);
  await pass(limits.storeRetryMsMin);
  rigged.failing = false;
  await pass(limits.storeRetryMsMin);
  assert.deepEqual([sweeps, stores.report()], [[], [failed]]);
  await pass(limits.storeRetryMsMin);
  assert.deepEqual([sweeps, stores.report()], [[nothing], [{ place, state: "empty" }]]);
});

test("a new plan for a place ends its pause", async () => {
  const { sweeps, follow, rigged } = rig();
  rigged.failing = true;
  await follow(toKeep());
  rigged.failing = false;
  await follow(toEmpty);
  assert.deepEqual(sweeps, [nothing]);
});

test("nothing is removed while a checkpoint of the same machine is on its way there", async () => {
  const { sweeps, follow, turns } = rig();
  const { promise, resolve } = Promise.withResolvers<void>();
  void turns.run(db, () => promise);
  await follow(toEmpty);
  assert.deepEqual(sweeps, []);
  resolve();
  await settled();
  assert.deepEqual(sweeps, [nothing]);
});

test("a place of which nothing is asked any more is left alone, also by what had begun to wait for its turn", async () => {
  const { sweeps, follow, turns } = rig();
  const { promise, resolve } = Promise.withResolvers<void>();
  void turns.run(db, () => promise);
  await follow(toEmpty);
  await follow();
  resolve();
  await settled();
  assert.deepEqual(sweeps, []);
});
