import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Random } from "#base/runtime.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { megabitsPerSecond } from "#base/units.ts";
import { rootMinor } from "#drivers/network/class-numbers.ts";
import { noNumbers, wantedShaping } from "#drivers/network/shaping.ts";
import { outlineOf } from "./class-outline.ts";
import type { Classes } from "./class-outline.ts";
import { Fabric, shaped, trafficOf } from "./fabric.ts";
import type { Guest, PlanExtra, TestHost } from "./fabric.ts";
import { kernelState } from "./kernel-state.ts";

/** Rates change at random while drivers are killed, and what they made is taken away behind their backs. */

const guest = (number: number, host: number): Guest => ({
  ensemble: "shop",
  network: "lan",
  name: `guest-${number}`,
  host,
  number,
});
const here = [1, 2, 3].map((number) => guest(number, 1));
const far = guest(4, 2);
const all = [...here, far];
const linkMbit = 100;

let fabric: Fabric;
before(async () => {
  fabric = await Fabric.make(2, megabitsPerSecond(linkMbit));
  await fabric.addGuests(all);
});
after(() => fabric[Symbol.asyncDispose]());

/** At most so much in all, of what may be promised on the link with the tunnel's headers. */
function randomExtra(random: Random): Required<Omit<PlanExtra, "mtu" | "naming">> {
  const budget = { out: 90, in: 90 };
  const take = (way: "out" | "in"): number => {
    const taken = random.integer(Math.min(30, budget[way])) + 1;
    budget[way] -= taken;
    return taken * 1e6;
  };
  const linked = here.filter(() => random.integer(2) === 0).map((one) => [one, take("out")] as const);
  const traffic = here.flatMap((one) => {
    const rates = [
      { out: take("out") },
      { in: take("in") },
      { out: take("out"), in: take("in") },
      { outCeiling: 40e6, inCeiling: 40e6 },
      undefined,
    ][random.integer(5)];
    return rates === undefined ? [] : [trafficOf(one, rates, random.integer(8))];
  });
  return { shaped: linked.map(([one, rate]) => shaped(one, far, rate)), traffic };
}

/** The same classes with other rates: what an adaptation changes. */
function withOtherRates(extra: Required<Omit<PlanExtra, "mtu" | "naming">>, random: Random): typeof extra {
  const other = <Rate extends number | undefined>(rate: Rate): Rate =>
    (rate === undefined ? rate : Math.max(1e5, Math.round(rate * (0.2 + 0.8 * random.next())))) as Rate;
  return {
    shaped: extra.shaped.map((pair) => ({ ...pair, rateBps: other(pair.rateBps) })),
    traffic: extra.traffic.map((each) => ({
      ...each,
      ...(each.outBps === undefined ? {} : { outBps: other(each.outBps) }),
      ...(each.inBps === undefined ? {} : { inBps: other(each.inBps) }),
    })),
  };
}

async function shownOn(host: TestHost, link: string): Promise<Classes> {
  const isThere = (await host.run("ls", "/sys/class/net")).split("\n").includes(link);
  if (!isThere) return [];
  const index = Number(await host.run("cat", `/sys/class/net/${link}/ifindex`));
  return (await host.ask({ ask: "classes", index })).value as Classes;
}

function wantedOn(link: string, host: TestHost, extra: PlanExtra): Classes {
  const { classes } = wantedShaping(fabric.plan(host, all, extra), noNumbers, {
    mark: "cst",
    uplink: { interface: "uplink", bandwidthBps: megabitsPerSecond(linkMbit) },
  });
  return [...(classes.get(link) ?? [])];
}

test("whatever changes and whoever is killed, the kernel has the classes of the last plan, never more than the link, and traffic passes", async () => {
  const [host] = fabric.hosts;
  assert.ok(host);
  await fabric.converge([]);
  const empty = await kernelState(host);
  const seed = Number(process.env["SEED"] ?? 20_261_121);
  const random = seededRandom(seed);
  await fabric.converge(all);
  let extra = randomExtra(random);
  for (let step = 0; step < 60; step += 1) {
    const context = `seed ${seed}, step ${step}`;
    extra = random.integer(3) === 0 ? randomExtra(random) : withOtherRates(extra, random);
    const plan = fabric.plan(host, all, extra);
    if (random.integer(4) === 0) {
      host.driver.send({ ask: "converge", plan });
      await new Promise((resolve) => setTimeout(resolve, random.integer(4)));
      await host.killDriver();
      await host.startDriver();
    } else if (random.integer(6) === 0) {
      const links = (await host.run("ls", "/sys/class/net")).split("\n");
      if (links.includes("cstifb")) await host.run("ip", "link", "del", "cstifb");
    }
    await host.converge(plan);
    for (const link of ["uplink", "cstifb"]) {
      const shown = await shownOn(host, link);
      assert.deepEqual(outlineOf(shown), outlineOf(wantedOn(link, host, extra)), `${link}, ${context}`);
      const whole = new Map(shown).get(rootMinor)?.rateBytes ?? 0;
      const sum = shown.reduce(
        (total, [, { parent, rateBytes }]) => total + (parent === rootMinor ? rateBytes : 0),
        0,
      );
      assert.ok(sum <= whole, `${sum} of ${whole} bytes a second promised on ${link}, ${context}`);
    }
    assert.ok(await fabric.reaches(here[step % 3] ?? far, far), context);
  }
  await fabric.converge([]);
  assert.equal(await kernelState(host), empty);
});
