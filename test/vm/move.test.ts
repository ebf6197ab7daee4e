import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { runState } from "#drivers/appliance/qemu/move/migration-status.ts";
import { begun, prepared } from "./begun-move.ts";

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
