import assert from "node:assert/strict";
import { it } from "node:test";
import { messagingConformance } from "#drivers/messaging/conformance.ts";
import { fakeBus } from "#drivers/messaging/fake.ts";
import type { FakeBus } from "#drivers/messaging/fake.ts";
import { silentLog } from "#drivers/system/log.ts";

let bus: FakeBus;
messagingConformance("the fake bus", {
  open: async () => {
    bus = fakeBus(silentLog);
    return bus.connect("cluster");
  },
  connect: (address, hears) => bus.connect(address, hears),
  clear: async () => {},
});

it("fakeBus() cuts an end off and mends it", async () => {
  const pair = fakeBus(silentLog);
  const cluster = pair.connect("cluster");
  const host = pair.connect("host/a1");
  await Promise.resolve();
  pair.cut("host/a1");
  await Promise.resolve();
  assert.deepEqual([cluster.present(), host.present()], [[], []]);
  pair.mend("host/a1");
  await Promise.resolve();
  assert.deepEqual([cluster.present(), host.present()], [["host/a1"], ["cluster"]]);
});
