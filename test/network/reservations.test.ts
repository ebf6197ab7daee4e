import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bitsPerSecond, megabitsPerSecond } from "#base/units.ts";
import type { FlowDirection } from "#drivers/network/reservations/port.ts";
import { Fabric } from "./fabric.ts";
import type { TestHost } from "./fabric.ts";
import { kernelState } from "./kernel-state.ts";
import type { ReservationRequest } from "./reservation-process.ts";
import { Reserver } from "./reserver.ts";
import { goodputBetween } from "./transfer.ts";

const linkMbit = 100;
const open: ReservationRequest = {
  ask: "open",
  interface: "uplink",
  bandwidthBps: linkMbit * 1e6,
  direction: "out",
};

let fabric: Fabric;
before(async () => {
  fabric = await Fabric.make(3, megabitsPerSecond(linkMbit));
});
after(() => fabric[Symbol.asyncDispose]());

const hostOf = (at: number): TestHost => {
  const host = fabric.hosts[at];
  assert.ok(host);
  return host;
};
const to = (host: number) => [{ address: `172.30.0.${host}` }];
const reserve = (
  name: string,
  mbit: number,
  priority: number,
  targets: { address: string }[],
): ReservationRequest => ({
  ask: "reserve",
  reservation: { name, rateBps: bitsPerSecond(mbit * 1e6), priority, targets },
});

let ports = 5400;
/** Mbit/s of frames that the first host sends to the second and the third at once, or receives from them. */
async function both(direction: FlowDirection = "out"): Promise<readonly [number, number]> {
  const [second, third] = await Promise.all(
    [1, 2].map((at) => {
      const [sender, receiver] = direction === "out" ? [hostOf(0), hostOf(at)] : [hostOf(at), hostOf(0)];
      return goodputBetween(fabric, sender.namespace, receiver.namespace, {
        address: receiver.address,
        seconds: 2,
        port: (ports += 1),
      });
    }),
  );
  const frames = (bps = 0): number => (bps / 1e6) * (1514 / 1448);
  return [frames(second), frames(third)];
}
const within = (value: number, low: number, high: number): void =>
  assert.ok(value >= low && value <= high, `${value.toFixed(1)} Mbit/s, wanted ${low} to ${high}`);

test("gold is kept and borrows first, best effort keeps its own; adapting moves bandwidth from one to the other", async () => {
  const empty = await kernelState(hostOf(0));
  await using reserver = new Reserver(hostOf(0));
  await reserver.ask(open);
  await reserver.ask(reserve("gold", 50, 0, to(2)));
  await reserver.ask(reserve("best-effort", 40, 7, to(3)));
  const [gold, rest] = await both();
  within(gold, 52, 62);
  within(rest, 36, 44);
  await reserver.ask({
    ask: "adapt",
    changes: [
      { name: "gold", rateBps: bitsPerSecond(80e6) },
      { name: "best-effort", rateBps: bitsPerSecond(10e6) },
    ],
  });
  const [more, less] = await both();
  within(more, 80, 92);
  within(less, 8, 15);
  await assert.rejects(
    reserver.ask({ ask: "adapt", changes: [{ name: "gold", rateBps: bitsPerSecond(95e6) }] }),
    /are not reserved by others/,
  );
  await reserver.ask({ ask: "release", name: "best-effort" });
  await reserver.ask({ ask: "close" });
  assert.equal(await kernelState(hostOf(0)), empty);
});

test("one process has an interface; what it leaves when it is killed holds nobody up, and the next one takes it away", async () => {
  const empty = await kernelState(hostOf(0));
  {
    await using first = new Reserver(hostOf(0));
    await using second = new Reserver(hostOf(0));
    await first.ask(open);
    await first.ask(reserve("gold", 5, 0, to(2)));
    await assert.rejects(second.ask(open), /another process does so/);
  }
  assert.doesNotMatch(await hostOf(0).run("nft", "list", "ruleset"), /consort_link/);
  const [second, third] = await both();
  within(second + third, 85, 104);
  await using next = new Reserver(hostOf(0));
  await next.ask(open);
  await next.ask(reserve("gold", 5, 0, to(2)));
  await next.ask({ ask: "close" });
  assert.equal(await kernelState(hostOf(0)), empty);
});

test("what arrives is kept and borrows by class as well, adapts while it runs, and is sorted no more afterwards", async () => {
  const empty = await kernelState(hostOf(0));
  {
    await using killed = new Reserver(hostOf(0));
    await killed.ask({ ...open, direction: "in" });
    await killed.ask(reserve("gold", 5, 0, to(2)));
    await using other = new Reserver(hostOf(0));
    await assert.rejects(other.ask({ ...open, direction: "in" }), /another process does so/);
    // The ways do not know of each other.
    await other.ask(open);
    await other.ask({ ask: "close" });
  }
  await using reserver = new Reserver(hostOf(0));
  // Slow enough for any machine to send it: only these classes are in the way.
  await reserver.ask({ ...open, bandwidthBps: 20e6, direction: "in" });
  await reserver.ask(reserve("gold", 10, 0, to(2)));
  await reserver.ask(reserve("best-effort", 8, 7, to(3)));
  const [gold, rest] = await both("in");
  within(gold, 8, 13.5);
  within(rest, 5, 10);
  await reserver.ask({
    ask: "adapt",
    changes: [
      { name: "gold", rateBps: bitsPerSecond(16e6) },
      { name: "best-effort", rateBps: bitsPerSecond(2e6) },
    ],
  });
  const [more, less] = await both("in");
  within(more, 13.5, 20);
  within(less, 0.5, 5);
  await reserver.ask({ ask: "close" });
  assert.equal(await kernelState(hostOf(0)), empty);
});

test("an interface that somebody else shapes is left alone", async () => {
  await hostOf(0).run("tc", "qdisc", "replace", "dev", "uplink", "root", "handle", "7:", "htb");
  const earlier = await kernelState(hostOf(0));
  {
    await using reserver = new Reserver(hostOf(0));
    await assert.rejects(reserver.ask(open), /already shaped by somebody else \(htb\)/);
    await assert.rejects(reserver.ask({ ...open, interface: "nothing" }), /there is no such interface/);
  }
  assert.equal(await kernelState(hostOf(0)), earlier);
  await hostOf(0).run("tc", "qdisc", "del", "dev", "uplink", "root");
});
