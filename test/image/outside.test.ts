import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { codeOf } from "#base/errors.ts";
import { DiskBlobStore } from "#drivers/blob/disk-store.ts";
import { outsideImages } from "#drivers/image/outside-images.ts";
import type { ImageSource } from "#drivers/image/port.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import type { Digest } from "#model/image.ts";

const signal = new AbortController().signal;
const subprocess = systemSubprocess();

type Place = { images: ImageSource; store: DiskBlobStore; files: string };

async function place(t: TestContext, blobBytesMax = 64 * 1024 * 1024): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), "consort-outside-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const files = join(directory, "files");
  mkdirSync(files);
  const store = new DiskBlobStore({
    directory: join(directory, "blobs"),
    log: silentLog,
    reserveBytes: 0,
    blobBytesMax,
  });
  await store.recover(signal);
  const clock = systemClock();
  const transfer = openTransfer({ clock, roots: [files] });
  const images = outsideImages({ store, transfer, subprocess, clock, sizeBytesMax: blobBytesMax });
  return { images, store, files };
}

const isBadInput = (error: unknown): boolean => codeOf(error) === "bad_input";
const digestOf = (content: Uint8Array): Digest =>
  `sha256:${createHash("sha256").update(content).digest("hex")}`;

test("content is brought as it is, and unpacked where its address says so", async (t) => {
  const { images, files } = await place(t);
  const content = randomBytes(100_000);
  writeFileSync(join(files, "a.raw"), content);
  writeFileSync(join(files, "b.raw.gz"), gzipSync(content));
  writeFileSync(join(files, "c.raw.zst"), zstdCompressSync(content));
  for (const name of ["a.raw", "b.raw.gz", "c.raw.zst"]) {
    const blob = await images.bring({ url: `file://${files}/${name}` }, () => {}, signal);
    assert.equal(blob.digest, digestOf(content), name);
  }
  const sha256 = digestOf(content).slice("sha256:".length);
  await assert.rejects(
    images.bring({ url: `file://${files}/b.raw.gz`, sha256 }, () => {}, signal),
    isBadInput,
    "the checksum is of what is at the address",
  );
});

test("zeros that come with a disk take no space here", async (t) => {
  const { images, store, files } = await place(t);
  const sizeBytes = 32 * 1024 ** 2;
  const content = Buffer.concat([randomBytes(4096), Buffer.alloc(sizeBytes - 8192), randomBytes(4096)]);
  writeFileSync(join(files, "empty.raw"), content);
  writeFileSync(join(files, "empty.raw.gz"), gzipSync(content));
  for (const name of ["empty.raw", "empty.raw.gz"]) {
    const { digest } = await images.bring({ url: `file://${files}/${name}` }, () => {}, signal);
    assert.equal(digest, digestOf(content));
    const { size, blocks } = statSync(store.path(digest));
    assert.equal(size, sizeBytes);
    assert.ok(blocks * 512 < 1024 ** 2, `${name}: ${blocks * 512} bytes on disk`);
    await store.remove(digest, signal);
  }
});

test("what unpacks to more than any content may have is left, and so is what is damaged", async (t) => {
  const { images, store, files } = await place(t, 1024 * 1024);
  writeFileSync(join(files, "bomb.raw.gz"), gzipSync(Buffer.alloc(50 * 1024 * 1024)));
  writeFileSync(join(files, "bomb.raw.zst"), zstdCompressSync(Buffer.alloc(50 * 1024 * 1024)));
  writeFileSync(join(files, "cut.raw.gz"), gzipSync(randomBytes(1000)).subarray(0, 500));
  writeFileSync(join(files, "no.raw.zst"), "nothing of the kind");
  for (const name of readdirSync(files))
    await assert.rejects(
      images.bring({ url: `file://${files}/${name}` }, () => {}, signal),
      isBadInput,
      name,
    );
  assert.deepEqual(store.list(), []);
  assert.deepEqual(readdirSync(store.workshop), []);
});

test("disks are told as QEMU sees them, and hostile ones are refused", async (t) => {
  const { images, store, files } = await place(t);
  const at = (name: string): string => join(files, name);
  const create = (...args: string[]): Promise<string> =>
    subprocess.check("qemu-img", ["create", ...args], signal);
  const probe = async (name: string): Promise<unknown> => {
    const { digest } = await images.bring({ url: `file://${files}/${name}` }, () => {}, signal);
    return images.probe(digest, signal);
  };
  await create("-f", "qcow2", at("plain.qcow2"), "3M");
  await create("-f", "qcow2", "-o", "compat=0.10", at("old.qcow2"), "3M");
  await create("-f", "raw", at("plain.raw"), "3M");
  assert.deepEqual(await probe("plain.qcow2"), { format: "qcow2", virtualBytes: 3 * 1024 ** 2 });
  assert.deepEqual(await probe("old.qcow2"), { format: "qcow2", virtualBytes: 3 * 1024 ** 2 });
  assert.deepEqual(await probe("plain.raw"), { format: "raw", virtualBytes: 3 * 1024 ** 2 });

  await create("-f", "qcow2", at("marked.qcow2"), "64k");
  // Each of these signs is told in six.
  for (let number = 100; number < 150; number += 1)
    await subprocess.check(
      "qemu-img",
      ["bitmap", "--add", at("marked.qcow2"), `${number}${"\u0001".repeat(1000)}`],
      signal,
    );
  await assert.rejects(probe("marked.qcow2"), /snapshots, bitmaps/);

  writeFileSync(at("secret"), "the host's own");
  await create("-f", "qcow2", "-u", "-b", at("secret"), "-F", "raw", at("backing.qcow2"), "1M");
  await create("-f", "qcow2", "-o", `data_file=${at("data")}`, at("data.qcow2"), "1M");
  await create("-f", "vmdk", at("disk.vmdk"), "1M");
  await create("-f", "qcow2", at("huge.qcow2"), "60T");
  const nonsense = readFileSync(at("plain.qcow2"));
  nonsense.fill(0xff, 40, 48);
  writeFileSync(at("nonsense.qcow2"), nonsense);
  for (const name of ["backing.qcow2", "data.qcow2", "disk.vmdk", "huge.qcow2", "nonsense.qcow2"])
    await assert.rejects(probe(name), isBadInput, name);
  assert.ok(store.list().length > 0);
});

test("a directory's images are found by their descriptions and by their disks", async (t) => {
  const { images, files } = await place(t);
  const url = (name: string): string => `file://${files}/${name}`;
  const tiny = {
    name: "tiny",
    boot: { kind: "kernel", kernel: { url: "vmlinuz" } },
    disk: { url: "tiny.qcow2" },
  };
  writeFileSync(join(files, "tiny.image.json"), JSON.stringify(tiny));
  for (const name of ["tiny.qcow2", "Debian 12.raw.gz", "notes.txt", "..qcow2"])
    writeFileSync(join(files, name), "");
  const found = await images.discover({ url: url("") }, signal);
  assert.deepEqual(
    found.map(({ name, disk }) => [name, disk]),
    [
      ["tiny", { kind: "url", url: url("tiny.qcow2") }],
      ["debian-12", { kind: "url", url: url("Debian%2012.raw.gz") }],
    ],
  );
  writeFileSync(
    join(files, "bad.image.json"),
    JSON.stringify({ ...tiny, disk: { url: "../../etc/passwd" } }),
  );
  await assert.rejects(images.discover({ url: url("") }, signal), isBadInput);
  writeFileSync(join(files, "bad.image.json"), " ".repeat(100_000));
  await assert.rejects(images.discover({ url: url("") }, signal));
});
