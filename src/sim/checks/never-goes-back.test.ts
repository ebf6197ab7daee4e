import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import { Beginnings } from "#sim/checks/never-goes-back.ts";

const db = applianceId(ensembleName("shop"), applianceName("db"));
const at = (host: string, begunAtMs: number, executes = true) => [
  { host: hostId(host), appliances: [{ id: db, executes, begunAtMs }] },
];

describe("Beginnings", () => {
  it("lets a machine begin anew, and move along with what began", () => {
    const beginnings = new Beginnings();
    assert.equal(beginnings.wentBack(at("a", 1)), undefined);
    assert.equal(beginnings.wentBack(at("b", 1)), undefined);
    assert.equal(beginnings.wentBack(at("b", 7)), undefined);
  });

  it("tells of the original that goes on after its restored copy has run, however much later", () => {
    const beginnings = new Beginnings();
    beginnings.wentBack(at("a", 1));
    beginnings.wentBack(at("b", 7));
    assert.equal(beginnings.wentBack(at("a", 1, false)), undefined);
    assert.deepEqual(beginnings.wentBack(at("a", 1)), {
      invariant: "never-goes-back",
      message: "shop/db goes on at a as it was before it began anew at b",
    });
  });
});
