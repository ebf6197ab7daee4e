import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import fc from "fast-check";
import { bytes } from "#base/units.ts";
import type { CheckpointPart } from "#model/checkpoint.ts";
import type { Digest } from "#model/image.ts";
import { MemoryPartWriter, readMemoryPart } from "./memory-part.ts";
import { foldedMemory } from "./merge.ts";
import { pageBytes } from "./ram-stream.ts";

const pagesMax = 24;
const signal = new AbortController().signal;

/** Of a page: nothing, or a byte for each of its eighths, so that some pages are packed and some are not. */
type Content = readonly number[] | undefined;
const anyContent: fc.Arbitrary<Content> = fc.option(fc.array(fc.nat(255), { minLength: 8, maxLength: 8 }), {
  nil: undefined,
});
const anyPart = fc.dictionary(fc.integer({ min: 0, max: pagesMax - 1 }).map(String), anyContent);

const pageOf = (content: Content): Buffer =>
  Buffer.concat((content ?? [0]).map((byte) => Buffer.alloc(pageBytes / (content?.length ?? 1), byte)));

function written(pages: Readonly<Record<string, Content>>, isAll: boolean): Buffer {
  const chunks: Buffer[] = [];
  const part = new MemoryPartWriter((some) => chunks.push(Buffer.from(some)));
  part.head({ blocks: [{ name: "pc.ram", pages: pagesMax }], prelude: Buffer.alloc(0), isAll });
  for (const [page, content] of Object.entries(pages)) {
    if (content === undefined) part.zero(0, Number(page));
    else part.page(0, Number(page), pageOf(content));
  }
  part.devices(Buffer.from(`devices ${String(isAll)}`));
  part.end();
  return Buffer.concat(chunks);
}

void test("folded memory has each page as the newest part has it, and the devices of the newest", async () => {
  const directory = mkdtempSync(join(tmpdir(), "consort-merge-"));
  const blobs = { path: (digest: Digest) => join(directory, digest) };
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(anyPart, { minLength: 1, maxLength: 4 }), async (parts) => {
        const kept = parts.map((pages, age): CheckpointPart => {
          const content = written(pages, age === parts.length - 1);
          const digest = String(age) as Digest;
          writeFileSync(blobs.path(digest), content);
          const size = bytes(content.length);
          return { digest, sizeBytes: size, compression: "none", contentBytes: size };
        });
        const wanted: Record<string, Buffer> = {};
        for (const pages of parts.toReversed()) {
          for (const [page, content] of Object.entries(pages)) wanted[page] = pageOf(content);
        }
        const found: Record<string, Buffer> = {};
        const devices: string[] = [];
        for await (const records of readMemoryPart(foldedMemory(kept, blobs, signal))) {
          for (const record of records) {
            if (record.kind === "page") found[record.page] = Buffer.from(record.data);
            else if (record.kind === "devices") devices.push(record.bytes.toString());
            else if (record.kind === "zeros") {
              for (let at = 0; at < record.count; at += 1) found[record.first + at] = Buffer.alloc(pageBytes);
            } else assert.equal(record.isAll, true);
          }
        }
        assert.deepEqual(found, wanted);
        assert.deepEqual(devices, [`devices ${String(parts.length === 1)}`]);
      }),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
