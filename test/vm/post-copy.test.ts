import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { millis } from "#base/units.ts";
import { queryMigration } from "#drivers/appliance/qemu/move/migration-status.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { begun, isRunning, prepared } from "./begun-move.ts";
import type { MovingRig } from "./moving.ts";

const slowBytesPerSecond = 2 ** 20;
/** Long enough for a QEMU that is there to answer; what depends on it is tried again. */
const soonMs = millis(1_000);
const lookMs = millis(5);
const clock = systemClock();

const statusOn = async (rig: MovingRig, side: "a" | "b"): Promise<string> =>
  (await queryMigration(rig.vm(side).qmp, rig.signal)).status;

/** A machine that runs on side b with most of its memory still on side a, from where it comes slowly. */
async function halfThere(rig: MovingRig, move: string): Promise<ReturnType<MovingRig["plans"]>> {
  await rig.moves.a.close();
  rig.moves.a = rig.manager("a", slowBytesPerSecond);
  const plans = await prepared(rig, move);
  // QEMU runs as root here, whom every kernel lets.
  assert.equal(rig.report("b")?.postcopy, true);
  const leaving = { ...plans.leaving, postcopy: true } as const;
  const arriving = { ...plans.arriving, go: true } as const;
  await rig.until("a", leaving, ["sending"]);
  while (["none", "setup"].includes(await statusOn(rig, "a"))) await rig.step("a", leaving);
  const { qmp } = rig.vm("a");
  await qmp.execute("migrate-set-parameters", { "max-postcopy-bandwidth": slowBytesPerSecond }, rig.signal);
  await qmp.execute("migrate-start-postcopy", {}, rig.signal);
  await rig.until("b", arriving, ["running-remote-disks"], true, () => rig.step("a", leaving));
  return { leaving, arriving };
}

describe("a machine that runs before all of its memory has come", () => {
  it("needs where it was until the last of it is there, and nothing of that afterwards", async () => {
    await using rig = await begun();
    await rig.ask("/cgi-bin/put?before");
    const { leaving, arriving } = await halfThere(rig, "after");
    assert.equal((await rig.until("a", leaving, ["sent"])).phase, "sent");
    assert.ok(!(await isRunning(rig, "a")));
    // Looked at often, as passes do, before the rest comes faster.
    for (let look = 0; look < 100; look += 1) await rig.step("b", arriving);
    const fast = { "max-postcopy-bandwidth": 2 ** 40 };
    await rig.vm("a").qmp.execute("migrate-set-parameters", fast, rig.signal);
    await rig.until("b", arriving, ["local"], true, () => rig.step("a", leaving));
    assert.equal(await statusOn(rig, "b"), "completed");
    await rig.moves.a.forget(rig.place("a").id, rig.place("a"), rig.signal);
    await rig.kill("a");
    assert.equal(await rig.ask("/cgi-bin/get"), "before");
  });

  it("is ended, and it is told why, when where it was is gone and its QEMU waits for the rest with all it has", async () => {
    await using rig = await begun();
    const { arriving } = await halfThere(rig, "lost");
    await rig.adopt("b", soonMs);
    rig.holdStill("b");
    await rig.kill("a");
    while (rig.endedBy("b") === undefined) {
      await rig.step("b", arriving);
      await clock.sleep(lookMs, rig.signal);
    }
    assert.match(rig.report("b")?.message ?? "", /memory was lost/);
  });
});
