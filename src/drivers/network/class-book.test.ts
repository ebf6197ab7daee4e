import assert from "node:assert/strict";
import { test } from "node:test";
import { ClassBook } from "./class-book.ts";
import { minorMin } from "./class-numbers.ts";
import { classTree } from "./class-tree.ts";
import { classOf } from "./kernel/queueing.ts";
import type { KernelRequest } from "./kernel/netlink-codec.ts";

const major = 0xc057;
const newClass = 40;
const pairs = ["a . b", "c . d", "e . f"];
const numbers = new Map(pairs.map((pair, at) => [pair, minorMin + at]));
const treeOf = (...mbit: readonly number[]) =>
  classTree(
    { paceBps: 99e6, bestEffortBps: 1e6 },
    [],
    mbit.map((each, at) => ({ pair: pairs[at] ?? "", rateBps: each * 1e6, priority: 4 })),
    numbers,
  );

/** A kernel that remembers rates by link and class, and refuses to give one class more than so much. */
class PretendedKernel {
  readonly rates = new Map<string, number>();
  /** Sums of the pairs' rates, after each message. */
  readonly sums: number[] = [];
  refused: { readonly minor: number; readonly aboveBytes: number } | undefined;

  do(requests: readonly KernelRequest[]): [] {
    let failure: Error | undefined;
    for (const request of requests) {
      if (request.type !== newClass) continue;
      const shown = classOf({ type: request.type, flags: 0, sequence: 1, body: request.body });
      assert.ok(shown);
      const minor = shown.handle & 0xffff;
      if (minor === this.refused?.minor && shown.class.rateBytes > this.refused.aboveBytes) {
        failure ??= new Error("no room");
        continue;
      }
      this.rates.set(`${shown.index}:${minor}`, shown.class.rateBytes);
      this.sums.push(
        [1, 2].reduce((sum, index) => sum + this.pairRates(index).reduce((a, b) => a + b, 0), 0),
      );
    }
    if (failure !== undefined) throw failure;
    return [];
  }

  pairRates(index: number): readonly number[] {
    return pairs.map((_pair, at) => this.rates.get(`${index}:${minorMin + at}`) ?? 0);
  }
}

const mbit = (...rates: readonly number[]): readonly number[] => rates.map((each) => (each * 1e6) / 8);

test("what moves from one class to another is taken before it is given, also between links", () => {
  const kernel = new PretendedKernel();
  const book = new ClassBook(kernel, major, new Map());
  book.change([1, 2].map((index) => ({ index, wanted: treeOf(10, 20, 5) })));
  kernel.sums.length = 0;
  book.change([
    { index: 1, wanted: treeOf(15, 20, 5) },
    { index: 2, wanted: treeOf(10, 15, 5) },
  ]);
  assert.deepEqual(kernel.pairRates(1), mbit(15, 20, 5));
  assert.deepEqual(kernel.pairRates(2), mbit(10, 15, 5));
  const [most] = mbit(70);
  assert.ok(
    kernel.sums.every((sum) => sum <= (most ?? 0)),
    String(kernel.sums),
  );
});

test("when the kernel refuses one rate, all have what they had, and the next change starts from there", () => {
  const kernel = new PretendedKernel();
  const book = new ClassBook(kernel, major, new Map());
  book.change([{ index: 1, wanted: treeOf(10, 20, 5) }]);
  kernel.refused = { minor: minorMin, aboveBytes: 12e6 / 8 };
  assert.throws(() => book.change([{ index: 1, wanted: treeOf(14, 12, 9) }]), /no room/);
  assert.deepEqual(kernel.pairRates(1), mbit(10, 20, 5));
  kernel.refused = undefined;
  book.change([{ index: 1, wanted: treeOf(14, 12, 9) }]);
  assert.deepEqual(kernel.pairRates(1), mbit(14, 12, 9));
});

test("what is as wanted is not said again", () => {
  const kernel = new PretendedKernel();
  const book = new ClassBook(kernel, major, new Map());
  book.change([{ index: 1, wanted: treeOf(10, 20, 5) }]);
  kernel.sums.length = 0;
  assert.deepEqual(book.change([{ index: 1, wanted: treeOf(10, 20, 5) }]), []);
  assert.equal(kernel.sums.length, 0);
});
