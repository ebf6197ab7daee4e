import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { codeOf } from "#base/errors.ts";
import { bytes } from "#base/units.ts";
import { DiskBlobStore } from "#drivers/blob/disk-store.ts";
import { Uploads } from "#drivers/image/uploads.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { BlobRef, Digest } from "#model/image.ts";

const signal = new AbortController().signal;
const mebibyte = 1024 * 1024;
const sizeBytesMax = 2 * 1024 ** 3;

const emptyDirectory = (t: TestContext): string => {
  const directory = mkdtempSync(join(tmpdir(), "consort-uploads-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
};

async function openStore(directory: string): Promise<DiskBlobStore> {
  const store = new DiskBlobStore({ directory, log: silentLog, reserveBytes: 0, blobBytesMax: sizeBytesMax });
  await store.recover(signal);
  return store;
}

const digestOf = (content: Uint8Array): Digest =>
  `sha256:${createHash("sha256").update(content).digest("hex")}`;

const refTo = (content: Uint8Array): BlobRef => ({
  digest: digestOf(content),
  sizeBytes: bytes(content.length),
});

/** As a client does: from where it is told, until all of it is there. */
async function send(uploads: Uploads, content: Uint8Array, partBytes: number): Promise<number> {
  const blob = refTo(content);
  let taken = 0;
  for (let haveBytes = 0; haveBytes < content.length;) {
    const data = content.subarray(haveBytes, haveBytes + partBytes);
    const now = await uploads.append({ blob, fromByte: haveBytes, data, zeroBytes: 0 }, signal);
    if (now === haveBytes + data.length) taken += data.length;
    haveBytes = now;
  }
  return taken;
}

test("an upload takes parts in order only, goes on where it was, and is checked", async (t) => {
  const store = await openStore(emptyDirectory(t));
  const uploads = new Uploads(store, sizeBytesMax);
  const content = randomBytes(10_000);
  const blob = refTo(content);
  const part = (fromByte: number, data: Uint8Array, of = blob): Promise<number> =>
    uploads.append({ blob: of, fromByte, data, zeroBytes: 0 }, signal);
  assert.equal(await part(0, content.subarray(0, 0)), 0);
  assert.equal(await part(0, content.subarray(0, 4000)), 4000);
  assert.equal(await part(5000, content.subarray(5000, 6000)), 4000);
  assert.equal(await part(0, content.subarray(0, 4000)), 4000);
  assert.equal(await part(4000, randomBytes(50_000)), 4000);
  assert.equal(store.has(blob.digest), false);
  assert.equal(await part(4000, content.subarray(4000)), 10_000);
  assert.equal(store.has(blob.digest), true);
  assert.equal(await part(0, content.subarray(0, 0)), 10_000);

  const lie: BlobRef = { digest: digestOf(Buffer.from("other")), sizeBytes: bytes(100) };
  await assert.rejects(part(0, Buffer.alloc(100), lie), { code: "bad_input" });
  assert.equal(await part(0, Buffer.alloc(0), lie), 0);
  await assert.rejects(part(0, Buffer.alloc(0), { ...lie, sizeBytes: bytes(sizeBytesMax + 1) }), {
    code: "bad_input",
  });
});

test("several that upload the same content at once share the work, and none spoils it", async (t) => {
  const store = await openStore(emptyDirectory(t));
  const uploads = new Uploads(store, sizeBytesMax);
  const content = randomBytes(3 * mebibyte + 17);
  const taken = await Promise.all([70_001, 65_536, 100_003].map((size) => send(uploads, content, size)));
  assert.deepEqual(store.list(), [refTo(content)]);
  assert.deepEqual(readFileSync(store.path(digestOf(content))), content);
  assert.ok(taken.reduce((sum, each) => sum + each) >= content.length);
  assert.deepEqual(readdirSync(store.workshop), []);
});

test("who claims another size for the same content neither goes on with the other's nor holds it up", async (t) => {
  const uploads = new Uploads(await openStore(emptyDirectory(t)), sizeBytesMax);
  const content = randomBytes(50_000);
  const claim: BlobRef = { digest: digestOf(content), sizeBytes: bytes(1_000_000) };
  await uploads.append({ blob: claim, fromByte: 0, data: randomBytes(60_000), zeroBytes: 0 }, signal);
  assert.equal(await send(uploads, content, 20_000), content.length);
});

test("an upload goes on after the manager was killed, and what it left is checked as a whole", async (t) => {
  const directory = emptyDirectory(t);
  const content = randomBytes(300_000);
  const blob = refTo(content);
  const first = new Uploads(await openStore(directory), sizeBytesMax);
  await first.append({ blob, fromByte: 0, data: content.subarray(0, 200_000), zeroBytes: 0 }, signal);
  const store = await openStore(directory);
  assert.equal(await send(new Uploads(store, sizeBytesMax), content, 70_000), 100_000);
  assert.ok(store.has(blob.digest));

  const other = randomBytes(300_000);
  const again = new Uploads(store, sizeBytesMax);
  await again.append(
    { blob: refTo(other), fromByte: 0, data: other.subarray(0, 200_000), zeroBytes: 0 },
    signal,
  );
  const [name = ""] = readdirSync(store.workshop);
  writeFileSync(join(store.workshop, name), randomBytes(200_000));
  await assert.rejects(send(new Uploads(store, sizeBytesMax), other, 70_000), { code: "bad_input" });
  assert.deepEqual(readdirSync(store.workshop), []);
});

test("a huge disk with little on it takes little space, whether its zeros are sent or only told of", async (t) => {
  const store = await openStore(emptyDirectory(t));
  const uploads = new Uploads(store, sizeBytesMax);
  const [head, tail, zeroBytes] = [randomBytes(5000), randomBytes(3000), 512 * mebibyte];
  const hash = createHash("sha256").update(head);
  for (let left = zeroBytes; left > 0; left -= mebibyte) hash.update(Buffer.alloc(mebibyte));
  const digest: Digest = `sha256:${hash.update(tail).digest("hex")}`;
  const blob: BlobRef = { digest, sizeBytes: bytes(head.length + zeroBytes + tail.length) };
  const half = zeroBytes / 2;
  await uploads.append({ blob, fromByte: 0, data: head, zeroBytes: half }, signal);
  const sent = Buffer.alloc(4 * mebibyte);
  let haveBytes = head.length + half;
  for (let left = half; left > 0; left -= sent.length)
    haveBytes = await uploads.append({ blob, fromByte: haveBytes, data: sent, zeroBytes: 0 }, signal);
  await uploads.append({ blob, fromByte: haveBytes, data: tail, zeroBytes: 0 }, signal);
  const { size, blocks } = statSync(store.path(digest));
  assert.equal(size, blob.sizeBytes);
  assert.ok(blocks * 512 < mebibyte, `${blocks * 512} bytes on disk`);
});

for (const { name, roomBytes } of [
  { name: "is told in time", roomBytes: undefined },
  { name: "comes while it is written", roomBytes: 2 ** 40 },
]) {
  test(`a full disk that ${name} ends an upload with a plain word, and gets its space back`, async (t) => {
    const directory = emptyDirectory(t);
    const subprocess = systemSubprocess();
    await subprocess.check("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", directory], signal);
    try {
      const store = await openStore(directory);
      if (roomBytes !== undefined) store.roomBytes = async () => roomBytes;
      const uploads = new Uploads(store, sizeBytesMax);
      const isFull = (error: unknown): boolean =>
        codeOf(error) === "limit_exceeded" && /disk is too full/.test(String(error));
      await assert.rejects(send(uploads, randomBytes(20 * mebibyte), mebibyte), isFull);
      assert.deepEqual(readdirSync(store.workshop), []);
      const small = randomBytes(3 * mebibyte);
      assert.equal(await send(uploads, small, mebibyte), small.length);
    } finally {
      await subprocess.check("umount", [directory], signal);
    }
  });
}
