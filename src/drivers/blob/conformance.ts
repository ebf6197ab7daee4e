import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";
import { ipv4Address } from "#base/ids.ts";
import { bytes } from "#base/units.ts";
import type { BlobRef, Digest } from "#model/image.ts";
import type { BlobExchange, BlobPeer, BlobStore } from "./port.ts";

export type StoreUnderTest = {
  readonly store: BlobStore;
  /** A file in its workshop. */
  makeFile(name: string, content: Uint8Array): Promise<string>;
  /** Whether a file is there. */
  isFile(path: string): Promise<boolean>;
  read(path: string): Promise<Uint8Array>;
  close(): Promise<void>;
};

const signal = new AbortController().signal;
const failsWith =
  (code: ErrorCode) =>
  (error: unknown): boolean =>
    codeOf(error) === code;

export function refTo(content: Uint8Array): BlobRef {
  const digest: Digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
  return { digest, sizeBytes: bytes(content.length) };
}

export async function* inChunks(content: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

const hello = Buffer.from("hello ".repeat(1000));

export function blobStoreConformance(name: string, make: () => Promise<StoreUnderTest>): void {
  test(`${name}: what was put is there under its digest, and is read as it was`, async () => {
    await using under = closing(await make());
    const { store } = under;
    const blob = await store.put(inChunks(hello), {}, signal);
    assert.deepEqual(blob, refTo(hello));
    assert.ok(store.has(blob.digest));
    assert.deepEqual(store.list(), [blob]);
    assert.deepEqual(Buffer.from(await under.read(store.path(blob.digest))), hello);
    assert.deepEqual(await store.put(inChunks(hello), blob, signal), blob);
    assert.equal(store.list().length, 1);
  });

  test(`${name}: all that is brought is told of, also what was here already`, async () => {
    await using under = closing(await make());
    const { store } = under;
    const told: Digest[] = [];
    store.onTaken((digest) => void told.push(digest));
    const { digest } = await store.put(inChunks(hello), {}, signal);
    await store.put(inChunks(hello), refTo(hello), signal);
    await store.adopt(await under.makeFile("part", hello), signal);
    assert.deepEqual(told, [digest, digest, digest]);
  });

  test(`${name}: content that is not what was expected is refused, and nothing of it stays`, async () => {
    await using under = closing(await make());
    const { store } = under;
    const other = refTo(Buffer.from("other"));
    const wrong: Partial<BlobRef>[] = [
      { digest: other.digest },
      { sizeBytes: bytes(hello.length - 1) },
      { sizeBytes: bytes(hello.length + 1) },
    ];
    for (const expected of wrong)
      await assert.rejects(store.put(inChunks(hello), expected, signal), failsWith("bad_input"));
    assert.deepEqual(store.list(), []);
    assert.throws(() => store.path(other.digest), failsWith("not_found"));
  });

  test(`${name}: a file of the workshop is taken over, and gone from there`, async () => {
    await using under = closing(await make());
    const file = await under.makeFile("part", hello);
    assert.deepEqual(await under.store.adopt(file, signal), refTo(hello));
    assert.equal(await under.isFile(file), false);
    assert.deepEqual(Buffer.from(await under.read(under.store.path(refTo(hello).digest))), hello);
    await assert.rejects(under.store.adopt(file, signal));
  });

  test(`${name}: a file that was checked is taken over under the digest it was checked for`, async () => {
    await using under = closing(await make());
    const { store } = under;
    const blob = refTo(hello);
    const told: Digest[] = [];
    store.onTaken((digest) => void told.push(digest));
    for (const part of ["first", "again"]) {
      const file = await under.makeFile(part, hello);
      assert.deepEqual(await store.settle(file, blob), blob);
      assert.equal(await under.isFile(file), false);
    }
    assert.deepEqual(store.list(), [blob]);
    assert.deepEqual(told, [blob.digest, blob.digest]);
    assert.deepEqual(Buffer.from(await under.read(store.path(blob.digest))), hello);
  });

  test(`${name}: what was removed is gone, and removing it again changes nothing`, async () => {
    await using under = closing(await make());
    const { digest } = await under.store.put(inChunks(hello), {}, signal);
    await under.store.remove(digest, signal);
    await under.store.remove(digest, signal);
    assert.equal(under.store.has(digest), false);
    assert.throws(() => under.store.path(digest), failsWith("not_found"));
  });

  test(`${name}: a put that is called off leaves nothing`, async () => {
    await using under = closing(await make());
    const stop = new AbortController();
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      yield hello;
      stop.abort(new Error("enough"));
      yield hello;
    };
    await assert.rejects(under.store.put(endless(), {}, stop.signal), /enough/);
    assert.deepEqual(under.store.list(), []);
  });

  test(`${name}: nothing at all is content, too`, async () => {
    await using under = closing(await make());
    const nothing = new Uint8Array(0);
    assert.deepEqual(await under.store.put(inChunks(nothing), refTo(nothing), signal), refTo(nothing));
  });
}

