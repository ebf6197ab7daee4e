import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import { storeLimits } from "#drivers/store/limits.ts";
import type { Store, StoreEvent } from "#drivers/store/port.ts";

export type StoreUnderTest = {
  open(clock: ManualClock): Promise<Store>;
  /** Removes what `open` left. */
  clear(): Promise<void>;
};

const never = new AbortController().signal;

/** What every implementation of the store port does. */
export function storeConformance(name: string, subject: StoreUnderTest): void {
  describe(`${name} conforms to the store port`, () => {
    const clock = new ManualClock();
    let store: Store | undefined;
    const open = async (): Promise<Store> => {
      store = await subject.open(clock);
      return store;
    };
    afterEach(async () => {
      await store?.close();
      await subject.clear();
    });
    commits(open);
    watches(open);
    leases(open, clock);
  });
}

function commits(open: () => Promise<Store>): void {
  it("gives back what was put, with the revision that wrote it", async () => {
    const store = await open();
    assert.equal(await store.get("a", never), undefined);
    const put = await store.commit([{ put: "a", value: { n: 1, text: "é\u0000\ud800" } }], [], never);
    assert.ok(put.committed);
    assert.deepEqual(await store.get("a", never), {
      key: "a",
      value: { n: 1, text: "é\u0000\ud800" },
      revision: put.revision,
    });
  });

  it("keeps a copy: changing the value afterwards changes nothing", async () => {
    const store = await open();
    const value = { list: [1] };
    await store.commit([{ put: "a", value }], [], never);
    value.list.push(2);
    assert.deepEqual((await store.get("a", never))?.value, { list: [1] });
  });

  it("lists a prefix in key order, with the revision it was read at", async () => {
    const store = await open();
    for (const key of ["b/2", "a", "b/10", "b/1", "b0", "c"]) {
      await store.commit([{ put: key, value: key }], [], never);
    }
    const listed = await store.list("b/", never);
    assert.deepEqual(
      listed.entries.map((entry) => entry.key),
      ["b/1", "b/10", "b/2"],
    );
    assert.equal(listed.revision, (await store.get("c", never))?.revision);
  });

  it("commits all writes under one revision, or none when a condition fails, naming it", async () => {
    const store = await open();
    const first = await store.commit(
      [
        { put: "a", value: 1 },
        { put: "b", value: 1 },
      ],
      [{ key: "a", revision: 0 }],
      never,
    );
    assert.ok(first.committed);
    assert.equal((await store.get("b", never))?.revision, first.revision);
    const second = await store.commit(
      [{ put: "a", value: 2 }, { delete: "b" }],
      [
        { key: "a", revision: first.revision },
        { key: "b", revision: 0 },
      ],
      never,
    );
    assert.deepEqual(second, { committed: false, conflicts: ["b"] });
    assert.equal((await store.get("a", never))?.value, 1);
    assert.equal((await store.get("b", never))?.value, 1);
  });

  it("lets only one of several writers of the same key win", async () => {
    const store = await open();
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        store.commit([{ put: "a", value: n }], [{ key: "a", revision: 0 }], never),
      ),
    );
    assert.equal(results.filter((one) => one.committed).length, 1);
  });

  it("does not grow the revision when nothing changes", async () => {
    const store = await open();
    const put = await store.commit([{ put: "a", value: 1 }], [], never);
    assert.deepEqual(await store.commit([{ delete: "missing" }], [], never), put);
    assert.deepEqual(await store.commit([], [], never), put);
  });

  it("refuses malformed keys, values and commits, changing nothing", async () => {
    const store = await open();
    const bad = { code: "bad_input" };
    await assert.rejects(store.commit([{ put: "", value: 1 }], [], never), bad);
    await assert.rejects(store.commit([{ put: "a b", value: 1 }], [], never), bad);
    await assert.rejects(store.commit([{ put: "é", value: 1 }], [], never), bad);
    await assert.rejects(store.commit([{ put: "a", value: undefined }], [], never), bad);
    await assert.rejects(store.commit([{ put: "a", value: 1 }, { delete: "a" }], [], never), bad);
    const many = Array.from({ length: storeLimits.writesPerCommitMax + 1 }, (_, n) => ({
      put: `k${n}`,
      value: n,
    }));
    await assert.rejects(store.commit(many, [], never), { code: "limit_exceeded" });
    const large = "x".repeat(storeLimits.valueBytesMax);
    await assert.rejects(store.commit([{ put: "a", value: large }], [], never), { code: "limit_exceeded" });
    assert.deepEqual(await store.list("", never), { entries: [], revision: 0 });
  });

  it("does nothing for a caller that gave up, or after it is closed", async () => {
    const store = await open();
    const gone = AbortSignal.abort(new Error("gave up"));
    await assert.rejects(store.commit([{ put: "a", value: 1 }], [], gone), /gave up/);
    assert.equal(await store.get("a", never), undefined);
    await store.close();
    await assert.rejects(store.get("a", never), { code: "unavailable" });
  });
}

