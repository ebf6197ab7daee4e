import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { sampleTopology } from "#cluster/sample.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import { megabitsPerSecond } from "#base/units.ts";
import { SimulatedCloud } from "#sim/cloud.ts";
import type { CloudDescription } from "#sim/settings.ts";

const shop = sampleEnsemble("shop", {
  appliances: [
    sampleAppliance("web", { placement: { labels: {}, hosts: [hostId("a1")] } }),
    sampleAppliance("db", { placement: { labels: {}, hosts: [hostId("a2")] } }),
  ],
  links: [sampleLink("web", "db", { bandwidthBps: megabitsPerSecond(100) })],
});

function cloudOf(seed: number, fields: Partial<CloudDescription> = {}): SimulatedCloud {
  const settings = { traceLinesKept: 100, freezesMessages: true, ...fields.settings };
  const cloud = new SimulatedCloud({ topology: sampleTopology("vxlan"), seed, ...fields, settings });
  cloud.startCluster("cluster/1");
  for (const host of cloud.machines.keys()) cloud.startHost(host);
  return cloud;
}

const executing = (cloud: SimulatedCloud): string[] =>
  [...cloud.machines.values()]
    .flatMap(({ host, appliances }) =>
      [...appliances].filter((one) => one.executes).map(({ id }) => `${id}@${host}`),
    )
    .sort();

describe("a simulated cloud", () => {
  it("brings an ensemble up with the real managers, in virtual time", async () => {
    const cloud = cloudOf(1);
    await cloud.runUntil(3000);
    const call = cloud.client.ask("up", "shop", (service, signal) => service.up(shop, signal));
    const isUp = await cloud.runUntilTrue(() => executing(cloud).length === 2, 10_000);
    assert.ok(isUp, `${JSON.stringify(call)}\n${cloud.traceLines().join("\n")}`);
    assert.deepEqual(executing(cloud), ["shop/db@a2", "shop/web@a1"]);
    assert.equal(call.state, "answered");
  });
});
