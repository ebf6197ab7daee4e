import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HostLedger } from "#sim/checks/host-ledger.ts";
import type { Call } from "#sim/client.ts";

const call = (state: Call["state"]) => ({ state, error: undefined, askedAtMs: 5 });

describe("HostLedger", () => {
  it("finds a cordon that was acknowledged and is forgotten", () => {
    const ledger = new HostLedger();
    ledger.note("a1", "cordon", call("answered"));
    assert.equal(
      ledger.lost(() => "open")?.message,
      "of a1 the store has open, and acknowledged was cordoned or draining",
    );
    assert.equal(
      ledger.lost(() => "cordoned"),
      undefined,
    );
  });

  it("lets a drain end, and what was not answered be made or not", () => {
    const ledger = new HostLedger();
    ledger.note("a1", "drain", call("answered"));
    for (const now of ["draining", "cordoned"] as const)
      assert.equal(
        ledger.lost(() => now),
        undefined,
      );
    assert.ok(ledger.lost(() => "open"));
    ledger.note("a1", "uncordon", call("asked"));
    assert.equal(ledger.waitingSince("a1"), 5);
    ledger.giveUp("a1");
    assert.equal(ledger.waitingSince("a1"), undefined);
    for (const now of ["draining", "open"] as const)
      assert.equal(
        ledger.lost(() => now),
        undefined,
      );
  });
});
