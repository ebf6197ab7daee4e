import assert from "node:assert/strict";
import { chmod, link, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { codeOf } from "#base/errors.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { Digest } from "#model/image.ts";
import { blobStoreConformance, inChunks, refTo } from "./conformance.ts";
import { DiskBlobStore } from "./disk-store.ts";
import type { DiskStoreOptions } from "./disk-store.ts";

const signal = new AbortController().signal;

async function openIn(directory: string, options: Partial<DiskStoreOptions> = {}): Promise<DiskBlobStore> {
  const store = new DiskBlobStore({ directory, log: silentLog, reserveBytes: 0, ...options });
  await store.recover(signal);
  return store;
}

async function freshDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "consort-blobs-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

blobStoreConformance("on disk", async () => {
  const directory = await mkdtemp(join(tmpdir(), "consort-blobs-"));
  const store = await openIn(directory);
  return {
    store,
    makeFile: async (name, content) => {
      const path = join(store.workshop, name);
      await writeFile(path, content);
      return path;
    },
    isFile: (path) =>
      stat(path).then(
        () => true,
        () => false,
      ),
    read: (path) => readFile(path),
    close: () => rm(directory, { recursive: true, force: true }),
  };
});

test("a store opened again has what it had, and nothing half written", async (t) => {
  const directory = await freshDirectory(t);
  const blob = await (await openIn(directory)).put(inChunks(Buffer.from("kept")), {}, signal);
  await writeFile(join(directory, "incoming", "half"), "ha");
  const again = await openIn(directory);
  assert.deepEqual(again.list(), [blob]);
  assert.deepEqual(await readdir(join(directory, "incoming")), []);
  assert.equal((await stat(again.path(blob.digest))).mode & 0o777, 0o444);
});

test("a blob whose file was changed is gone when the store is opened again", async (t) => {
  const directory = await freshDirectory(t);
  const store = await openIn(directory);
  const blob = await store.put(inChunks(Buffer.from("original")), {}, signal);
  const path = store.path(blob.digest);
  await chmod(path, 0o644);
  await writeFile(path, "tampered");
  const again = await openIn(directory);
  assert.equal(again.has(blob.digest), false);
  assert.deepEqual(await readdir(join(directory, "blobs")), []);
  assert.deepEqual(await readdir(join(directory, "stamps")), []);
});

test("a blob whose check was not recorded before a death is checked when the store is opened again", async (t) => {
  const directory = await freshDirectory(t);
  const blob = await (await openIn(directory)).put(inChunks(Buffer.from("kept")), {}, signal);
  for (const file of await readdir(join(directory, "stamps"))) await rm(join(directory, "stamps", file));
  assert.deepEqual((await openIn(directory)).list(), [blob]);
  assert.equal((await readdir(join(directory, "stamps"))).length, 1);
});

test("what has no digest for a name is cleared away from among the blobs", async (t) => {
  const directory = await freshDirectory(t);
  await openIn(directory);
  await symlink("/etc/passwd", join(directory, "blobs", "a".repeat(64)));
  await writeFile(join(directory, "blobs", "notes"), "");
  assert.deepEqual((await openIn(directory)).list(), []);
  assert.deepEqual(await readdir(join(directory, "blobs")), []);
});

test("zeros take no space", async (t) => {
  const store = await openIn(await freshDirectory(t));
  const content = Buffer.alloc(8 * 1024 * 1024);
  content.write("end", content.length - 3);
  const blob = await store.put(inChunks(content, 65_536), {}, signal);
  const { blocks, size } = await stat(store.path(blob.digest));
  assert.equal(size, content.length);
  assert.ok(blocks * 512 < 64 * 1024, `${blocks} blocks of 512 bytes`);
  assert.deepEqual(await readFile(store.path(blob.digest)), content);
});

test("content larger than any may be is refused as soon as it shows", async (t) => {
  const store = await openIn(await freshDirectory(t), { blobBytesMax: 10_000 });
  let asked = 0;
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) {
      asked += 1;
      yield Buffer.alloc(1000);
    }
  };
  await assert.rejects(store.put(endless(), {}, signal), (error) => codeOf(error) === "bad_input");
  assert.ok(asked <= 12, `${asked} chunks were taken`);
});

test("a disk that would become too full takes nothing", async (t) => {
  const store = await openIn(await freshDirectory(t), { reserveBytes: 2 ** 60 });
  await assert.rejects(
    store.put(inChunks(Buffer.from("more")), {}, signal),
    (error) => codeOf(error) === "limit_exceeded",
  );
});

test("a put from a source that says nothing ends when it is called off", async (t) => {
  const store = await openIn(await freshDirectory(t));
  const stop = new AbortController();
  const silent: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        stop.abort(new Error("called off"));
        return new Promise(() => {});
      },
    }),
  };
  await assert.rejects(store.put(silent, {}, stop.signal), /called off/);
});

test("neither a link nor a file with a second name is adopted", async (t) => {
  const store = await openIn(await freshDirectory(t));
  const at = (name: string): string => join(store.workshop, name);
  await writeFile(at("twice"), "content");
  await link(at("twice"), at("other-name"));
  await symlink("/etc/passwd", at("link"));
  for (const name of ["twice", "link"])
    await assert.rejects(store.adopt(at(name), signal), (error) => codeOf(error) === "bad_input");
});

test("no text but a digest ever becomes a path", async (t) => {
  const store = await openIn(await freshDirectory(t));
  const hostile = "sha256:../../etc/passwd" as Digest;
  assert.throws(
    () => store.path(hostile),
    (error) => codeOf(error) === "not_found",
  );
  await store.remove(hostile, signal);
  await assert.rejects(
    store.put(inChunks(Buffer.from("x")), { digest: hostile }, signal),
    (error) => codeOf(error) === "bad_input",
  );
  assert.deepEqual(
    (await store.put(inChunks(Buffer.from("x")), {}, signal)).digest,
    refTo(Buffer.from("x")).digest,
  );
});
