import assert from "node:assert/strict";
import { test } from "node:test";
import { mebibytes } from "#base/units.ts";
import type { MachineRecord } from "./record.ts";
import { specOf } from "./spec-of.ts";

const surroundings = { inside: (file: string) => file, blobFile: () => "/blob", clockKhz: undefined };

/** A machine that uses one processor and may have four. */
function specFor(accel: "kvm" | "tcg", features: readonly string[]): ReturnType<typeof specOf> {
  const boot = { kind: "kernel", kernel: {}, commandLine: "quiet" };
  const vm = { hostname: "db", vcpus: 1, vcpusMax: 4, memoryBytesMax: 0, base: { boot, features } };
  const plan = { memoryBytes: mebibytes(128), interfaces: [], vm };
  return specOf({ plan, machine: "q35", accel } as unknown as MachineRecord, [], surroundings);
}

const processorsOf = ({ vcpus, vcpusMax, boot }: ReturnType<typeof specOf>): unknown => [
  vcpus,
  vcpusMax,
  boot.kind === "kernel" ? boot.commandLine : "",
];

test("an emulated machine has all processors it may ever have, and its guest begins with those it is to use", () => {
  assert.deepEqual(processorsOf(specFor("tcg", ["agent"])), [4, 4, "quiet no_timer_check maxcpus=1"]);
});

test("processors are plugged into an accelerated machine as they are asked for", () => {
  assert.deepEqual(processorsOf(specFor("kvm", ["agent"])), [1, 4, "quiet"]);
});

test("a guest without an agent, which nobody could ask to leave processors alone, has none to leave", () => {
  assert.deepEqual(processorsOf(specFor("tcg", [])), [1, 4, "quiet no_timer_check"]);
});
