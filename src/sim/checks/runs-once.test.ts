import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { runningTwice } from "#sim/checks/runs-once.ts";

const web = (executes: boolean) => ({ id: "shop/web" as ApplianceId, executes });

describe("runningTwice()", () => {
  it("finds an appliance that executes on two machines, and names both", () => {
    const breach = runningTwice([
      { host: hostId("a1"), appliances: [web(true)] },
      { host: hostId("a2"), appliances: [web(true)] },
    ]);
    assert.equal(breach?.message, "shop/web runs on a1 and on a2 at once");
  });

  it("lets one that is held be anywhere else", () => {
    const machines = [
      { host: hostId("a1"), appliances: [web(false)] },
      { host: hostId("a2"), appliances: [web(true)] },
      { host: hostId("a3"), appliances: [web(false)] },
    ];
    assert.equal(runningTwice(machines), undefined);
  });
});
