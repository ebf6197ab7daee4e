import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { stopServingDisks } from "#drivers/appliance/qemu/move/disk-server.ts";
import { runState } from "#drivers/appliance/qemu/move/migration-status.ts";
import { begun, prepared } from "./begun-move.ts";
import type { MovingRig, Side } from "./moving.ts";

/** Slow enough that something can happen meanwhile. */
const slowly = 12 * 1024 * 1024;

async function isRunning(rig: MovingRig, side: Side): Promise<boolean> {
  return (await runState(rig.vm(side).qmp, rig.signal)) === "running";
}

/** The relays of one side, as its record has them. */
function relays(rig: MovingRig, side: Side): { stateRelay?: { pid: number }; disksRelay?: { pid: number } } {
  const file = join(rig.directory, `${side}-moves`, `${encodeURIComponent(rig.place(side).id)}.json`);
  return JSON.parse(readFileSync(file, "utf8")) as ReturnType<typeof relays>;
}

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

describe("a live move after its point of no return", () => {
  it("never continues where it was, unless the other side failed before it ran", async () => {
    await using rig = await begun();
    const { leaving, arriving } = await prepared(rig, "back");
    await rig.until("b", arriving, ["received"], true, () => rig.step("a", leaving));
    assert.equal((await rig.until("a", { ...leaving, cancelled: true }, ["sent"])).phase, "sent");
    assert.ok(!(await isRunning(rig, "a")));
    await rig.kill("b");
    assert.equal((await rig.until("b", arriving, ["failed"], false)).phase, "failed");
    const back = { ...leaving, cancelled: true, back: true } as const;
    assert.equal((await rig.until("a", back, ["failed"])).message, "it did not arrive");
    assert.ok(await isRunning(rig, "a"));
    await rig.ask("/cgi-bin/put?back");
    assert.equal(await rig.ask("/cgi-bin/get"), "back");
  });

  it("keeps its disks within reach when the QEMU it left, and what serves them, die", async () => {
    await using rig = await begun();
    await rig.ask("/cgi-bin/put?before");
    await rig.moves.b.close();
    rig.moves.b = rig.manager("b", undefined, 64 * 1024);
    const { leaving, arriving } = await prepared(rig, "disks");
    await rig.until("b", { ...arriving, go: true }, ["running-remote-disks"], true, () =>
      rig.step("a", leaving),
    );
    await stopServingDisks(rig.place("a").directory, "disks", rig.signal);
    const { disksRelay } = relays(rig, "a");
    assert.ok(disksRelay !== undefined);
    execFileSync("pkill", ["-KILL", "-g", String(disksRelay.pid)]);
    const asked = rig.ask("/cgi-bin/get");
    await rig.step("a", leaving);
    assert.equal(await asked, "before");
    await rig.kill("a");
    assert.equal(await rig.ask("/cgi-bin/get"), "before");
    await rig.until("b", { ...arriving, go: true }, ["local"]);
    assert.equal(await rig.ask("/cgi-bin/get"), "before");
  });
});
