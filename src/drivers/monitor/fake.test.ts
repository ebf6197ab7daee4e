import assert from "node:assert/strict";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { monitorConformance } from "#drivers/monitor/conformance.ts";
import { FakeMonitorDriver } from "#drivers/monitor/fake.ts";

const one = applianceId(ensembleName("conformance"), applianceName("one"));

monitorConformance("fake", async () => {
  const driver = new FakeMonitorDriver();
  driver.present = new Set([one]);
  return {
    driver,
    source: { kind: "rtp", port: 5004 },
    target: { appliance: one, netns: "/run/netns/fake.one", names: new Map() },
    async [Symbol.asyncDispose]() {
      assert.deepEqual([...driver.plugged], []);
    },
  };
});
