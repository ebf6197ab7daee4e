import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { bytes, millis } from "#base/units.ts";
import { FakeBlobExchange, FakeBlobStore } from "#drivers/blob/fake.ts";
import { silentLog } from "#drivers/system/log.ts";
import { BlobCollector, blobsToRemove } from "#host/blob-collector.ts";
import type { BlobRef, Digest } from "#model/image.ts";

const signal = new AbortController().signal;
const blob = (letter: string, sizeBytes = 100): BlobRef => ({
  digest: `sha256:${letter.repeat(64)}`,
  sizeBytes: bytes(sizeBytes),
});
const [a, b, c] = [blob("a"), blob("b"), blob("c")];
const plenty = { roomBytes: Number.MAX_SAFE_INTEGER, asked: false };

describe("blobsToRemove()", () => {
  const idle = (...ages: readonly (readonly [BlobRef, number])[]): Map<Digest, number> =>
    new Map(ages.map(([{ digest }, ms]) => [digest, ms]));

  it("leaves what came only just now, even when asked and when the disk is full", () => {
    const ages = idle([a, limits.blobGraceMs - 1]);
    assert.deepEqual(blobsToRemove([a, b], ages, { roomBytes: -1, asked: true }), []);
  });

  it("leaves what might be needed again while there is room, and not for ever", () => {
    const ages = idle([a, limits.blobGraceMs], [b, limits.blobIdleMs]);
    assert.deepEqual(blobsToRemove([a, b], ages, plenty), [b]);
  });

  it("makes room with what was needed least lately, and no more than is missing", () => {
    const ages = idle([a, limits.blobGraceMs + 1], [b, limits.blobGraceMs + 3], [c, limits.blobGraceMs + 2]);
    const room = { roomBytes: limits.blobRoomBytesMin - 150, asked: false };
    assert.deepEqual(blobsToRemove([a, b, c], ages, room), [b, c]);
  });
});

describe("BlobCollector", () => {
  it("removes only what the plan has not needed all the while", async () => {
    const store = new FakeBlobStore();
    const clock = new ManualClock();
    const keep = new Set<Digest>();
    const images = {
      bring: never,
      probe: never,
      append: never,
      discover: never,
      forgetParts: async () => {},
    };
    const exchange = new FakeBlobExchange(store, new Map());
    const collector = new BlobCollector({ store, exchange, images, clock, log: silentLog }, () => keep);
    const content = async function* (text: string): AsyncGenerator<Uint8Array> {
      yield Buffer.from(text);
    };
    const [kept, often, never1] = await Promise.all(
      ["kept", "often", "never"].map((text) => store.put(content(text), {}, signal)),
    );
    keep.add(kept!.digest);
    assert.deepEqual(await collector.collect(signal), { removed: 0, freedBytes: 0 });
    clock.advance(millis(limits.blobGraceMs - 1));
    keep.add(often!.digest);
    await collector.collect(signal);
    keep.delete(often!.digest);
    clock.advance(millis(1));
    assert.deepEqual(await collector.collect(signal), { removed: 1, freedBytes: never1!.sizeBytes });
    assert.deepEqual(
      new Set(store.list().map(({ digest }) => digest)),
      new Set([kept!.digest, often!.digest]),
    );
  });

  it("leaves what is brought here once more, and what is while others are removed", async () => {
    const store = new FakeBlobStore();
    const clock = new ManualClock();
    const images = { bring: never, probe: never, append: never, discover: never, forgetParts: never };
    const exchange = new FakeBlobExchange(store, new Map());
    const collector = new BlobCollector(
      { store, exchange, images, clock, log: silentLog },
      () => new Set<Digest>(),
    );
    const bring = async (text: string): Promise<BlobRef> =>
      store.put(
        (async function* (): AsyncGenerator<Uint8Array> {
          yield Buffer.from(text);
        })(),
        {},
        signal,
      );
    const again = await bring("again");
    await bring("first");
    const late = await bring("late");
    await collector.collect(signal);
    clock.advance(limits.blobGraceMs);
    await bring("again");
    const remove = store.remove.bind(store);
    store.remove = async (digest, stop) => {
      await bring("late");
      await remove(digest, stop);
    };
    await collector.collect(signal);
    assert.deepEqual(store.list(), [again, late]);
  });

  it("removes nothing before a plan is known", async () => {
    const store = new FakeBlobStore();
    const clock = new ManualClock();
    const images = {
      bring: never,
      probe: never,
      append: never,
      discover: never,
      forgetParts: async () => {},
    };
    const exchange = new FakeBlobExchange(store, new Map());
    const collector = new BlobCollector({ store, exchange, images, clock, log: silentLog }, () => undefined);
    store.contents.set(a.digest, new Uint8Array(1));
    await collector.collect(signal);
    clock.advance(limits.blobIdleMs);
    assert.deepEqual(await collector.collect(signal), { removed: 0, freedBytes: 0 });
  });
});

const never = (): never => assert.fail("not asked for here");
