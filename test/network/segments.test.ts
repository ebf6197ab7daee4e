import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { megabitsPerSecond } from "#base/units.ts";
import { Fabric } from "./fabric.ts";
import type { Guest } from "./fabric.ts";

const guest = (number: number, host: number, ensemble = "shop", network = "lan"): Guest => ({
  ensemble,
  network,
  name: `guest-${number}`,
  host,
  number,
});
const a1 = guest(1, 1);
const a2 = guest(2, 2);
const a3 = guest(3, 1);
const other1 = guest(4, 1, "bank");
const other2 = guest(5, 2, "bank");
const all = [a1, a2, a3, other1, other2];

let fabric: Fabric;
before(async () => {
  fabric = await Fabric.make(2, megabitsPerSecond(1000));
  await fabric.addGuests(all);
});
after(async () => {
  await fabric[Symbol.asyncDispose]();
});

test("members reach each other by address, on one host and across hosts", async () => {
  await fabric.converge(all);
  assert.ok(await fabric.reaches(a1, a3), "same host");
  assert.ok(await fabric.reaches(a1, a2), "other host");
  assert.ok(await fabric.reaches(a2, a3), "and back");
  assert.ok(await fabric.reaches(other1, other2), "the other ensemble's too");
});

test("another ensemble's appliances are out of reach, also at the same host", async () => {
  assert.equal(await fabric.reaches(a1, other1), false);
  assert.equal(await fabric.reaches(a1, other2), false);
});
