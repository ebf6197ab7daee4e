import { seededRandom } from "#base/seeded-random.ts";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { conformancePlan } from "#drivers/appliance/conformance.ts";
import { BookedScheduler } from "#drivers/appliance/task/scheduler.fixture.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import { jsonLog } from "#drivers/system/log.ts";
import { cgroups, clock, programs, signal } from "./host.ts";

/**
 * A manager that does things with three appliances for ever, telling each before and after on its output, until
 * somebody kills it. Arguments: seed, stateDir, cgroupParent, netnsPrefix.
 */
const [seed, stateDir, cgroupParent, netnsPrefix] = process.argv.slice(2);
if (stateDir === undefined || cgroupParent === undefined || netnsPrefix === undefined) process.exit(2);

const random = seededRandom(Number(seed));
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
  poolSize: 2,
});
await driver.recover(signal);
driver.renewLease(millis(clock.monotonic() + 3_600_000));
process.stdout.write("ready\n");

const names = ["one", "two", "three"];
const steps = {
  create: (plan: ReturnType<typeof planOf>) => driver.create(plan, new Map(), signal),
  start: (plan: ReturnType<typeof planOf>) => driver.start(plan.id, signal),
  stop: (plan: ReturnType<typeof planOf>) => driver.stop(plan.id, millis(0), signal),
  destroy: (plan: ReturnType<typeof planOf>) => driver.destroy(plan.id, signal),
};

function planOf(name: string): ReturnType<typeof conformancePlan> {
  const id = applianceId(ensembleName("crash"), applianceName(name));
  return conformancePlan({ id, command: programs.stays(), leased: name !== "one" });
}

await Promise.all(
  names.map(async (name) => {
    const plan = planOf(name);
    for (;;) {
      const present = driver.observe().some((one) => one.id === plan.id);
      const choices = present ? (["start", "start", "stop", "destroy"] as const) : (["create"] as const);
      const step = choices[random.integer(choices.length)] ?? "destroy";
      process.stdout.write(`begin ${step} ${name}\n`);
      await steps[step](plan);
      process.stdout.write(`end ${step} ${name}\n`);
    }
  }),
);
