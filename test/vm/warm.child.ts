import { millis } from "#base/units.ts";
import { hostOptions, clock, signal } from "../task/host.ts";
import { tinyGuest } from "./machine-host.ts";
import { insistentPlan, warmDriver } from "./warm-driver.ts";

/** A manager that has a snapshot made for a machine that insists on one, until somebody kills it. */
const [place, warmDir] = process.argv.slice(2);
if (place === undefined || warmDir === undefined) process.exit(2);

const guest = await tinyGuest();
const { driver } = warmDriver(hostOptions(JSON.parse(place) as object), guest, warmDir);
await driver.recover(signal);
const plan = insistentPlan(guest);
await driver.create(plan, new Map(), signal);
process.stdout.write("begun\n");
for (;;) {
  await driver.start(plan.id, signal).catch(() => {});
  await clock.sleep(millis(50), signal);
}
