import assert from "node:assert/strict";
import { test } from "node:test";
import { treeArchive } from "./archive-tree.ts";
import { cpioArchive } from "./cpio.ts";

const file = (path: string, text: string): Parameters<typeof cpioArchive>[0][number] => ({
  path,
  kind: "file",
  mode: 0o640,
  content: Buffer.from(text),
});

/** Header fields of the first member, after the magic number. */
function fieldsOf(archive: Uint8Array): number[] {
  const header = Buffer.from(archive).toString("latin1", 6, 110);
  return (header.match(/.{8}/g) ?? []).map((field) => Number.parseInt(field, 16));
}

test("a member has its mode, size and name, owned by root at no time", () => {
  const [inode, mode, user, group, links, time, size] = fieldsOf(cpioArchive([file("init", "hello")]));
  assert.deepEqual([inode, mode, user, group, links, time, size], [1, 0o100640, 0, 0, 1, 0, 5]);
});

test("every name and content begins at a multiple of four", () => {
  for (const length of [0, 1, 2, 3, 4, 5]) {
    const archive = Buffer.from(cpioArchive([file("a".repeat(length + 1), "b".repeat(length))]));
    assert.equal(archive.length % 4, 0);
    const trailer = archive.indexOf("070701", 6);
    assert.equal(trailer % 4, 0, `trailer at ${trailer}`);
  }
});

test("directories come before what is in them, whatever the order was", () => {
  const archive = Buffer.from(
    treeArchive([file("usr/lib/b", ""), file("a", "")], [["tmp", 0o1777]]),
  ).toString("latin1");
  const places = ["tmp\0", "usr\0", "usr/lib\0", "a\0", "usr/lib/b\0"].map((name) => archive.indexOf(name));
  assert.ok(places.every((place) => place > 0));
  assert.ok((places[1] ?? 0) < (places[2] ?? 0) && (places[2] ?? 0) < (places[4] ?? 0));
});

test("the same tree gives the same bytes, in whatever order it is told", () => {
  const one = treeArchive([file("b/x", "1"), file("a/y", "2")], [["c"]]);
  const other = treeArchive([file("a/y", "2"), file("b/x", "1")], [["c"]]);
  assert.deepEqual(one, other);
});
