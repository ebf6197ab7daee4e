import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { messageOf } from "#base/errors.ts";
import { mebibytes, millis } from "#base/units.ts";
import type { HostStanding } from "#cluster/records.ts";
import { sampleTopology } from "#cluster/sample.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { Explanation } from "#protocol/http/plan.ts";
import type { ApplianceStatus } from "#protocol/http/status.ts";
import { HostManager } from "#host/manager.ts";
import { SimulatedCloud } from "#sim/cloud.ts";
import type { SimulationSettings } from "#sim/settings.ts";

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

async function running(
  ensemble: Ensemble,
  seed: number,
  settings: Partial<SimulationSettings> = {},
): Promise<SimulatedCloud> {
  const cloud = new SimulatedCloud({
    topology: sampleTopology("vxlan"),
    seed,
    settings: { traceLinesKept: 200, freezesMessages: true, ...settings },
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
const spread = sampleEnsemble("shop", {
  appliances: [
    sampleAppliance("web", { placement: preferring }),
    sampleAppliance("db", { onHostLoss: "in-place", placement: preferring }),
  ],
});

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

  it("says of what stays in place which host it waits for, in its status and in explain", async () => {
    const cloud = await running(free, 1);
    cloud.inject({ atMs: cloud.nowMs + 1, kind: "power-loss", host: "a1", downForMs: 60_000 });
    await cloud.runUntil(cloud.nowMs + 8000);
    const looked = cloud.client.ask("explain", "shop", async (service, signal) => {
      const explanation = await service.explain("shop", signal);
      const { appliances } = await service.ensemble("shop", signal);
      return {
        explained: explanation.appliances.find(({ appliance }) => appliance === "shop/db"),
        told: appliances.find(({ name }) => name === "db"),
      };
    });
    await cloud.runUntilTrue(() => looked.state !== "asked", cloud.nowMs + 2000);
    const { explained, told } = looked.answer as {
      explained: Explanation["appliances"][number];
      told: ApplianceStatus;
    };
    const waits = "waits for a1, which is lost: restart: in-place";
    assert.equal(explained.binding, waits);
    assert.equal(explained.candidates.find(({ host }) => host === "a1")?.verdict, waits);
    const { state, message, restart, startedAtMs } = told;
    assert.deepEqual([state, message, restart, startedAtMs], ["lost", waits, "in-place", undefined]);
  });

  it("moves nothing because the cluster manager itself stood still", async () => {
    const cloud = await running(free, 2);
    const before = executing(cloud);
    cloud.inject({ atMs: cloud.nowMs + 1, kind: "pause", process: "cluster/1", forMs: 6000 });
    await cloud.runUntil(cloud.nowMs + 20_000);
    assert.deepEqual(executing(cloud), before);
    assert.deepEqual(
      operations(cloud).map(({ kind }) => kind),
      ["up"],
    );
  });

  it("gives a forgotten host none of its old plan, should a new machine come under its name", async () => {
    const inPlace = sampleEnsemble("shop", {
      appliances: [sampleAppliance("db", { onHostLoss: "in-place", placement: preferring })],
    });
    const replaced = new Set<string>();
    const cloud = await running(inPlace, 3, {
      hostManager: (parts) => {
        const isNew = (): boolean => replaced.has(parts.identity.host);
        const load: typeof parts.keeper.load = (signal) =>
          isNew() ? Promise.resolve(undefined) : parts.keeper.load(signal);
        const save: typeof parts.keeper.save = (plan, signal) => parts.keeper.save(plan, signal);
        return new HostManager({ ...parts, keeper: { load, save } });
      },
    });
    const home = hostOf(cloud, "shop/db") ?? assert.fail("db runs nowhere");
    cloud.inject({ atMs: cloud.nowMs + 1, kind: "power-loss", host: home, downForMs: 20_000 });
    await cloud.runUntil(cloud.nowMs + 8000);
    assert.equal(hostOf(cloud, "shop/db"), undefined, "what is to stay in place waits");
    const early = cloud.client.ask("forget", home, (service, signal) => service.forget(home, {}, signal));
    await cloud.runUntil(cloud.nowMs + 1000);
    assert.match(messageOf(early.error), /Cannot forget .*: shop\/db may run there still.* --gone$/);
    cloud.client.ask("forget", home, (service, signal) => service.forget(home, { gone: true }, signal));
    await cloud.runUntil(cloud.nowMs + 5000);
    const next = hostOf(cloud, "shop/db");
    assert.ok(next !== undefined && next !== home);
    cloud.machines.get(hostId(home))?.present.clear();
    replaced.add(home);
    await cloud.runUntilTrue(() => standing(cloud, home)?.fenced === false, cloud.nowMs + 60_000);
    assert.equal(standing(cloud, home)?.fenced, false);
    assert.equal(hostOf(cloud, "shop/db"), next);
  });

  it("does not run a second time what is never restarted, though its host is given up", async () => {
    const job = sampleEnsemble("shop", {
      appliances: [
        sampleAppliance("job", {
          onHostLoss: "in-place",
          placement: preferring,
          restart: { when: "never", backoffMsMin: millis(1), backoffMsMax: millis(1) },
        }),
      ],
    });
    const cloud = await running(job, 4);
    const home = hostOf(cloud, "shop/job") ?? assert.fail("job runs nowhere");
    cloud.inject({ atMs: cloud.nowMs + 1, kind: "power-loss", host: home, downForMs: 600_000 });
    await cloud.runUntil(cloud.nowMs + 8000);
    cloud.client.ask("forget", home, (service, signal) => service.forget(home, { gone: true }, signal));
    await cloud.runUntilQuiet(3000, cloud.nowMs + 30_000);
    assert.deepEqual(executing(cloud), []);
  });
});

describe("the drain of a host", () => {
  it("moves all of it, what is to stay in place too, and leaves it cordoned", async () => {
    const cloud = await running(spread, 5);
    const host = hostOf(cloud, "shop/db") ?? assert.fail("db runs nowhere");
    cloud.client.ask("drain", host, (service, signal) => service.drain(host, signal));
    await cloud.runUntilQuiet(3000, cloud.nowMs + 60_000);
    assert.equal(executing(cloud).length, 2);
    assert.ok(!executing(cloud).some((one) => one.endsWith(`@${host}`)));
    assert.equal(standing(cloud, host)?.scheduling, "cordoned");
    assert.ok(operations(cloud).some(({ kind, state }) => kind === "drain" && state === "done"));
  });

  it("is refused for a lost host, and for a gateway", async () => {
    const cloud = await running(spread, 6);
    cloud.inject({ atMs: cloud.nowMs + 1, kind: "power-loss", host: "a1", downForMs: 60_000 });
    await cloud.runUntil(cloud.nowMs + 8000);
    const asked = ["a1", "gw-alpha"].map((host) =>
      cloud.client.ask("drain", host, (service, signal) => service.drain(host, signal)),
    );
    await cloud.runUntil(cloud.nowMs + 2000);
    const messages = asked.map(({ error }) => messageOf(error));
    assert.match(messages[0] ?? "", /a1: it is lost/);
    assert.match(messages[1] ?? "", /gateway of site alpha/);
  });
});

const order = (cloud: SimulatedCloud, text: string): number =>
  operations(cloud).findIndex(({ kind, state }) => `${kind} ${state}` === text);
