import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { mebibytes, millis } from "#base/units.ts";
import { vmView } from "#cluster/vm-views.ts";
import { sampleVm } from "#model/sample-vm.ts";
import { sampleAppliance } from "#model/sample.ts";
import { vmStatusSchema } from "#protocol/http/vm-status.ts";

describe("vmView()", () => {
  const spec = sampleVm("db", { vcpusMax: 4, software: ["postgres"] });

  it("tells what is asked for until its host tells what is", () => {
    const asked = vmView(spec, undefined);
    assert.deepEqual(asked, {
      image: "tiny",
      software: ["postgres"],
      machine: "auto",
      accel: "auto",
      vcpus: 1,
      vcpusMax: 4,
      memoryBytesMax: mebibytes(128),
    });
    assert.deepEqual(vmStatusSchema.parse(asked), asked);
    const told = vmView(spec, {
      machine: "q35",
      accel: "tcg",
      start: "warm",
      vcpus: 2,
      memoryBytes: mebibytes(96),
      agent: "answers",
      stages: [{ stage: "boot", tookMs: millis(12) }],
    });
    assert.deepEqual(
      [told?.machine, told?.accel, told?.vcpus, told?.vcpusMax, told?.memoryBytes, told?.start, told?.agent],
      ["q35", "tcg", 2, 4, mebibytes(96), "warm", "answers"],
    );
    assert.deepEqual(vmStatusSchema.parse(told), told);
  });

  it("is nothing of a task", () => {
    assert.equal(vmView(sampleAppliance("web"), undefined), undefined);
  });
});
