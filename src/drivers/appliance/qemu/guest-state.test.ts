import assert from "node:assert/strict";
import { test } from "node:test";
import { afterEvent, beforeGuest, endWords, panicOn, qemuWords } from "./guest-state.ts";
import type { GuestState } from "./guest-state.ts";

type Heard = readonly [string, Record<string, unknown>?];

const after = (...events: readonly Heard[]): GuestState =>
  events.reduce(
    (state, [event, data = {}]) => afterEvent(state, { event, data, timestampMs: 0 }),
    beforeGuest,
  );

test("afterEvent() follows a machine through pauses, and counts resets by its guest alone", () => {
  assert.equal(after(["RESUME"]).status, "running");
  assert.equal(after(["RESUME"], ["STOP"]).status, "paused");
  assert.equal(after(["RESET", { guest: false }], ["RESET", { guest: true }]).resets, 1);
  assert.deepEqual(after(["NOBODY_KNOWS"]), beforeGuest);
});

test("endWords() tells a power-off and a panic apart from what its host did", () => {
  assert.equal(endWords(after(["SHUTDOWN", { reason: "guest-shutdown" }])), "Its guest powered off");
  assert.equal(endWords(after(["SHUTDOWN", { reason: "host-qmp-quit" }])), undefined);
  assert.match(
    endWords(after(["GUEST_PANICKED"], ["SHUTDOWN", { reason: "guest-panic" }])) ?? "",
    /panicked/,
  );
});

test("panicOn() finds a kernel's last words on its console, and only near the end of it", () => {
  const panic =
    "[ 1.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000\r\n[ 1.1] CPU: 0\r\n";
  assert.equal(panicOn(panic), "Attempted to kill init! exitcode=0x00000000");
  assert.equal(panicOn(`${panic}${"x".repeat(20_000)}`), undefined);
  assert.equal(panicOn("all is well"), undefined);
});

test("what a guest wrote is told without what would take over a terminal", () => {
  const bad = "\u001b]0;taken\u0007 over \u009b2J\u202e";
  assert.equal(panicOn(`Kernel panic - not syncing: ${bad}\n`), "]0;taken over 2J");
  assert.equal(panicOn(`Kernel panic - not syncing: ${"x".repeat(300)}\n`)?.length, 200);
  assert.equal(qemuWords(`qemu-system-x: ${bad}\n`), "]0;taken over 2J");
  assert.match(after(["BLOCK_IO_ERROR", { device: bad, reason: bad }]).ioError ?? "", /^]0;taken over 2J:/);
});

test("a guest whose write found no space is held by its disk until it goes on", () => {
  const failed: Heard = [
    "BLOCK_IO_ERROR",
    { device: "", "node-name": "home", action: "stop", reason: "No space left on device" },
  ];
  const held = after(failed, ["STOP", {}]);
  assert.deepEqual([held.status, held.ioError], ["io-error", "home: No space left on device"]);
  assert.equal(after(failed, ["STOP", {}], ["RESUME", {}]).status, "running");
  assert.equal(after(failed, ["STOP", {}], ["RESUME", {}], ["STOP", {}]).status, "paused");
  assert.equal(after(["BLOCK_IO_ERROR", { action: "report" }], ["STOP", {}]).status, "paused");
});

test("qemuWords() takes what QEMU wrote, not what its guest did", () => {
  assert.equal(
    qemuWords("hello\nqemu-system-x86_64: -machine foo: unsupported machine type\n"),
    "-machine foo: unsupported machine type",
  );
  assert.equal(qemuWords("login:"), undefined);
});
