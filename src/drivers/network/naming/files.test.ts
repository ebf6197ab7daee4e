import assert from "node:assert/strict";
import { test } from "node:test";
import { ipv4Address, macAddress } from "#base/ids.ts";
import { exampleGuest, examplePlan } from "../example-plan.ts";
import { hostFiles, segmentFiles } from "./files.ts";
import type { NamedSegment } from "./files.ts";

const segmentWith = (...numbers: number[]): NamedSegment => {
  const [segment] = examplePlan(numbers.map((number) => exampleGuest(number))).segments;
  const naming = {
    address: ipv4Address("10.77.0.1"),
    mac: macAddress("02:00:00:51:00:01"),
    prefixLength: 16,
    domain: "shop.consort",
  };
  return { ...segment!, naming };
};

test("a segment's files give each member its address and its names, in whatever order members are told", () => {
  const files = segmentFiles(segmentWith(3, 2));
  assert.equal(
    files.names,
    "10.77.0.2 guest-2.shop.consort guest-2\n10.77.0.3 guest-3.shop.consort guest-3\n",
  );
  assert.equal(files.cards, "02:c0:00:00:00:02,10.77.0.2,guest-2\n02:c0:00:00:00:03,10.77.0.3,guest-3\n");
  assert.deepEqual(files, segmentFiles(segmentWith(2, 3)));
});

test("its configuration speaks of the network alone, so that members come and go without a restart", () => {
  const { config } = segmentFiles(segmentWith(2));
  assert.equal(config, segmentFiles(segmentWith(2, 3, 4)).config);
  assert.match(config, /^dhcp-range=10\.77\.0\.0,static,255\.255\.0\.0,infinite$/m);
  assert.match(config, /^dhcp-option=option:mtu,1450$/m);
  assert.match(config, /^dhcp-option=option:router$/m, "no way out is offered");
  assert.doesNotMatch(config, /^server=/m);
  assert.match(config, /^no-resolv$/m);
});

test("the host is told full names alone, of all ensembles", () => {
  const bank = { ...segmentWith(5), naming: { ...segmentWith(5).naming, domain: "bank.consort" } };
  const { config, names } = hostFiles([segmentWith(2), bank], "127.0.77.53");
  assert.equal(names, "10.77.0.2 guest-2.shop.consort\n10.77.0.5 guest-5.bank.consort\n");
  assert.match(config, /^listen-address=127\.0\.77\.53$/m);
  assert.doesNotMatch(config, /dhcp/);
});
