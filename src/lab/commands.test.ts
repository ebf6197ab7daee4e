import assert from "node:assert/strict";
import { test } from "node:test";
import { micros, megabitsPerSecond } from "#base/units.ts";
import {
  doneAlias,
  nodeIpBatch,
  nodeJoinBatch,
  nodeResetBatch,
  nodeTcBatch,
  rootBatch,
} from "#lab/commands.ts";
import type { LabNode } from "#lab/layout.ts";

const port = { peer: "x", bandwidthBps: megabitsPerSecond(1000), latencyUs: micros(0) };
const node = (kind: LabNode["kind"], more: Partial<LabNode> = {}): LabNode => ({
  id: "n",
  kind,
  siteIndex: 1,
  interfaces: [{ ...port, name: "uplink", address: "172.30.1.11/24" }],
  routes: [],
  delays: [],
  ...more,
});

test("both ends of a cable are born in their namespaces, never in the root", () => {
  const cable = { a: { node: "h1", interface: "uplink" }, b: { node: "sw", interface: "port1" } };
  assert.deepEqual(rootBatch("red", ["h1", "sw"], [cable]), [
    "netns add cst-red-h1",
    "netns add cst-red-sw",
    "link add uplink netns cst-red-h1 type veth peer name port1 netns cst-red-sw",
  ]);
});

test("an interface is marked complete after its last setting, the namespace after everything", () => {
  const host = node("host", { routes: [{ to: "default", via: "172.30.1.1" }] });
  const lines = nodeIpBatch(host, host.interfaces);
  const at = (part: string): number => lines.findIndex((line) => line.includes(part));
  assert.ok(at("addr replace") < at(`uplink alias ${doneAlias}`));
  assert.equal(lines.at(-1), `link set lo alias ${doneAlias}`);
});

test("every end sends at the cable's rate; inside the fabric EF goes first", () => {
  const atHost = nodeTcBatch(node("host"), node("host").interfaces);
  const atSwitch = nodeTcBatch(node("switch"), node("switch").interfaces);
  for (const lines of [atHost, atSwitch]) {
    assert.ok(lines.some((line) => line.includes("classid 1:1 htb rate 1000000000bit ceil 1000000000bit")));
    assert.ok(lines.every((line) => !line.includes(" htb rate") || line.includes("quantum")));
  }
  assert.ok(!atHost.some((line) => line.startsWith("filter")));
  assert.ok(atSwitch.some((line) => line.includes("match ip tos 0xb8 0xfc flowid 1:10")));
  assert.ok(atSwitch.some((line) => line.includes("classid 1:10 htb prio 0")));
});

test("each way through a delay has a rule, and a reset takes all of them away", () => {
  const router = node("router", {
    delays: [
      {
        device: "delay1",
        delayUs: micros(10),
        paths: [{ from: "site1", to: ["172.30.2.0/24", "172.31.2.0/30"] }],
      },
      { device: "delay2", delayUs: micros(20), paths: [{ from: "site2", to: ["172.30.1.0/24"] }] },
    ],
  });
  const rules = nodeIpBatch(router, []).filter((line) => line.startsWith("rule add"));
  assert.deepEqual(rules, [
    "rule add pref 1000 iif site1 to 172.30.2.0/24 lookup 101",
    "rule add pref 1001 iif site1 to 172.31.2.0/30 lookup 101",
    "rule add pref 1002 iif site2 to 172.30.1.0/24 lookup 102",
  ]);
  const reset = nodeResetBatch(router);
  for (const rule of rules) {
    assert.ok(reset.includes(rule.replace("add", "del").replace(/ iif.*/, "")), `${rule} is not taken away`);
  }
});

test("an interface has the same hardware address each time it is made", () => {
  const [line] = nodeJoinBatch(node("host"), node("host").interfaces);
  assert.match(line ?? "", / address 02:63:ac:1e:01:0b /);
});

test("a node that was complete gets its new cables and ways, and nothing that it has", () => {
  const uplink = { ...port, name: "port1" };
  const onSwitch = nodeJoinBatch(node("switch"), [uplink]);
  assert.ok(onSwitch.some((line) => line.includes("port1") && line.includes("master br0")));
  assert.ok(!onSwitch.some((line) => line.includes("type bridge")));
  const routes = [{ to: "default", via: "172.30.1.1" }];
  assert.ok(nodeJoinBatch(node("host", { routes }), []).includes("route replace default via 172.30.1.1"));
});
