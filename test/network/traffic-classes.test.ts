import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { megabitsPerSecond } from "#base/units.ts";
import { Fabric, addressOfGuest, shaped, trafficOf } from "./fabric.ts";
import type { Guest, TestHost } from "./fabric.ts";
import { kernelState } from "./kernel-state.ts";
import { goodput, goodputShare } from "./transfer.ts";

const guest = (number: number, host: number): Guest => ({
  ensemble: "shop",
  network: "lan",
  name: `guest-${number}`,
  host,
  number,
});
const gold = guest(1, 1);
const plain = guest(2, 1);
const neighbour = guest(3, 1);
const far = guest(4, 2);
const farther = guest(5, 3);
const all = [gold, plain, neighbour, far, farther];
const linkMbit = 200;
const bestEffort = 7;

let fabric: Fabric;
before(async () => {
  fabric = await Fabric.make(3, megabitsPerSecond(linkMbit));
  await fabric.addGuests(all);
});
after(() => fabric[Symbol.asyncDispose]());

let ports = 5300;
/** Mbit/s of frames, as promises count them, while all of them send at once. */
async function together(...pairs: readonly (readonly [Guest, Guest])[]): Promise<readonly number[]> {
  const bps = await Promise.all(
    pairs.map(([from, to]) => goodput(fabric, from, to, { seconds: 2, port: (ports += 1) })),
  );
  return bps.map((each) => each / 1e6 / goodputShare);
}
const within = (value: number | undefined, low: number, high: number): void =>
  assert.ok(
    value !== undefined && value >= low && value <= high,
    `${value?.toFixed(1)} Mbit/s, wanted ${low} to ${high}`,
  );
const hostOf = (at: number): TestHost => {
  const host = fabric.hosts[at];
  assert.ok(host);
  return host;
};

test("spare bandwidth goes to gold first, and best effort keeps its own guarantee", async () => {
  await fabric.converge(all, {
    traffic: [trafficOf(gold, { out: 60e6 }), trafficOf(plain, { out: 20e6 }, bestEffort)],
  });
  const [first, second] = await together([gold, far], [plain, farther]);
  within(first, 150, 185);
  within(second, 17, 27);
});

test("alone, best effort borrows all there is", async () => {
  await fabric.converge(all, {
    traffic: [trafficOf(gold, { out: 60e6 }), trafficOf(plain, { out: 20e6 }, bestEffort)],
  });
  const [alone] = await together([plain, far]);
  within(alone, 180, 200);
});

test("a ceiling holds for all an appliance sends to other hosts, its links count within it and are kept", async () => {
  await fabric.converge(all, {
    shaped: [shaped(gold, far, 30e6)],
    traffic: [trafficOf(gold, { out: 40e6, outCeiling: 60e6 })],
  });
  const [link, rest, local] = await together([gold, far], [gold, farther], [gold, neighbour]);
  within(link, 28, 62);
  within(rest, 9, 33);
  within((link ?? 0) + (rest ?? 0), 50, 63);
  within(local, 100, 1e6);
});

test("what arrives is guaranteed for one while others send more than the link takes", async () => {
  await fabric.converge(all, {
    traffic: [trafficOf(gold, { in: 30e6 }), trafficOf(plain, { in: 60e6 }, bestEffort)],
  });
  const [first, second] = await together([farther, gold], [far, plain]);
  within(second, 55, 75);
  within(first, 100, 140);
});

test("appliances without a class share what guarantees for arriving frames leave", async () => {
  await fabric.converge(all, { traffic: [trafficOf(gold, { in: 100e6 }, bestEffort)] });
  const [promised, other] = await together([farther, gold], [far, plain]);
  within(promised, 95, 195);
  assert.ok((promised ?? 0) + (other ?? 0) < linkMbit, "together they are held to what the link takes");
  const [alone] = await together([far, plain]);
  within(alone, 170, 200);
});

test("a link into a host is kept beside what arrives for gold", async () => {
  await fabric.converge(all, {
    shaped: [shaped(plain, far, 50e6), shaped(far, plain, 50e6)],
    traffic: [trafficOf(gold, { in: 30e6 })],
  });
  const [first, link] = await together([farther, gold], [far, plain]);
  within(link, 45, 75);
  within(first, 90, 150);
});

test("a ceiling on what arrives holds, and neither other appliances nor this host's own are held back", async () => {
  await fabric.converge(all, { traffic: [trafficOf(gold, { inCeiling: 30e6 }, bestEffort)] });
  const [held, local, other] = await together([far, gold], [neighbour, gold], [farther, plain]);
  within(held, 20, 31);
  within(local, 100, 1e6);
  within(other, 150, 200);
  assert.ok(await fabric.reaches(far, gold));
});

