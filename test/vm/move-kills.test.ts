import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { begun, isRunning, prepared, relays } from "./begun-move.ts";

/** Slow enough that something can happen meanwhile. */
const slowly = 12 * 1024 * 1024;

describe("a live move before its point of no return", () => {
  it("ends with the machine where it was when it is cancelled, its connection is cut, or the other side dies", async () => {
    await using rig = await begun();
    await rig.moves.a.close();
    rig.moves.a = rig.manager("a", slowly);
    const answers = rig.requests();

    const first = await prepared(rig, "cancelled");
    await rig.until("b", first.arriving, ["receiving"], true, () => rig.step("a", first.leaving));
    const cancelled = await rig.until("a", { ...first.leaving, cancelled: true }, ["failed", "sent"]);
    assert.equal(cancelled.phase, "failed");
    assert.ok(await isRunning(rig, "a"));
    await rig.until("b", first.arriving, ["failed"], false);
    await rig.gone("b", first.arriving);

    const second = await prepared(rig, "cut");
    await rig.until("b", second.arriving, ["receiving"], true, () => rig.step("a", second.leaving));
    const { stateRelay } = relays(rig, "a");
    assert.ok(stateRelay !== undefined);
    execFileSync("pkill", ["-KILL", "-g", String(stateRelay.pid)]);
    assert.equal((await rig.until("a", second.leaving, ["failed", "sent"])).phase, "failed");
    assert.ok(await isRunning(rig, "a"));
    await rig.gone("b", second.arriving);

    const third = await prepared(rig, "killed");
    await rig.until("b", third.arriving, ["receiving"], true, () => rig.step("a", third.leaving));
    await rig.kill("b");
    assert.equal((await rig.until("a", third.leaving, ["failed", "sent"])).phase, "failed");
    assert.equal((await rig.until("b", third.arriving, ["failed"], false)).phase, "failed");
    assert.ok(await isRunning(rig, "a"));
    await rig.ask("/cgi-bin/put?still");
    assert.equal(await rig.ask("/cgi-bin/get"), "still");
    const seen = await answers();
    assert.equal(seen.lost, 0, seen.reasons.join(", "));
  });

  it("goes on when the manager of either side begins anew in the middle", async () => {
    await using rig = await begun();
    await rig.moves.a.close();
    rig.moves.a = rig.manager("a", slowly);
    const { leaving, arriving } = await prepared(rig, "managers");
    await rig.until("b", arriving, ["receiving"], true, () => rig.step("a", leaving));
    for (const side of ["a", "b"] as const) {
      await rig.moves[side].close();
      rig.moves[side] = rig.manager(side);
      await rig.adopt(side);
    }
    const sent = await rig.until("a", leaving, ["sent", "failed"]);
    assert.equal(sent.phase, "sent", sent.message);
    await rig.until("b", arriving, ["received"]);
    // Nobody has told it that it never continues there.
    assert.ok(!(await isRunning(rig, "b")) && !(await isRunning(rig, "a")));
    await rig.until("b", { ...arriving, go: true }, ["local"]);
    assert.ok(await isRunning(rig, "b"));
    assert.equal(await rig.ask("/"), "hello");
  });
});