function watches(open: () => Promise<Store>): void {
  it("tells every change after a revision, past and to come, one commit's together", async () => {
    const store = await open();
    await store.commit([{ put: "w/a", value: 1 }], [], never);
    await store.commit([{ put: "w/b", value: 2 }, { put: "x", value: 0 }, { delete: "w/a" }], [], never);
    const stop = new AbortController();
    const seen: (readonly StoreEvent[])[] = [];
    const reading = (async () => {
      for await (const events of store.watch("w/", 1, stop.signal)) {
        seen.push(events);
        if (seen.length === 1) await store.commit([{ put: "x", value: 1 }], [], never);
        if (seen.length === 1) await store.commit([{ put: "w/c", value: 3 }], [], never);
        if (seen.length === 2) stop.abort();
      }
    })();
    await reading;
    assert.deepEqual(seen, [
      [
        { revision: 2, key: "w/b", value: 2 },
        { revision: 2, key: "w/a" },
      ],
      [{ revision: 4, key: "w/c", value: 3 }],
    ]);
  });

  it("wakes a watcher that waits, and ends it quietly when its signal aborts", async () => {
    const store = await open();
    const stop = new AbortController();
    const watching = store.watch("", 0, stop.signal)[Symbol.asyncIterator]();
    const first = watching.next();
    await store.commit([{ put: "a", value: 1 }], [], never);
    assert.deepEqual((await first).value, [{ revision: 1, key: "a", value: 1 }]);
    const second = watching.next();
    stop.abort();
    assert.equal((await second).done, true);
  });

  it("refuses a watcher that asks for forgotten changes, and serves one that does not", async () => {
    const store = await open();
    // Few and large, so that the limit on bytes is what is reached.
    const value = "x".repeat(storeLimits.valueBytesMax / 2);
    const commitsMax = Math.ceil((storeLimits.historyBytesMax / storeLimits.valueBytesMax) * 2) + 2;
    for (let n = 0; n < commitsMax; n += 1) await store.commit([{ put: "a", value }], [], never);
    const late = store.watch("", 1, never)[Symbol.asyncIterator]();
    await assert.rejects(async () => late.next(), { code: "gone" });
    const early = store.watch("", commitsMax - 1, never)[Symbol.asyncIterator]();
    const next = await early.next();
    assert.ok(next.done !== true);
    assert.equal(next.value[0]?.revision, commitsMax);
  });

  it("ends a waiting watcher with an error when the store closes", async () => {
    const store = await open();
    const waiting = store.watch("", 0, never)[Symbol.asyncIterator]().next();
    await store.close();
    await assert.rejects(async () => waiting, { code: "unavailable" });
  });
}

function leases(open: () => Promise<Store>, clock: ManualClock): void {
  it("removes a lease's entries in one commit when it is not renewed, and tells watchers", async () => {
    const store = await open();
    const lease = await store.grantLease(millis(1000), never);
    await store.commit(
      [
        { put: "a", value: 1, lease },
        { put: "b", value: 1, lease },
        { put: "c", value: 1 },
      ],
      [],
      never,
    );
    clock.advance(millis(900));
    assert.equal(await store.renewLease(lease, never), true);
    clock.advance(millis(900));
    assert.equal((await store.get("a", never))?.value, 1);
    const told = store.watch("", 1, never)[Symbol.asyncIterator]().next();
    clock.advance(millis(200));
    assert.deepEqual((await told).value, [
      { revision: 2, key: "a" },
      { revision: 2, key: "b" },
    ]);
    assert.deepEqual(
      (await store.list("", never)).entries.map((entry) => entry.key),
      ["c"],
    );
    assert.equal(await store.renewLease(lease, never), false);
  });

  it("refuses a write under a lease that has ended", async () => {
    const store = await open();
    const lease = await store.grantLease(millis(1000), never);
    clock.advance(millis(1001));
    await assert.rejects(store.commit([{ put: "a", value: 1, lease }], [], never), { code: "not_found" });
    assert.equal(await store.get("a", never), undefined);
  });

  it("frees an entry from its lease when it is put again without one", async () => {
    const store = await open();
    const lease = await store.grantLease(millis(1000), never);
    await store.commit([{ put: "a", value: 1, lease }], [], never);
    await store.commit([{ put: "a", value: 2 }], [], never);
    clock.advance(millis(1001));
    assert.equal((await store.get("a", never))?.value, 2);
  });

  it("removes the entries at once when a lease is revoked, however often", async () => {
    const store = await open();
    const lease = await store.grantLease(millis(1000), never);
    await store.commit([{ put: "a", value: 1, lease }], [], never);
    await store.revokeLease(lease, never);
    await store.revokeLease(lease, never);
    assert.equal(await store.get("a", never), undefined);
  });

  it("ends the lease that is due first, whichever was granted first", async () => {
    const store = await open();
    const long = await store.grantLease(millis(5000), never);
    const short = await store.grantLease(millis(500), never);
    await store.commit(
      [
        { put: "long", value: 1, lease: long },
        { put: "short", value: 1, lease: short },
      ],
      [],
      never,
    );
    const told = store.watch("", 1, never)[Symbol.asyncIterator]().next();
    clock.advance(millis(501));
    assert.deepEqual((await told).value, [{ revision: 2, key: "short" }]);
    assert.equal((await store.get("long", never))?.value, 1);
  });
}
