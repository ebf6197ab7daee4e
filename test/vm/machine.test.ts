import assert from "node:assert/strict";
import { before, test } from "node:test";
import { millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { signal } from "../task/host.ts";
import { machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";

let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

test("a machine boots, runs programs by its agent, is found by the next driver, and powers off when asked", async () => {
  await using host = await machineHost(guest);
  const plan = machinePlanOf(guest);
  host.driver.contentCame(plan.id, millis(1234.5));
  await host.driver.create(plan, new Map(), signal);
  await host.driver.start(plan.id, signal);
  await whenSeen(host.driver, plan.id, ({ state }) => state === "running");
  await whenSeen(host.driver, plan.id, ({ vm }) => vm?.agent === "answers");
  let output = "";
  const onOutput = (_stream: string, chunk: Uint8Array): void => {
    output += Buffer.from(chunk).toString();
  };
  const command = ["sh", "-c", "cat /proc/sys/kernel/hostname; exit 3"];
  assert.equal(await host.driver.exec(plan.id, { command, env: {}, onOutput }, signal), 3);
  assert.equal(output, "db\n");
  const stages = ["image brought", "slot made", "set up", "QEMU started", "guest begun", "guest answers"];
  const created = host.driver.observe()[0]?.vm?.stages;
  assert.deepEqual(
    created?.map(({ stage }) => stage),
    stages,
  );
  const next = await host.reopen();
  const [found] = next.observe();
  assert.equal(found?.state, "running");
  assert.deepEqual(found?.vm?.stages, created, "what its creation took stays known");
  await next.stop(plan.id, millis(20_000), signal);
  assert.equal(next.observe()[0]?.state, "stopped");
});
