import { millis } from "#base/units.ts";
import { conformancePlan } from "#drivers/appliance/conformance.ts";
import { BookedScheduler } from "#drivers/appliance/task/scheduler.fixture.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import { jsonLog } from "#drivers/system/log.ts";
import { cgroups, clock, signal } from "./host.ts";

/**
 * A manager that starts a leased appliance and renews its lease as often as it can, telling until when on its output,
 * until somebody stops it. Arguments: stateDir, cgroupParent, netnsPrefix, the command as JSON.
 */
const [stateDir, cgroupParent, netnsPrefix, command] = process.argv.slice(2);
if (stateDir === undefined || cgroupParent === undefined || netnsPrefix === undefined) process.exit(2);
const log = jsonLog({ clock, fd: 2, level: "warn" });
const scheduler = new BookedScheduler();
const driver = new TaskDriver({
  stateDir,
  cgroupParent,
  netnsPrefix,
  cgroups,
  scheduler,
  clock,
  log,
  poolSize: 0,
});
await driver.recover(signal);

const leaseMs = 300;
/** Told first: whatever is granted later than this is known to nobody. */
function renew(): void {
  const endNs = process.hrtime.bigint() + BigInt(leaseMs) * 1_000_000n;
  process.stdout.write(`${endNs}\n`);
  driver.renewLease(millis(clock.monotonic() + leaseMs));
}

const plan = conformancePlan({ command: JSON.parse(command ?? "[]") as string[], leased: true });
await driver.create(plan, new Map(), signal);
renew();
await driver.start(plan.id, signal);
for (;;) {
  renew();
  await clock.sleep(millis(20), signal);
}
