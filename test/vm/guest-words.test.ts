import assert from "node:assert/strict";
import { before, test } from "node:test";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { signal } from "../task/host.ts";
import { machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";

let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

test("how a guest's command ended is told while its machine runs on, also by the next driver", async () => {
  await using host = await machineHost(guest);
  const plan = machinePlanOf(guest, { command: ["sh", "-c", "exit 7"] });
  await host.driver.create(plan, new Map(), signal);
  await host.driver.start(plan.id, signal);
  const ended = "Its command ended with exit code 7; its machine runs on";
  const seen = await whenSeen(host.driver, plan.id, ({ message }) => message === ended);
  assert.equal(seen.state, "running");
  const next = await host.reopen();
  const again = await whenSeen(next, plan.id, ({ message }) => message === ended);
  assert.equal(again.state, "running");
});