export type HostUnderTest = { readonly store: BlobStore; readonly exchange: BlobExchange };

/** `make` gives hosts that reach each other. */
export function blobExchangeConformance(
  name: string,
  make: (count: number) => Promise<{ hosts: readonly HostUnderTest[]; close(): Promise<void> }>,
): void {
  const peer = (host: HostUnderTest): BlobPeer => ({
    address: ipv4Address("127.0.0.1"),
    port: host.exchange.port,
  });
  const three = async () => {
    const cloud = await make(3);
    const { hosts } = cloud;
    const [a, b, c] = hosts;
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    for (const { exchange } of hosts) exchange.useToken("secret");
    return closing({ a, b, c, close: () => cloud.close() });
  };

  test(`${name}: a blob is fetched from whoever has it, and progress ends at its size`, async () => {
    await using hosts = await three();
    const blob = await hosts.b.store.put(inChunks(hello), {}, signal);
    const told: number[] = [];
    await hosts.a.exchange.fetch(
      blob,
      [peer(hosts.c), peer(hosts.b)],
      ({ doneBytes, totalBytes }) => {
        told.push(doneBytes);
        assert.equal(totalBytes, blob.sizeBytes);
      },
      signal,
    );
    assert.ok(hosts.a.store.has(blob.digest));
    assert.equal(told.at(-1), blob.sizeBytes);
    assert.equal(await hosts.a.exchange.fetch(blob, [], () => {}, signal), 0);
  });

  test(`${name}: what nobody has, and whom nobody reaches, is told`, async () => {
    await using hosts = await three();
    const blob = refTo(hello);
    const fetch = (from: readonly BlobPeer[]): Promise<number> =>
      hosts.a.exchange.fetch(blob, from, () => {}, signal);
    await assert.rejects(fetch([]), failsWith("unavailable"));
    await assert.rejects(fetch([peer(hosts.b)]), failsWith("unavailable"));
    const gone = peer(hosts.b);
    await hosts.b.exchange.close();
    await assert.rejects(fetch([gone]), failsWith("unavailable"));
    await assert.rejects(hosts.a.exchange.push(blob.digest, peer(hosts.c), signal), failsWith("not_found"));
  });

  test(`${name}: a pushed blob is there when the push is done`, async () => {
    await using hosts = await three();
    const blob = await hosts.a.store.put(inChunks(hello), {}, signal);
    assert.equal(await hosts.a.exchange.push(blob.digest, peer(hosts.c), signal), hello.length);
    assert.deepEqual(hosts.c.store.list(), [blob]);
    const told: Digest[] = [];
    hosts.c.store.onTaken((digest) => void told.push(digest));
    assert.equal(await hosts.a.exchange.push(blob.digest, peer(hosts.c), signal), 0);
    assert.deepEqual(told, [blob.digest]);
  });

  test(`${name}: who does not know the token gets nothing, and brings nothing`, async () => {
    await using hosts = await three();
    const blob = await hosts.b.store.put(inChunks(hello), {}, signal);
    hosts.a.exchange.useToken("guess");
    await assert.rejects(hosts.a.exchange.fetch(blob, [peer(hosts.b)], () => {}, signal));
    const mine = await hosts.a.store.put(inChunks(Buffer.from("mine")), {}, signal);
    await assert.rejects(hosts.a.exchange.push(mine.digest, peer(hosts.b), signal));
    assert.deepEqual(hosts.b.store.list(), [blob]);
  });

  test(`${name}: two that want the same blob at once both get it`, async () => {
    await using hosts = await three();
    const blob = await hosts.b.store.put(inChunks(hello), {}, signal);
    const fetch = (): Promise<number> => hosts.a.exchange.fetch(blob, [peer(hosts.b)], () => {}, signal);
    const brought = await Promise.all([fetch(), fetch(), fetch()]);
    assert.deepEqual(
      brought.toSorted((a, b) => a - b),
      [0, 0, hello.length],
    );
    assert.deepEqual(hosts.a.store.list(), [blob]);
  });
}

function closing<Under extends { close(): Promise<void> }>(under: Under): Under & AsyncDisposable {
  return Object.assign(under, { [Symbol.asyncDispose]: () => under.close() });
}
