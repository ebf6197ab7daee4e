import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VirtualTime } from "#sim/kernel/virtual-time.ts";

describe("VirtualTime", () => {
  it("jumps from event to event and stands at the end of the run", async () => {
    const time = new VirtualTime(10);
    const seen: number[] = [];
    for (const atMs of [30, 10, 20, 50]) time.schedule(atMs, undefined, "e", () => seen.push(time.nowMs));
    await time.run(40);
    assert.deepEqual(seen, [10, 20, 30]);
    assert.equal(time.nowMs, 40);
    await time.run(60);
    assert.deepEqual(seen, [10, 20, 30, 50]);
  });

  it("lets all that follows from an event settle before the next one, and before listeners look", async () => {
    const time = new VirtualTime(10);
    const story: string[] = [];
    const follow = async (name: string): Promise<void> => {
      for (let depth = 0; depth < 50; depth += 1) await Promise.resolve();
      queueMicrotask(() => story.push(`${name} settled`));
    };
    time.onEvent(({ label }) => story.push(`${label} looked at`));
    time.schedule(5, undefined, "a", () => void follow("a"));
    time.schedule(5, undefined, "b", () => void follow("b"));
    await time.run(10);
    assert.deepEqual(story, ["a settled", "a looked at", "b settled", "b looked at"]);
  });

  it("does not run what was called off, and takes the past for now", async () => {
    const time = new VirtualTime(10);
    const seen: string[] = [];
    const off = time.schedule(10, undefined, "off", () => seen.push("off"));
    time.schedule(20, undefined, "e", () => {
      time.schedule(3, undefined, "late", () => seen.push(`late at ${time.nowMs}`));
    });
    time.cancel(off);
    await time.run(100);
    assert.deepEqual(seen, ["late at 20"]);
  });

  it("stops when asked to after an event, and with what an event or a listener throws", async () => {
    const time = new VirtualTime(10);
    let count = 0;
    for (let atMs = 1; atMs <= 9; atMs += 1) time.schedule(atMs, undefined, "e", () => void (count += 1));
    assert.equal(await time.run(100, () => count === 3), true);
    assert.equal(time.nowMs, 3);
    time.onEvent(() => {
      throw new Error("violated");
    });
    await assert.rejects(time.run(100), { message: "violated" });
    assert.equal(count, 4);
  });

  it("refuses to go on for ever when nothing is left to happen", async () => {
    const time = new VirtualTime(10);
    await assert.rejects(time.run(Number.POSITIVE_INFINITY), { code: "internal" });
  });

  it("tells two runs apart by any difference in time, label or owner", async () => {
    const fingerprint = async (atMs: number, owner: string, label: string): Promise<string> => {
      const time = new VirtualTime(0);
      time.schedule(atMs, owner, label, () => {});
      time.schedule(99, undefined, "end", () => {});
      await time.run(100);
      return time.trace.fingerprint();
    };
    const base = await fingerprint(1, "host/a", "wake");
    assert.equal(await fingerprint(1, "host/a", "wake"), base);
    const others = [
      await fingerprint(1.000_001, "host/a", "wake"),
      await fingerprint(1, "host/b", "wake"),
      await fingerprint(1, "host/a", "walk"),
    ];
    assert.equal(new Set([base, ...others]).size, 4);
  });
});
