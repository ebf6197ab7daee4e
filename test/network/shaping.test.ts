import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { megabitsPerSecond } from "#base/units.ts";
import { Fabric, shaped } from "./fabric.ts";
import type { Guest } from "./fabric.ts";
import { goodput, goodputShare } from "./transfer.ts";

const guest = (number: number, host: number): Guest => ({
  ensemble: "shop",
  network: "lan",
  name: `guest-${number}`,
  host,
  number,
});
const web = guest(1, 1);
const client = guest(2, 2);
const bulk = guest(3, 1);
const sink = guest(4, 2);
const neighbour = guest(5, 1);
const all = [web, client, bulk, sink, neighbour];
const linkMbit = 200;

let fabric: Fabric;
before(async () => {
  fabric = await Fabric.make(2, megabitsPerSecond(linkMbit));
  await fabric.addGuests(all);
});
after(() => fabric[Symbol.asyncDispose]());

const mbit = (bps: number): number => bps / 1e6 / goodputShare;
const within = (value: number, low: number, high: number): void =>
  assert.ok(value >= low && value <= high, `${value.toFixed(1)} Mbit/s, wanted ${low} to ${high}`);

test("under contention every pair gets at least its promise, and the spare goes by priority", async () => {
  await fabric.converge(all, {
    shaped: [shaped(web, client, 120e6, { priority: 0 }), shaped(bulk, sink, 20e6, { priority: 7 })],
  });
  const [first, second] = await Promise.all([
    goodput(fabric, web, client, { seconds: 2, port: 5201 }),
    goodput(fabric, bulk, sink, { seconds: 2, port: 5202 }),
  ]);
  within(mbit(first), 150, 185);
  within(mbit(second), 17, 27);
});

test("alone, a pair borrows what others leave, up to the link", async () => {
  await fabric.converge(all, { shaped: [shaped(bulk, sink, 20e6)] });
  within(mbit(await goodput(fabric, bulk, sink, { seconds: 2, port: 5203 })), 180, 200);
});

test("a ceiling is kept between hosts and within one", async () => {
  await fabric.converge(all, {
    shaped: [
      shaped(bulk, sink, 20e6, { ceilingBps: 30e6 }),
      shaped(bulk, neighbour, 20e6, { ceilingBps: 30e6 }),
    ],
  });
  // Never above the ceiling, never below the promise; how near to the ceiling is measured, not tested.
  within(mbit(await goodput(fabric, bulk, sink, { seconds: 2, port: 5204 })), 20, 31);
  within(mbit(await goodput(fabric, bulk, neighbour, { seconds: 2, port: 5205 })), 20, 31);
});

test("a rate changed while traffic flows holds from then on", async () => {
  const ceiling = (rate: number) => ({ shaped: [shaped(bulk, sink, rate, { ceilingBps: rate })] });
  await fabric.converge(all, ceiling(20e6));
  const transfer = goodput(fabric, bulk, sink, { seconds: 2, port: 5206 });
  await fabric.converge(all, ceiling(80e6));
  within(mbit(await transfer), 70, 82);
});

test("shaped frames leave the host with the code point that switches prefer", async () => {
  await fabric.converge(all, { shaped: [shaped(bulk, sink, 20e6)] });
  const [, other] = fabric.hosts;
  assert.ok(other);
  await other.run("nft", "add", "table", "ip", "probe");
  await other.run("nft", "add", "chain", "ip", "probe", "in", "{ type filter hook input priority 0; }");
  await other.run("nft", "add", "rule", "ip", "probe", "in", "ip", "dscp", "ef", "counter");
  assert.ok(await fabric.reaches(bulk, sink));
  const marked = async (): Promise<number> =>
    Number(/packets (\d+)/.exec(await other.run("nft", "list", "chain", "ip", "probe", "in"))?.[1]);
  const earlier = await marked();
  assert.ok(earlier >= 1, "the shaped pair's frame");
  assert.ok(await fabric.reaches(web, client));
  assert.equal(await marked(), earlier, "best effort is not marked");
  await other.run("nft", "delete", "table", "ip", "probe");
});
