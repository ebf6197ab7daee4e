import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { stopServingDisks } from "#drivers/appliance/qemu/move/disk-server.ts";
import { begun, isRunning, prepared, relays } from "./begun-move.ts";

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

  it("serves its disks again after its host has lost its power, so that the machine goes on where it went", async () => {
    await using rig = await begun();
    await rig.ask("/cgi-bin/put?before");
    await rig.moves.b.close();
    rig.moves.b = rig.manager("b", undefined, 64 * 1024);
    const { leaving, arriving } = await prepared(rig, "power");
    await rig.until("b", { ...arriving, go: true }, ["running-remote-disks"], true, () =>
      rig.step("a", leaving),
    );
    assert.equal((await rig.until("a", leaving, ["sent", "failed"])).phase, "sent");
    await rig.moves.a.close();
    const { disksRelay } = relays(rig, "a");
    assert.ok(disksRelay !== undefined);
    execFileSync("pkill", ["-KILL", "-g", String(disksRelay.pid)]);
    await stopServingDisks(rig.place("a").directory, "power", rig.signal);
    await rig.kill("a");
    rig.moves.a = rig.manager("a");
    await rig.step("a", leaving, false);
    // It looks for them again from time to time only: what asks it gives up earlier.
    while ((await rig.ask("/cgi-bin/get")) !== "before") await rig.step("a", leaving, false);
    await rig.moves.b.close();
    rig.moves.b = rig.manager("b");
    await rig.ask("/cgi-bin/put?after");
    await rig.until("b", { ...arriving, go: true }, ["local"], true, () => rig.step("a", leaving, false));
    assert.equal(await rig.ask("/cgi-bin/get"), "after");
  });
});
