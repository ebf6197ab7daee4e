import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { historyCut } from "#drivers/store/history-cut.ts";

const newestFirst = (count: number, bytes: number): { revision: number; bytes: number }[] =>
  Array.from({ length: count }, (_, n) => ({ revision: count - n, bytes }));

describe("historyCut()", () => {
  it("forgets nothing while both limits hold", () => {
    const limits = { revisionsMax: 10, bytesMax: 100 };
    assert.equal(historyCut({ revisions: 10, bytes: 100 }, newestFirst(10, 10), limits), 0);
  });

  it("keeps the newer half when there are too many revisions", () => {
    const limits = { revisionsMax: 10, bytesMax: 1000 };
    assert.equal(historyCut({ revisions: 11, bytes: 11 }, newestFirst(11, 1), limits), 6);
  });

  it("keeps half the bytes when there are too many", () => {
    const limits = { revisionsMax: 100, bytesMax: 100 };
    assert.equal(historyCut({ revisions: 11, bytes: 110 }, newestFirst(11, 10), limits), 6);
  });

  it("never forgets the newest commit, however large", () => {
    const limits = { revisionsMax: 100, bytesMax: 100 };
    const changes = [
      { revision: 2, bytes: 400 },
      { revision: 2, bytes: 400 },
      { revision: 1, bytes: 1 },
    ];
    assert.equal(historyCut({ revisions: 2, bytes: 801 }, changes, limits), 1);
  });
});