test("no frame is lost while rates change, out and in", async () => {
  const change = (at: number) => ({
    traffic: [
      trafficOf(gold, { out: (20 + (at % 2) * 30) * 1e6, in: (20 + (at % 3) * 20) * 1e6 }),
      trafficOf(plain, { out: (60 - (at % 2) * 30) * 1e6 }, bestEffort),
    ],
  });
  await fabric.converge(all, change(0));
  const ping = fabric.spawnInGuest(gold, "ping", "-q", "-i", "0.002", "-c", "500", addressOfGuest(far));
  let shown = "";
  ping.stdout?.on("data", (chunk: Buffer) => (shown += chunk.toString()));
  const ended = once(ping, "close");
  let changes = 0;
  while (ping.exitCode === null) {
    changes += 1;
    await hostOf(0).converge(fabric.plan(hostOf(0), all, change(changes)));
  }
  await ended;
  assert.match(shown, /500 received/, shown);
  assert.ok(changes > 100, `only ${changes} changes`);
});

test("what moves from one class to another is taken first: the kernel tells of it in this order", async () => {
  const host = hostOf(0);
  const move = (golden: number) =>
    fabric.plan(host, all, {
      traffic: [trafficOf(gold, { out: golden * 1e6 }), trafficOf(plain, { out: (100 - golden) * 1e6 })],
    });
  await host.converge(move(40));
  await host.converge(move(40));
  const monitor = fabric.spawnIn(host.namespace, "tc", "monitor");
  const told: string[] = [];
  const settled = new Promise<void>((resolve) =>
    monitor.stdout?.on("data", (chunk: Buffer) => {
      told.push(chunk.toString());
      if (told.join("").split("class htb").length > 8) resolve();
    }),
  );
  while (told.length === 0) {
    // The monitor listens as soon as it tells of a change to a link that nothing uses.
    await host.run("tc", "qdisc", "replace", "dev", "lo", "root", "pfifo", "limit", "10");
    await host.run("tc", "qdisc", "del", "dev", "lo", "root");
  }
  await host.converge(move(70));
  await host.converge(move(30));
  await settled;
  monitor.kill();
  const order = [...told.join("").matchAll(/class htb c057:(e00\d) dev uplink/g)].map(([, minor]) => minor);
  assert.deepEqual(order, ["e003", "e002", "e000", "e001", "e001", "e000", "e002", "e003"]);
});

test("an unchanged plan changes nothing, also after a restart; an empty one leaves nothing", async () => {
  const host = hostOf(0);
  await fabric.converge([]);
  const empty = await kernelState(host);
  const promised = {
    shaped: [shaped(gold, far, 10e6), shaped(plain, far, 10e6)],
    traffic: [
      trafficOf(plain, { out: 30e6, in: 40e6 }, bestEffort),
      trafficOf(gold, { out: 20e6, inCeiling: 50e6 }),
    ],
  };
  await fabric.converge(all, promised);
  const full = await kernelState(host);
  assert.match(full, /cstifb/);
  await fabric.converge(all, promised);
  assert.equal(await kernelState(host), full);
  await host.killDriver();
  await host.startDriver();
  await fabric.converge(all, promised);
  assert.equal(await kernelState(host), full);
  assert.ok(await fabric.reaches(gold, far));
  await fabric.converge(all);
  assert.doesNotMatch(await kernelState(host), /cstifb|netdev/);
  assert.ok(await fabric.reaches(gold, far));
  await fabric.converge(all, promised);
  await fabric.converge([]);
  assert.equal(await kernelState(host), empty);
});

test("classes come and go and are killed half way, and traffic finds its way each time", async () => {
  const host = hostOf(0);
  const plans = [
    { traffic: [trafficOf(gold, { out: 20e6, in: 20e6 })], shaped: [shaped(gold, far, 5e6)] },
    { shaped: [shaped(gold, far, 5e6), shaped(plain, far, 5e6)] },
    { traffic: [trafficOf(plain, { in: 20e6 }), trafficOf(gold, { out: 1e6 })] },
    {},
  ];
  for (let attempt = 0; attempt < 12; attempt += 1) {
    const extra = plans[attempt % plans.length] ?? {};
    host.driver.send({ ask: "converge", plan: fabric.plan(host, all, extra) });
    await new Promise((resolve) => setTimeout(resolve, attempt));
    await host.killDriver();
    await host.startDriver();
    await fabric.converge(all, extra);
    assert.ok(await fabric.reaches(gold, far), `after attempt ${attempt}`);
    assert.ok(await fabric.reaches(far, plain), `after attempt ${attempt}`);
  }
  await fabric.converge(all, plans[0]);
  const earlier = await kernelState(host);
  await fabric.converge([]);
  await fabric.converge(all, plans[0]);
  assert.equal((await kernelState(host)).split("\n").length, earlier.split("\n").length);
});
