import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ipv4Address, siteName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";
import { decideTunnels, wantTunnels } from "./decide.ts";
import type { TunnelRecord } from "./decide.ts";
import { isUp, nextPulse } from "./liveness.ts";
import { deviceName, kindOfDevice } from "./names.ts";
import { hasSharedKey, openVpnConfig, receivedBytes } from "./openvpn.ts";
import { deviceRoutes, filterText, guardRoutes, readRoute, routeLines } from "./routing.ts";
import type { Route } from "./routing.ts";
import { hasPeerKey, readWireGuardDump, wireGuardArguments } from "./wireguard.ts";

const plan = (changes: Partial<TunnelPlan> = {}): TunnelPlan => ({
  peerSite: siteName("south"),
  kind: "wireguard",
  peerAddress: ipv4Address("192.0.2.9"),
  peerSubnets: ["10.71.2.0/24"],
  localPort: 51820,
  peerPort: 51821,
  localTunnelAddress: ipv4Address("169.254.64.1"),
  peerTunnelAddress: ipv4Address("169.254.64.2"),
  peerPublicKey: "peer",
  mtu: 1420,
  ...changes,
});
const openvpn = plan({ kind: "openvpn", sharedKey: "KEY", mtu: 1400 });
const want = (plans: readonly TunnelPlan[]) => wantTunnels("cst", "/state", plans);
const recordOf = (of: TunnelPlan): TunnelRecord => {
  const [wanted] = want([of]);
  assert.ok(wanted);
  return { device: wanted.device, peerSite: of.peerSite, kind: of.kind, generation: wanted.generation };
};
const works = (): boolean => true;

test("decideTunnels() leaves alone what stands as wanted", () => {
  assert.ok(decideTunnels(want([plan(), openvpn]), [recordOf(plan()), recordOf(openvpn)], works).settled);
});

test("decideTunnels() changes WireGuard in place and starts OpenVPN anew", () => {
  const before = [recordOf(plan()), recordOf(openvpn)];
  const decision = decideTunnels(want([plan({ mtu: 1380 }), { ...openvpn, mtu: 1380 }]), before, works);
  assert.deepEqual(
    decision.retire.map((record) => record.kind),
    ["openvpn"],
  );
  assert.equal(decision.setUp.length, 2);
});

test("decideTunnels() retires and makes again what does not work", () => {
  const decision = decideTunnels(want([plan()]), [recordOf(plan())], () => false);
  assert.deepEqual([decision.retire.length, decision.setUp.length], [1, 1]);
});

test("decideTunnels() retires all when none is wanted, and makes nothing without its key", () => {
  assert.equal(decideTunnels([], [recordOf(plan())], works).retire.length, 1);
  const { peerPublicKey: _unknown, ...keyless } = plan();
  assert.ok(decideTunnels(want([keyless]), [], works).settled);
});

test("after what decideTunnels() says is done, nothing is left to do", () => {
  const some = fc.subarray([plan(), openvpn, plan({ peerSite: siteName("west") }), plan({ mtu: 1300 })]);
  const distinct = (plans: readonly TunnelPlan[]): TunnelPlan[] => [
    ...new Map(plans.map((each) => [`${each.peerSite} ${each.kind}`, each])).values(),
  ];
  fc.assert(
    fc.property(some, some, fc.func(fc.boolean()), (before, after, alive) => {
      const wanted = want(distinct(after));
      const records = distinct(before).map(recordOf);
      const { retire, setUp } = decideTunnels(wanted, records, alive);
      const made = setUp.map(({ plan: each }) => recordOf(each));
      const kept = records.filter(
        (record) => !retire.includes(record) && !made.some((each) => each.device === record.device),
      );
      assert.ok(decideTunnels(wanted, [...kept, ...made], works).settled);
    }),
  );
});

test("device names fit the kernel, tell their kind, and differ between gateways of one machine", () => {
  const name = deviceName("cst", "/a", "south", "openvpn");
  assert.ok(name.length <= 15);
  assert.equal(kindOfDevice("cst", name), "openvpn");
  assert.equal(kindOfDevice("cst", "cstb12"), undefined);
  assert.notEqual(name, deviceName("cst", "/b", "south", "openvpn"));
});

