import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, mebibytes } from "#base/units.ts";
import type { Image } from "#model/image.ts";
import type { VmPlan } from "#protocol/host-plan.ts";
import { machineOf } from "./choice.ts";

const digest = `sha256:${"0".repeat(64)}` as const;
const base: Image = {
  name: "tiny",
  role: "base",
  architecture: "x86_64",
  boot: { kind: "kernel", kernel: { digest, sizeBytes: bytes(1) }, commandLine: "" },
  features: [],
  registeredAtMs: 0,
};
const vm: VmPlan = {
  base,
  software: [],
  hostname: "db",
  machine: "auto",
  accel: "auto",
  vcpus: 1,
  vcpusMax: 1,
  memoryBytesMax: mebibytes(128),
  sshKeys: [],
  start: "auto",
};
const plan = { memoryBytes: mebibytes(128) };

test("machineOf() takes a microvm for a kernel that is handed over, unless the machine is to grow", () => {
  assert.equal(machineOf(plan, vm), "microvm");
  assert.equal(machineOf(plan, { ...vm, vcpusMax: 2 }), "q35");
  assert.equal(machineOf(plan, { ...vm, memoryBytesMax: mebibytes(256) }), "q35");
});

test("machineOf() takes a q35 for a guest with a boot loader, and else what was asked for", () => {
  const disk: Image = { ...base, boot: { kind: "disk", firmware: "bios" } };
  assert.equal(machineOf(plan, { ...vm, base: disk }), "q35");
  assert.equal(machineOf(plan, { ...vm, machine: "q35" }), "q35");
  assert.equal(machineOf(plan, { ...vm, machine: "microvm", vcpusMax: 2 }), "microvm");
});
