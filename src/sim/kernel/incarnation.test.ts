import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { millis } from "#base/units.ts";
import { incarnationClock } from "#sim/drivers/clock.ts";
import { Incarnation } from "#sim/kernel/incarnation.ts";
import { PlaceClock } from "#sim/kernel/place-clock.ts";
import { SimulatedProcess } from "#sim/kernel/process.ts";
import { VirtualTime } from "#sim/kernel/virtual-time.ts";

const takes = [4, 4] as const;
const never = new AbortController().signal;

function oneLife(): { time: VirtualTime; place: PlaceClock; life: Incarnation } {
  const time = new VirtualTime(50);
  const place = new PlaceClock(time);
  return { time, place, life: new Incarnation({ process: "p", number: 1, seed: 7, time, clock: place }) };
}

describe("an incarnation", () => {
  it("is killed between a call's effect and its answer: neither what follows nor a finally block runs", async () => {
    const { time, life } = oneLife();
    const story: string[] = [];
    const program = async (): Promise<void> => {
      try {
        await life.call("write", takes, () => story.push("written"));
        story.push("answered");
      } finally {
        story.push("tidied");
      }
    };
    void program();
    await time.run(100, () => story.length > 0);
    life.kill();
    await time.run(100);
    assert.deepEqual(story, ["written"]);
  });

  it("has no effect on anything once it is dead", async () => {
    const { time, life } = oneLife();
    const story: string[] = [];
    life.later(5, "timer", () => story.push("timer"));
    void life.call("write", takes, () => story.push("written"));
    life.kill();
    life.act(() => story.push("acted"));
    void life.read("read", takes, () => story.push("read"));
    await time.run(100);
    assert.deepEqual(story, []);
  });

  it("gets what came while it was paused in order, when it goes on, while its clocks went on", async () => {
    const { time, life } = oneLife();
    const story: string[] = [];
    const tell = (what: string) => (): void => void story.push(`${what} at ${time.nowMs}`);
    for (const [atMs, what] of [
      [30, "c"],
      [10, "a"],
      [20, "b"],
    ] as const)
      life.laterAt(atMs, what, tell(what));
    time.schedule(5, undefined, "pause", () => life.pause());
    time.schedule(25, undefined, "resume", () => life.resume());
    await time.run(100);
    assert.deepEqual(story, ["a at 25", "b at 25", "c at 30"]);
  });

  for (const [effect, wanted] of [
    ["none", ["first"]],
    ["done", ["first", "second"]],
  ] as const) {
    it(`dies at its second call, with effect: ${effect}`, async () => {
      const { time, life } = oneLife();
      const story: string[] = [];
      life.crashAtCall(2, effect, () => life.kill());
      const program = async (): Promise<void> => {
        await life.call("one", takes, () => story.push("first"));
        await life.call("two", takes, () => story.push("second"));
        story.push("went on");
      };
      void program();
      await time.run(100);
      assert.deepEqual(story, wanted);
    });
  }

  it("says that it escaped virtual time when it waits for something virtual time will not bring", async () => {
    const { time, life } = oneLife();
    time.onEvent(() => life.checkWaits());
    life.later(1, "begin", () => void new Promise((resolve) => setImmediate(resolve)));
    await assert.rejects(time.run(100), { message: /escaped virtual time/ });
  });
});

describe("a process's clock", () => {
  it("counts from its start, runs too fast where its machine's does, and jumps with its wall clock", async () => {
    const { time, place } = oneLife();
    await time.run(1000);
    const life = new Incarnation({ process: "p", number: 2, seed: 7, time, clock: place });
    const clock = incarnationClock(life);
    assert.equal(clock.monotonic(), 0);
    const wall = clock.now();
    place.skew(-60_000, 500_000);
    let wokeAtMs = 0;
    const woke = (): void => void (wokeAtMs = time.nowMs);
    clock.sleep(millis(300), never).then(woke, () => {});
    await time.run(2000);
    assert.equal(clock.monotonic(), 1500);
    assert.equal(clock.now() - wall, 1000 - 60_000);
    assert.ok(wokeAtMs >= 1200 && wokeAtMs <= 1201, `woke at ${wokeAtMs}`);
  });

  it("does not wake before its own time when it was slowed down meanwhile, and not at all when aborted", async () => {
    const { time, place, life } = oneLife();
    const clock = incarnationClock(life);
    const story: string[] = [];
    const stop = new AbortController();
    const tell = (what: string) => (): void => void story.push(`${what} ${Math.floor(time.nowMs)}`);
    clock.sleep(millis(100), never).then(tell("woke"), () => {});
    clock.sleep(millis(100), stop.signal).then(tell("woke"), tell("aborted"));
    time.schedule(50, undefined, "slow", () => place.skew(0, -500_000));
    time.schedule(60, undefined, "stop", () => stop.abort());
    await time.run(1000);
    assert.deepEqual(story, ["aborted 60", "woke 150"]);
  });

  it("runs a timer at its own time, also one that has to wait anew, unless it was called off", async () => {
    const { time, place, life } = oneLife();
    const clock = incarnationClock(life);
    const story: string[] = [];
    const tell = (what: string) => (): void => void story.push(`${what} ${Math.floor(time.nowMs)}`);
    clock.timer(millis(100), tell("ran"));
    const callOff = clock.timer(millis(100), tell("called off"));
    const late = clock.timer(millis(100), tell("called off late"));
    time.schedule(50, undefined, "slow", () => place.skew(0, -500_000));
    time.schedule(60, undefined, "call off", callOff);
    time.schedule(120, undefined, "call off while it waits anew", late);
    await time.run(1000);
    assert.deepEqual(story, ["ran 150"]);
  });
});

describe("a process", () => {
  const counting = (
    program: (life: Incarnation) => Promise<void>,
  ): { time: VirtualTime; process: SimulatedProcess; starts: number[] } => {
    const time = new VirtualTime(50);
    const starts: number[] = [];
    const process = new SimulatedProcess({
      name: "p",
      time,
      clock: new PlaceClock(time),
      seed: 1,
      restartMs: [10, 10],
      mayStart: () => true,
      program: (life) => {
        starts.push(time.nowMs);
        return program(life);
      },
      onDead: () => {},
    });
    return { time, process, starts };
  };

  it("is started again after a crash, and after an end of its own", async () => {
    const lasts = counting(() => new Promise(() => {}));
    lasts.process.start();
    lasts.time.schedule(100, undefined, "crash", () => lasts.process.crash(50));
    await lasts.time.run(1000);
    assert.deepEqual(lasts.starts, [0, 150]);
    const ends = counting((life) => life.call("work", [20, 20], () => Promise.reject(new Error("broken"))));
    ends.process.start();
    await ends.time.run(65);
    assert.deepEqual(ends.starts, [0, 30, 60]);
  });
});
