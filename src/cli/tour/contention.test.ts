import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { iperfReceivedBps, responseTimesMs } from "#cli/tour/contention.ts";
import { contentionPlot, contentionTable } from "#cli/tour/contention-table.ts";

describe("responseTimesMs()", () => {
  it("reads h2load's log", () => {
    assert.deepEqual(responseTimesMs("1000\t200\t850\n2000\t200\t1500\n"), [0.85, 1.5]);
  });

  it("refuses a log with failed requests, or without any", () => {
    assert.throws(() => responseTimesMs("1000\t503\t850\n"), { message: /1 of 1 requests failed/ });
    assert.throws(() => responseTimesMs(""), { message: /0 of 0/ });
  });
});

describe("iperfReceivedBps()", () => {
  it("takes what arrived, and passes on why nothing did", () => {
    assert.equal(iperfReceivedBps('{"end":{"sum_received":{"bits_per_second":4e7}}}'), 4e7);
    assert.throws(() => iperfReceivedBps('{"error":"unable to connect"}'), { message: /unable to connect/ });
  });
});

describe("the contention table", () => {
  const cases = [
    { name: "alone", responseMs: [1, 1, 1, 1] },
    { name: "unmanaged", responseMs: [4, 4, 4, 4], bulkBps: 9e8 },
  ] as const;

  it("sets every case against the undisturbed one", () => {
    const [, alone, unmanaged] = contentionTable(cases).split("\n");
    assert.match(alone ?? "", /alone +1\.00 ms .* 1\.00 +at rest/);
    assert.match(unmanaged ?? "", /unmanaged +4\.00 ms .* 4\.00 +900 Mbit\/s/);
  });

  it("draws a longer bar for slower responses", () => {
    const bars = contentionPlot(cases)
      .split("\n")
      .map((line) => line.replaceAll(/[^█]/g, "").length);
    assert.ok((bars[1] ?? 0) > (bars[0] ?? 0));
  });
});
