import assert from "node:assert/strict";
import { test } from "node:test";
import { entriesOf, tableName, targetRuleset } from "./target-rules.ts";
import type { TrafficTarget } from "./port.ts";

const rulesFor = (...targets: readonly TrafficTarget[]): readonly string[] =>
  targetRuleset({
    table: "ip t",
    interface: "eth0",
    passage: { direction: "out" },
    major: 0xc058,
    targets: targets.map((target, at) => ({ target, minor: 0x10 + at })),
  }).split("\n");

test("the narrowest target counts, whatever the order they are given in", () => {
  const rules = rulesFor(
    { address: "0.0.0.0/0" },
    { address: "10.1.2.3" },
    { address: "10.1.0.0/16" },
    { address: "10.1.2.3", port: 80, protocol: "tcp" },
    { sourcePort: 5004, protocol: "udp" },
  );
  assert.deepEqual(
    rules.filter((rule) => rule.startsWith("add rule")).map((rule) => /@(\w+)/.exec(rule)?.[1]),
    ["sources", "ports", "addresses32", "addresses16", "addresses0"],
  );
});

test("a network is looked up by its first address, whichever of its addresses names it", () => {
  assert.deepEqual(entriesOf({ address: "10.1.2.3/16" }), entriesOf({ address: "10.1.0.0/16" }));
  assert.ok(rulesFor({ address: "10.1.2.3/16" }).some((rule) => rule.includes("ip daddr & 255.255.0.0 map")));
});

test("a port without a protocol is both", () => {
  assert.deepEqual(
    entriesOf({ address: "10.1.2.3", port: 80 }).map(({ key }) => key),
    ["10.1.2.3 . tcp . 80", "10.1.2.3 . udp . 80"],
  );
});

test("what is no target is refused", () => {
  for (const target of [
    { address: "10.1.2" },
    { address: "10.1.2.300" },
    { address: "10.1.2.3/33" },
    { address: "fe80::1" },
    { address: "10.1.2.0/24", port: 80 },
    { address: "10.1.2.3", port: 0 },
    { sourcePort: 70_000 },
  ]) {
    assert.throws(() => entriesOf(target), { code: "bad_input" }, JSON.stringify(target));
  }
});

test("of what arrives the other machine is where it comes from, and what nobody reserved for passes the sorter, too", () => {
  const rules = targetRuleset({
    table: tableName({ direction: "in" }, "t"),
    interface: "eth0",
    passage: { direction: "in", sorter: "ifb9" },
    major: 0xc058,
    targets: [
      { target: { address: "10.1.2.3" }, minor: 0x10 },
      { target: { address: "10.1.2.3", port: 80, protocol: "tcp" }, minor: 0x11 },
      { target: { sourcePort: 5004, protocol: "udp" }, minor: 0x12 },
    ],
  }).split("\n");
  assert.deepEqual(
    rules.filter((rule) => rule.startsWith("add rule")),
    [
      'add rule netdev t in meta priority set meta l4proto . th dport map @sources fwd to "ifb9"',
      'add rule netdev t in meta priority set ip saddr . meta l4proto . th sport map @ports fwd to "ifb9"',
      'add rule netdev t in meta priority set ip saddr map @addresses32 fwd to "ifb9"',
      'add rule netdev t in fwd to "ifb9"',
    ],
  );
});
