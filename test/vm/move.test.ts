import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { runState } from "#drivers/appliance/qemu/move/migration-status.ts";
import { continueHere } from "#drivers/appliance/qemu/move/receive.ts";
import { MovingRig } from "./moving.ts";

/** A guest that runs on side a, and what serves its disks. */
async function begun(withDisk = true): Promise<MovingRig & AsyncDisposable> {
  const rig = new MovingRig(withDisk);
  await rig.open();
  await continueHere((await rig.start("a", { incoming: false, remote: false })).qmp, rig.signal);
  await rig.untilUp();
  return Object.assign(rig, { [Symbol.asyncDispose]: () => rig.close() });
}

/** Both sides as they are before anything is sent. */
async function prepared(rig: MovingRig, move: string): Promise<ReturnType<MovingRig["plans"]>> {
  const { leaving, arriving } = rig.plans(move);
  const serving = await rig.until("a", leaving, ["serving"]);
  assert.ok(serving.port !== undefined && serving.port > 0);
  const there = { ...arriving, disksPort: serving.port };
  const start = await rig.moves.b.beforeStart(rig.place("b"), there, true, rig.signal);
  assert.deepEqual(start, { incoming: true, remote: true });
  await rig.start("b", start);
  const listening = await rig.until("b", there, ["listening"]);
  assert.ok(listening.port !== undefined && listening.port > 0);
  return { leaving: { ...leaving, statePort: listening.port }, arriving: there };
}

describe("a live move", () => {
  it("keeps what the guest has in memory and on its disk, answers every request, and brings the disk home", async () => {
    await using rig = await begun();
    await rig.ask("/cgi-bin/put?before");
    const { leaving, arriving } = await prepared(rig, "one");
    rig.moves.a.onSent((id, move) => assert.ok(rig.moves.b.giveWord(id, move)));
    const answers = rig.requests();
    const began = performance.now();
    const [sent] = await Promise.all([
      rig.until("a", leaving, ["sent", "failed"]),
      rig.until("b", arriving, ["running-remote-disks", "local", "failed"]),
    ]);
    const tookMs = performance.now() - began;
    assert.equal(sent.phase, "sent", sent.message);
    await rig.until("b", arriving, ["local"]);
    const seen = await answers();
    console.log(JSON.stringify({ tookMs, downtimeMs: sent.downtimeMs, ...seen }));
    assert.equal(seen.lost, 0, seen.reasons.join(", "));
    assert.equal(await runState(rig.vm("a").qmp, rig.signal), "postmigrate");
    assert.equal(await runState(rig.vm("b").qmp, rig.signal), "running");
    assert.equal(await rig.ask("/cgi-bin/get"), "before");
    // Nothing of the leaving side is needed any more.
    await rig.moves.a.forget(rig.place("a").id, rig.place("a"), rig.signal);
    await rig.kill("a");
    await rig.ask("/cgi-bin/put?after");
    assert.equal(await rig.ask("/cgi-bin/get"), "after");
    assert.ok(readFileSync(rig.file("b", "root.qcow2")).includes("after\n"));
    assert.ok(!readFileSync(rig.file("a", "root.qcow2")).includes("after\n"));
  });
});
