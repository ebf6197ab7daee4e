import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { EventLog } from "#cluster/event-log.ts";
import { fakeStore } from "#drivers/store/fake.ts";
import type { Store } from "#drivers/store/port.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { Event } from "#protocol/http/status.ts";

const never = new AbortController().signal;
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

class Desk {
  readonly clock = new ManualClock();
  readonly store: Store;
  isFull = false;
  readonly #life = new AbortController();

  constructor(store?: Store) {
    this.store = store ?? fakeStore({ clock: this.clock, random: seededRandom(1), log: silentLog });
  }

  async open(): Promise<EventLog> {
    const commit: Store["commit"] = async (...args) => {
      if (this.isFull) throw new Error("disk full");
      return this.store.commit(...args);
    };
    const store: Store = Object.assign(Object.create(this.store) as Store, {
      commit,
      list: this.store.list.bind(this.store),
    });
    const log = new EventLog({ store, clock: this.clock, log: silentLog });
    await log.load(never);
    void log.run(this.#life.signal).catch(() => {});
    return log;
  }

  close(): void {
    this.#life.abort(new Error("killed"));
  }
}

function fill(log: EventLog, count: number): void {
  for (let index = 0; index < count; index += 1) log.append("test", "subject", `${index}`);
}

/** What a reader gets that stops when there is no more now. */
async function drain(log: EventLog, after: number): Promise<Event[]> {
  const stop = new AbortController();
  const seen: Event[] = [];
  const reading = (async () => {
    for await (const event of log.read(after, stop.signal)) seen.push(event);
  })();
  await Promise.race([reading, turns()]);
  stop.abort(new Error("read enough"));
  await reading;
  return seen;
}

describe("EventLog", () => {
  it("shows an event only once it is durable, and goes on when the store works again", async () => {
    const desk = new Desk();
    const log = await desk.open();
    desk.isFull = true;
    fill(log, 2);
    await turns();
    assert.deepEqual([log.lastCursor(), await drain(log, 0)], [0, []]);
    desk.isFull = false;
    desk.clock.advance(limits.heartbeatMs);
    await turns();
    desk.clock.advance(limits.heartbeatMs);
    await turns();
    assert.deepEqual(
      (await drain(log, 0)).map((event) => event.cursor),
      [1, 2],
    );
    desk.close();
  });

  it("goes on after a restart with the cursors that follow, and never repeats one that was shown", async () => {
    const desk = new Desk();
    const before = await desk.open();
    fill(before, 3);
    await turns();
    desk.close();
    fill(before, 1); // Happened, but was not written: nobody saw it.
    const after = await new Desk(desk.store).open();
    after.append("test", "subject", "after");
    await turns();
    assert.deepEqual(
      (await drain(after, 2)).map((event) => [event.cursor, event.message]),
      [
        [3, "2"],
        [4, "after"],
      ],
    );
  });

  it("refuses a reader that would miss what is not kept any more, also while it reads", async () => {
    const desk = new Desk();
    const log = await desk.open();
    fill(log, 5);
    await turns();
    const slow = log.read(0, never)[Symbol.asyncIterator]();
    assert.equal((await slow.next()).value?.cursor, 1);
    fill(log, limits.eventsKept);
    await turns();
    await assert.rejects(drain(log, 4), { code: "gone" });
    assert.equal((await drain(log, 5)).length, limits.eventsKept);
    for (let left = 0; left < 4; left += 1) await slow.next(); // What it was given already.
    assert.equal((await slow.next()).value?.cursor, 6);
    fill(log, limits.eventsKept + 1);
    await turns();
    for (let left = 0; left < limits.eventsKept - 1; left += 1) await slow.next();
    await assert.rejects(slow.next(), { code: "gone" });
    desk.close();
  });

  it("refuses a cursor that was never given out: its store is another one", async () => {
    const desk = new Desk();
    const log = await desk.open();
    await assert.rejects(drain(log, 7), { code: "gone" });
    desk.close();
  });

  it("keeps neither more in memory than the limit when the store fails for long, nor hides the gap", async () => {
    const desk = new Desk();
    const log = await desk.open();
    fill(log, 1);
    await turns();
    desk.isFull = true;
    fill(log, limits.eventsKept + 10);
    await turns();
    desk.isFull = false;
    for (let round = 0; round < 3; round += 1) {
      desk.clock.advance(limits.heartbeatMs);
      await turns();
    }
    await assert.rejects(drain(log, 1), { code: "gone" });
    assert.equal((await drain(log, 0)).length, limits.eventsKept);
    desk.close();
  });
});