test("routeLines() puts missing routes in before it takes others out, and says nothing when all is right", () => {
  const wanted = [...guardRoutes([plan()]), ...deviceRoutes(plan(), "cstw1")];
  const stale: Route = { type: "unreachable", destination: "10.71.3.0/24", metric: 20 };
  assert.deepEqual(routeLines(wanted, [stale], true), [
    "route replace throw 192.0.2.9/32 table 7061 proto 197 metric 0",
    "route replace unreachable 10.71.2.0/24 table 7061 proto 197 metric 20",
    "route replace 10.71.2.0/24 dev cstw1 table 7061 proto 197 metric 10",
    "route del unreachable 10.71.3.0/24 table 7061 proto 197 metric 20",
  ]);
  assert.deepEqual(routeLines(wanted, wanted, true), []);
});

test("readRoute() reads what iproute2 shows into what routeLines() compares", () => {
  assert.deepEqual(readRoute({ type: "throw", dst: "192.0.2.9" }), guardRoutes([plan()])[0]);
  assert.deepEqual(
    readRoute({ dst: "10.71.2.0/24", dev: "cstw1", metric: 10 }),
    deviceRoutes(plan(), "cstw1")[0],
  );
  assert.equal(readRoute({ type: "local", dst: "10.0.0.1" }), undefined);
});

test("the filter drops peer sites' addresses from outside, but not the gateways' own", () => {
  const text = filterText("cst", "wan", [plan()]);
  assert.match(
    text,
    /iifname "wan" ip saddr \{ 10\.71\.2\.0\/24 \} ip saddr != \{ 192\.0\.2\.9 \} counter drop/,
  );
});

test("WireGuard gets this one peer and loses others", () => {
  const wanted = plan();
  assert.ok(hasPeerKey(wanted));
  const args = wireGuardArguments(wanted, "cstw1", "/key", ["old", "peer"]).join(" ");
  assert.match(
    args,
    /^set cstw1 listen-port 51820 private-key \/key peer old remove peer peer endpoint 192\.0\.2\.9:51821 /,
  );
  assert.match(args, /allowed-ips 169\.254\.64\.2\/32,10\.71\.2\.0\/24$/);
});

test("WireGuard's dump tells each peer's received bytes", () => {
  const dump = "priv\tpub\t51820\toff\nkey\t(none)\t192.0.2.9:51820\t10.0.0.0/8\t1700000000\t4242\t17\t5\n";
  assert.deepEqual(readWireGuardDump(dump), [{ publicKey: "key", receivedBytes: 4242 }]);
});

test("OpenVPN's file carries plan and key; its status tells authenticated bytes", () => {
  assert.ok(hasSharedKey(openvpn));
  const text = openVpnConfig(openvpn, "csto1", "/run/status");
  assert.match(text, /^remote 192\.0\.2\.9 51821$/m);
  assert.match(text, /^tun-mtu 1400$/m);
  assert.match(text, /<secret>\nKEY\n<\/secret>/);
  assert.equal(receivedBytes("OpenVPN STATISTICS\nTCP/UDP read bytes,9\nAuth read bytes,7\nEND\n"), 7);
  assert.equal(receivedBytes("OpenVPN STATISTICS\n"), undefined);
});

test("a tunnel is up while authenticated bytes keep coming, not because some once came", () => {
  const adopted = nextPulse(undefined, 500, millis(0));
  assert.equal(isUp("wireguard", adopted, millis(0)), false, "an old count proves nothing");
  const heard = nextPulse(adopted, 600, millis(1000));
  assert.equal(isUp("wireguard", heard, millis(20_000)), true);
  assert.equal(isUp("wireguard", nextPulse(heard, 600, millis(22_000)), millis(22_000)), false);
  const restarted = nextPulse(heard, 0, millis(2000));
  assert.equal(nextPulse(restarted, 32, millis(3000)).grewAt, 3000);
});
