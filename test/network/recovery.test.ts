import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { megabitsPerSecond } from "#base/units.ts";
import { Fabric, addressOfGuest, shaped } from "./fabric.ts";
import type { Guest, TestHost } from "./fabric.ts";
import { kernelState } from "./kernel-state.ts";

const guest = (number: number, host: number): Guest => ({
  ensemble: "shop",
  network: "lan",
  name: `guest-${number}`,
  host,
  number,
});
const a1 = guest(1, 1);
const a2 = guest(2, 2);
const a3 = guest(3, 1);
const all = [a1, a2, a3];
const promised = { shaped: [shaped(a1, a2, 100e6), shaped(a1, a3, 10e6, { ceilingBps: 20e6 })] };

let fabric: Fabric;
before(async () => {
  fabric = await Fabric.make(2, megabitsPerSecond(1000));
  await fabric.addGuests(all);
});
after(() => fabric[Symbol.asyncDispose]());

async function first(): Promise<TestHost> {
  const [host] = fabric.hosts;
  assert.ok(host);
  return host;
}

test("an empty plan leaves nothing behind", async () => {
  const host = await first();
  const earlier = await kernelState(host);
  await fabric.converge(all, promised);
  assert.notEqual(await kernelState(host), earlier);
  await fabric.converge([]);
  assert.equal(await kernelState(host), earlier);
});

test("an unchanged plan changes nothing, also after the driver was killed and started again", async () => {
  const host = await first();
  await fabric.converge(all, promised);
  const earlier = await kernelState(host);
  await fabric.converge(all, promised);
  assert.equal(await kernelState(host), earlier);
  await host.killDriver();
  await host.startDriver();
  await fabric.converge(all, promised);
  assert.equal(await kernelState(host), earlier);
});

test("traffic flows without a pause while the driver is killed, started again and converges", async () => {
  const host = await first();
  await fabric.converge(all, promised);
  const ping = fabric.spawnInGuest(a1, "ping", "-q", "-i", "0.005", "-c", "200", addressOfGuest(a2));
  let shown = "";
  ping.stdout?.on("data", (chunk: Buffer) => (shown += chunk.toString()));
  const ended = new Promise((resolve) => ping.once("close", resolve));
  await host.killDriver();
  await host.startDriver();
  await fabric.converge(all, promised);
  await ended;
  assert.match(shown, /200 received/, shown);
});

test("class numbers stay the same over a restart while pairs come and go", async () => {
  const host = await first();
  const classes = async (): Promise<string> => host.run("nft", "list", "map", "bridge", "consort", "pairs");
  await fabric.converge(all, { shaped: [shaped(a1, a2, 50e6), shaped(a3, a2, 60e6)] });
  const earlier = await classes();
  await host.killDriver();
  await host.startDriver();
  await fabric.converge(all, { shaped: [shaped(a3, a2, 60e6)] });
  const number = /02:c0:00:00:00:03 \. 02:c0:00:00:00:02 counter .* : (c057:\w+)/;
  assert.equal(number.exec(await classes())?.[1], number.exec(earlier)?.[1]);
  assert.match(number.exec(earlier)?.[1] ?? "", /^c057:[0-9a-f]{2,}$/);
  assert.match(await classes(), /02:c0:00:00:00:01 \. 02:c0:00:00:00:02 counter .* : c057:2\b/);
});

test("killed at any moment of a change, the next converge makes it right", async () => {
  const host = await first();
  for (let attempt = 0; attempt < 12; attempt += 1) {
    const guests = attempt % 2 === 0 ? all : [];
    host.driver.send({ ask: "converge", plan: fabric.plan(host, guests, promised) });
    await new Promise((resolve) => setTimeout(resolve, attempt));
    await host.killDriver();
    await host.startDriver();
    await fabric.converge(guests, guests.length === 0 ? {} : promised);
    if (guests.length > 0) assert.ok(await fabric.reaches(a1, a2), `after attempt ${attempt}`);
  }
});

test("what somebody else removed is made again", async () => {
  const host = await first();
  await fabric.converge(all, promised);
  const [port] = /cstp\w+/.exec(await host.run("ip", "-brief", "link")) ?? [];
  await host.run("ip", "link", "del", port ?? "");
  await fabric.converge(all, promised);
  assert.ok(await fabric.reaches(a1, a2));
  assert.ok(await fabric.reaches(a3, a2));
});

test("an appliance whose namespace is missing keeps nobody else from the network", async () => {
  const host = await first();
  await fabric.converge([]);
  const plan = fabric.plan(host, all);
  const [missing, ...others] = plan.ports;
  assert.ok(missing);
  const broken = { ...plan, ports: [...others, { ...missing, netns: "/run/netns/gone" }] };
  await assert.rejects(host.converge(broken), /shop\/guest-1.*\/run\/netns\/gone is missing/);
  await Promise.all(fabric.hosts.slice(1).map((other) => other.converge(fabric.plan(other, all))));
  assert.ok(await fabric.reaches(a3, a2));
});

test("frames up to the planned size pass, larger ones do not; a new size applies to what is there", async () => {
  await fabric.converge(all, { mtu: 1450 });
  const whole = (size: number): Promise<boolean> =>
    fabric.reaches(a1, a2, "-M", "do", "-s", String(size - 28));
  assert.ok(await whole(1450));
  assert.equal(await whole(1451), false);
  await fabric.converge(all, { mtu: 1400 });
  assert.ok(await whole(1400));
  assert.equal(await whole(1401), false);
});

test("counters tell who sent how much to whom", async () => {
  await fabric.converge([]);
  await fabric.converge(all);
  assert.ok(await fabric.reaches(a1, a2));
  const counters = await (await first()).counters();
  const sent = counters.find((each) => each.fromMac.endsWith(":01") && each.toMac.endsWith(":02"));
  assert.ok(sent !== undefined && sent.packets >= 1 && sent.bytes >= 84, JSON.stringify(counters));
  assert.equal(sent.network, "shop/lan");
  assert.ok(
    counters.every((each) => !each.fromMac.endsWith(":02")),
    "frames are counted where their sender is",
  );
});
