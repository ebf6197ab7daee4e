import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAppliances } from "#cli/ps.ts";
import { guestFacts, vmFacts } from "#cli/vm-text.ts";
import type { ApplianceStatus, EnsembleStatus } from "#protocol/http/status.ts";

const appliance = (name: string, more: Partial<ApplianceStatus>): ApplianceStatus => ({
  ensemble: "shop",
  name,
  kind: "task",
  state: "running",
  host: "a1",
  restarts: 0,
  addresses: [],
  cpuUsedMilli: 0,
  memoryUsedBytes: 0,
  ...more,
});
const vm: NonNullable<ApplianceStatus["vm"]> = {
  image: "debian",
  software: ["postgres"],
  machine: "q35",
  accel: "tcg",
  vcpus: 2,
  vcpusMax: 4,
  memoryBytes: 64 * 2 ** 20,
  memoryBytesMax: 128 * 2 ** 20,
  start: "cold",
  agent: "answers",
  stages: [
    { stage: "create", tookMs: 12.3 },
    { stage: "boot", tookMs: 2000 },
  ],
};
const listed = (appliances: ApplianceStatus[]): string =>
  formatAppliances({ name: "shop", appliances } as unknown as EnsembleStatus, 0);

test("ps has a column for machines where there is one", () => {
  const lines = listed([appliance("web", {}), appliance("db", { kind: "vm", vm })]).split("\n");
  assert.match(lines[0] ?? "", /^APPLIANCE +KIND +MACHINE +STATE /);
  assert.match(lines[1] ?? "", /^shop\/web +task +- +running /);
  assert.match(lines[2] ?? "", /^shop\/db +vm +q35 tcg +running /);
  assert.doesNotMatch(listed([appliance("web", {})]), /MACHINE/);
});

test("describe tells all there is of a machine, and nothing of what is none", () => {
  assert.deepEqual(vmFacts(undefined), []);
  assert.deepEqual(Object.fromEntries(vmFacts(vm)), {
    image: "debian",
    software: "postgres",
    machine: "q35 tcg",
    processors: "2, at most 4",
    "guest memory": "64MiB, at most 128MiB",
    began: "cold",
    agent: "answers",
    stages: "create 12 ms, boot 2000 ms",
  });
});

test("describe tells what a guest does, as far as it tells that itself", () => {
  const disks = { readBytes: 3 * 1024 ** 2, writtenBytes: 1024 ** 2 };
  const told = { memoryTotalBytes: 96 * 1024 ** 2, memoryAvailableBytes: 42 * 1024 ** 2, ...disks };
  assert.deepEqual(guestFacts(undefined), []);
  assert.deepEqual(Object.fromEntries(guestFacts(told)), {
    "guest has": "96MiB of memory, 42MiB available",
    "guest's disks": "3MiB read, 1MiB written",
  });
  assert.equal(Object.fromEntries(guestFacts(disks))["guest has"], undefined);
});
