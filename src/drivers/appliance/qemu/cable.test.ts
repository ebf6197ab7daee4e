import assert from "node:assert/strict";
import { test } from "node:test";
import { ipv4Address } from "#base/ids.ts";
import { cableRules, cableSteps } from "./cable.ts";

const interfaces = [
  { name: "eth0", address: ipv4Address("10.9.0.5") },
  { name: "eth1", address: ipv4Address("10.9.1.5") },
];

test("cableSteps() joins each interface to a tap of the slot's own user, and gives the host one address", () => {
  const steps = cableSteps(interfaces, 200_007);
  assert.match(steps, /tuntap add dev tap1 mode tap user 200007/);
  assert.match(steps, /link set eth1 master br1/);
  assert.match(steps, /link set br1 alias eth1/);
  assert.equal(steps.match(/addr replace/g)?.length, 1);
  assert.match(steps, /route replace 10\.9\.1\.5\/32 dev br1 src 169\.254\.0\.1/);
});

test("cableRules() let nothing between the bridges themselves and the networks", () => {
  const rules = cableRules(interfaces);
  assert.match(rules, /hook input .* iifname \{ "eth0", "eth1" \} drop/);
  assert.match(rules, /hook output .* oifname \{ "eth0", "eth1" \} drop/);
  assert.equal(cableRules([]), "");
});
