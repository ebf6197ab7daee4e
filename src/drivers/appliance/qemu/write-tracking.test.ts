import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { mebibytes } from "#base/units.ts";
import type { Qmp } from "./vm.ts";
import { ramBytes, tracksWrites } from "./write-tracking.ts";

const signal = new AbortController().signal;

/** A QEMU with so much memory. */
const withMemory = (kvm: boolean, base: number, plugged = 0): Qmp => ({
  execute: (command) =>
    Promise.resolve(
      command === "query-kvm"
        ? { enabled: kvm, present: true }
        : { "base-memory": base, "plugged-memory": plugged },
    ),
  onEvent: () => () => {},
  closed: new AbortController().signal,
  close() {},
});

describe("ramBytes()", () => {
  it("is enough, never made up of whole groups of pages, and stays what it is when it is asked again", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1 << 20 }), (kib) => {
        const ram = ramBytes(kib * 1024);
        assert.ok(ram >= kib * 1024 && ram - kib * 1024 <= mebibytes(1) + 8192);
        assert.notEqual(ram % (256 * 1024), 0);
        assert.equal(ram % 8192, 0);
        assert.equal(ramBytes(ram), ram);
      }),
    );
  });
});

describe("tracksWrites()", () => {
  it("holds for what is accelerated, and else for memory that is looked at page by page, all of it", async () => {
    assert.ok(await tracksWrites(withMemory(true, mebibytes(128)), signal));
    assert.ok(await tracksWrites(withMemory(false, ramBytes(mebibytes(128))), signal));
    assert.ok(!(await tracksWrites(withMemory(false, mebibytes(128)), signal)));
    assert.ok(!(await tracksWrites(withMemory(false, ramBytes(mebibytes(128)), mebibytes(128)), signal)));
  });
});
