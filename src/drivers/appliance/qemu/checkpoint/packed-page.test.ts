import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { PagePacker, packedBytes, unpackedPage } from "./packed-page.ts";
import { pageBytes } from "./ram-stream.ts";

const packer = new PagePacker();

void test("a packed page is the same page again, whichever of its bytes are not zero", () => {
  const bytes = fc.array(fc.tuple(fc.nat(pageBytes - 1), fc.integer({ min: 1, max: 255 })), {
    maxLength: 300,
  });
  fc.assert(
    fc.property(bytes, (some) => {
      const page = Buffer.alloc(pageBytes);
      for (const [at, byte] of some) page[at] = byte;
      const packed = packer.pack(page);
      assert.ok(packed !== undefined);
      assert.equal(packed.count, new Set(some.map(([at]) => at >> 3)).size);
      assert.equal(packed.content.length, packedBytes(packed.count));
      assert.deepEqual(unpackedPage(Buffer.from(packed.content), packed.count), page);
    }),
  );
});

void test("a page of which less than an eighth is zero is not packed", () => {
  const page = Buffer.alloc(pageBytes, 1);
  assert.equal(packer.pack(page), undefined);
  page.fill(0, 0, pageBytes / 8);
  assert.equal(packer.pack(page)?.count, 448);
});

void test("unpackedPage() refuses what does not have as many words as it says", () => {
  const page = Buffer.alloc(pageBytes);
  page[77] = 3;
  const content = Buffer.from(packer.pack(page)?.content ?? []);
  assert.equal(unpackedPage(content, 2), undefined);
  assert.equal(unpackedPage(Buffer.alloc(packedBytes(1)), 1), undefined);
  assert.equal(unpackedPage(Buffer.alloc(packedBytes(1), 255), 1), undefined);
});
