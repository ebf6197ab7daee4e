import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { CommunicationPath } from "./interception.ts";
import type { Violation } from "./interception.ts";
import { RtpMeter } from "./meter.ts";
import type { Meter } from "./meter.ts";
import { Watching } from "./watching.ts";

const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** A meter of one number, read every 100 ms of a clock that passes only here. */
function watched(first: number) {
  const clock = new ManualClock();
  const told: (string | undefined)[] = [];
  let now: () => readonly Reading[] = () => [{ metric: "", value: first }];
  const meter: Meter = { name: "queue", read: () => now() };
  const watching = new Watching(meter, { everyMs: 100, onProblem: (problem) => told.push(problem) }, clock);
  const pass = async (times: number): Promise<void> => {
    for (let time = 0; time < times; time += 1) {
      await settle();
      clock.advance(millis(100));
      await settle();
    }
  };
  const measures = (value: number): void => void (now = () => [{ metric: "", value }]);
  const fails = (problem: string): void =>
    void (now = () => {
      throw new Error(problem);
    });
  return { watching, pass, measures, fails, told };
}

test("a condition is violated when all readings of its whole time were beyond the threshold, then after its cooldown", async () => {
  const { watching, pass, measures } = watched(25);
  using _ended = watching;
  const violations: Violation[] = [];
  watching.when("queue > 20 for 1s", (violation) => violations.push(violation), { cooldownMs: 2000 });
  await pass(5);
  measures(20);
  await pass(1);
  measures(27);
  await pass(9);
  assert.equal(violations.length, 0, "one reading was at the threshold");
  await pass(3);
  assert.equal(violations.length, 1);
  assert.deepEqual(
    { monitor: violations[0]?.monitor, value: violations[0]?.value },
    { monitor: "queue", value: 27 },
  );
  assert.match(violations[0]?.reason ?? "", /^queue was above 20 for 1(\.\d+)?s, 27 now$/);
  assert.equal(watching.latest.get(""), 27);
  await pass(28);
  assert.equal(violations.length, 1, "two seconds of pause, and a whole one that counts");
  await pass(4);
  assert.equal(violations.length, 2);
});

test("with rearm a condition is violated again only after its metric came back", async () => {
  const { watching, pass, measures } = watched(25);
  using _ended = watching;
  let violations = 0;
  watching.when("queue > 20", () => (violations += 1), { cooldownMs: 100, rearm: "10" });
  await pass(20);
  assert.equal(violations, 1);
  measures(10);
  await pass(2);
  measures(25);
  await pass(4);
  assert.equal(violations, 2);
});

test("conditions are plugged in and out while a meter is read, and nothing is read after the end", async () => {
  const { watching, pass, measures } = watched(1);
  const seen: string[] = [];
  const low = watching.when("queue < 5", () => seen.push("low"), { cooldownMs: 0 });
  await pass(2);
  const before = seen.length;
  assert.ok(before >= 1);
  low[Symbol.dispose]();
  watching.when("queue <= 1", () => seen.push("lowest"), { cooldownMs: 0 });
  await pass(2);
  assert.ok(!seen.slice(before).includes("low"));
  assert.ok(seen.includes("lowest"));
  watching[Symbol.dispose]();
  const ended = seen.length;
  measures(0);
  await pass(5);
  assert.equal(seen.length, ended);
  assert.equal(watching.latest.get(""), 1);
});

test("what keeps a meter from measuring is told once, and that it measures again", async () => {
  const { watching, pass, measures, fails, told } = watched(1);
  using _ended = watching;
  await pass(2);
  fails("no such queue");
  await pass(5);
  assert.equal(watching.problem, "no such queue");
  measures(2);
  await pass(2);
  assert.deepEqual(told, ["no such queue", undefined]);
  assert.equal(watching.problem, undefined);
});

test("who answers a violation with an error does not end the watch", async () => {
  const { watching, pass, told } = watched(1);
  using _ended = watching;
  let asked = 0;
  const fail = (): never => {
    asked += 1;
    throw new Error("no way");
  };
  watching.when("queue > 0", fail, { cooldownMs: 300 });
  await pass(10);
  assert.ok(asked > 1, `asked ${asked} times`);
  assert.ok(told.includes("no way"));
});

test("what is no condition, or cannot be kept up with, is refused", () => {
  const { watching } = watched(1);
  using _ended = watching;
  const refused = (settings: { readonly rearm?: string }, condition: string): void =>
    assert.throws(
      () => watching.when(condition, () => {}, settings),
      (cause) => codeOf(cause) === "bad_input" && /Cannot watch queue/.test(String(cause)),
    );
  refused({}, "queue is long");
  refused({}, "queue > many");
  refused({}, "queue > 1 for ever");
  refused({ rearm: "few" }, "queue > 1");
  assert.throws(() => new Watching({ name: "fast", read: () => [] }, { everyMs: 1 }, new ManualClock()), {
    code: "bad_input",
  });
});

/** Of a stream with 25 frames a second, one packet each. */
function rtp(index: number): Uint8Array {
  const packet = Buffer.alloc(20);
  packet[0] = 0x80;
  packet[1] = 96;
  packet.writeUInt16BE(index, 2);
  packet.writeUInt32BE(index * 3600, 4);
  packet.writeUInt32BE(7, 8);
  return packet;
}

test("an RTP meter plugged into a path tells frame rate, jitter and loss of what passes, and passes it on", async () => {
  const clock = new ManualClock();
  let received = 0;
  const path = new CommunicationPath<Uint8Array>("films", () => (received += 1));
  const meter = new RtpMeter<Uint8Array>("films", (datagram) => datagram, clock);
  using _plugged = path.plug(meter);
  using watching = new Watching(meter, { everyMs: 200 }, clock);
  const violations: Violation[] = [];
  watching.when("loss > 5% for 400ms", (violation) => violations.push(violation));
  for (let frame = 0; frame < 100; frame += 1) {
    await settle();
    clock.advance(millis(40));
    // From the second second on every fifth is lost.
    if (frame < 25 || frame % 5 !== 0) path.send(rtp(frame));
    await settle();
  }
  assert.equal(received, 85);
  assert.ok(
    Math.abs((watching.latest.get("frame-rate") ?? 0) - 20) <= 1,
    `${watching.latest.get("frame-rate")} frames/s`,
  );
  assert.ok((watching.latest.get("jitter") ?? 99) < 1);
  assert.ok(Math.abs((watching.latest.get("loss") ?? 0) - 0.2) < 0.05);
  assert.equal(violations.length, 1);
  assert.equal(violations[0]?.monitor, "films.loss");
  assert.match(violations[0]?.reason ?? "", /^films\.loss was above 5% for .*% now$/);
});
