import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { macAddress } from "#base/ids.ts";
import { bridgeName, macOfPort, portName, tunnelName } from "./names.ts";

const macs = fc
  .array(fc.integer({ min: 0, max: 255 }), { minLength: 6, maxLength: 6 })
  .map((octets) => macAddress(octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":")));

test("every name fits the kernel's 15 characters", () => {
  fc.assert(
    fc.property(macs, fc.integer({ min: 1, max: 0xffffff }), (mac, vni) => {
      for (const name of [portName("cst", mac), bridgeName("cst", vni), tunnelName("cst", vni)]) {
        assert.ok(name.length <= 15, name);
      }
    }),
  );
});

test("a port's name tells its MAC, so no two ports share a name", () => {
  fc.assert(fc.property(macs, (mac) => assert.equal(macOfPort("cst", portName("cst", mac)), mac)));
  assert.equal(macOfPort("cst", "eth0"), undefined);
});
