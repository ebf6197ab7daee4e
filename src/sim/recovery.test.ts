import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { mebibytes } from "#base/units.ts";
import type { HostStanding } from "#cluster/records.ts";
import { sampleTopology } from "#cluster/sample.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { Operation } from "#protocol/http/operation.ts";
import { SimulatedCloud } from "#sim/cloud.ts";

const a1 = hostId("a1");
const preferring = { labels: {}, hosts: [a1, hostId("a2"), hostId("b1"), hostId("b2")] };

/** What runs and is not held, as "shop/web@a1". */
const executing = (cloud: SimulatedCloud): string[] =>
  [...cloud.machines.values()]
    .flatMap(({ host, appliances }) =>
      [...appliances].filter((one) => one.executes).map(({ id }) => `${id}@${host}`),
    )
    .sort();

const hostOf = (cloud: SimulatedCloud, id: string): string | undefined =>
  executing(cloud)
    .find((one) => one.startsWith(`${id}@`))
    ?.split("@")[1];

const standing = (cloud: SimulatedCloud, host: string): HostStanding | undefined =>
  cloud.stored(`standing/${host}`)[0]?.value as HostStanding | undefined;

const operations = (cloud: SimulatedCloud): Operation[] =>
  cloud.stored("operation/").map(({ value }) => (value as { operation: Operation }).operation);

/** Fails at the event that lets an appliance run on two hosts. */
function runsOnce(cloud: SimulatedCloud): void {
  cloud.onEvent(({ atMs }) => {
    const names = executing(cloud).map((one) => one.split("@")[0]);
    assert.equal(new Set(names).size, names.length, `at ${atMs} ms twice: ${executing(cloud).join(", ")}`);
  });
}

async function running(ensemble: Ensemble, seed: number): Promise<SimulatedCloud> {
  const cloud = new SimulatedCloud({
    topology: sampleTopology("vxlan"),
    seed,
    settings: { traceLinesKept: 200, freezesMessages: true },
  });
  cloud.start();
  runsOnce(cloud);
  await cloud.runUntil(3000);
  const call = cloud.client.ask("up", ensemble.name, (service, signal) => service.up(ensemble, signal));
  const wanted = ensemble.appliances.length;
  const isUp = await cloud.runUntilTrue(() => executing(cloud).length === wanted, 20_000);
  assert.ok(isUp, JSON.stringify(call));
  await cloud.runUntilQuiet(1500, 30_000);
  return cloud;
}

const shop = sampleEnsemble("shop", {
  appliances: [
    sampleAppliance("web", { placement: preferring, memoryBytes: mebibytes(100) }),
    sampleAppliance("db", { onHostLoss: "in-place", placement: { labels: {}, hosts: [a1] } }),
  ],
  placement: [{ rule: "together", scope: "host", appliances: ["web", "db"] }],
});
const free = sampleEnsemble("shop", { ...shop, placement: [] });

describe("the loss of a host", () => {
  it("starts elsewhere what may, leaves in place what must, and takes the host back clean", async () => {
    const cloud = await running(free, 1);
    const home = hostOf(cloud, "shop/web") ?? assert.fail("web runs nowhere");
    const lostAt = cloud.nowMs;
    cloud.inject({ atMs: lostAt + 1, kind: "power-loss", host: home, downForMs: 30_000 });
    const moved = await cloud.runUntilTrue(
      () => hostOf(cloud, "shop/web") !== undefined && hostOf(cloud, "shop/web") !== home,
      lostAt + 10_000,
    );
    assert.ok(moved, cloud.traceLines().join("\n"));
    assert.ok(cloud.nowMs - lostAt < 5500, `took ${cloud.nowMs - lostAt} ms`);
    assert.equal(standing(cloud, home)?.fenced, true);
    await cloud.runUntilTrue(() => standing(cloud, home)?.fenced === false, lostAt + 60_000);
    await cloud.runUntilQuiet(3000, lostAt + 90_000);
    assert.equal(hostOf(cloud, "shop/db"), "a1");
    assert.deepEqual(
      operations(cloud).map(({ kind, state }) => `${kind} ${state}`),
      ["up done", "recover done"].sort((a, b) => order(cloud, a) - order(cloud, b)),
    );
  });
});

const order = (cloud: SimulatedCloud, text: string): number =>
  operations(cloud).findIndex(({ kind, state }) => `${kind} ${state}` === text);
