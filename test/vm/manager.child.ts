import { seededRandom } from "#base/seeded-random.ts";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import { hostOptions, signal } from "../task/host.ts";
import { killQemu, machineOptions, machinePlanOf, tinyGuest } from "./machine-host.ts";

/**
 * A manager that does things with two machines and kills their QEMUs for ever, telling each before and after on its
 * output, until somebody kills it. Arguments: seed, and as JSON where its host is.
 */
const [seed, place] = process.argv.slice(2);
if (place === undefined) process.exit(2);

const random = seededRandom(Number(seed));
const guest = await tinyGuest();
const driver = new QemuDriver(machineOptions(hostOptions(JSON.parse(place) as object), guest));
await driver.recover(signal);
process.stdout.write("ready\n");

const steps = {
  create: (plan: ReturnType<typeof planOf>) => driver.create(plan, new Map(), signal),
  start: (plan: ReturnType<typeof planOf>) => driver.start(plan.id, signal),
  stop: (plan: ReturnType<typeof planOf>) => driver.stop(plan.id, millis(0), signal),
  destroy: (plan: ReturnType<typeof planOf>) => driver.destroy(plan.id, signal),
  kill: (plan: ReturnType<typeof planOf>) => Promise.resolve(killQemu(driver, plan.id)),
};

function planOf(name: string): ReturnType<typeof machinePlanOf> {
  const id = applianceId(ensembleName("crash"), applianceName(name));
  const restart = { when: "always", backoffMsMin: millis(5), backoffMsMax: millis(5) } as const;
  return machinePlanOf(guest, { id, restart });
}

await Promise.all(
  ["one", "two"].map(async (name) => {
    const plan = planOf(name);
    for (;;) {
      const present = driver.observe().some((one) => one.id === plan.id);
      const choices = present
        ? (["start", "start", "kill", "stop", "destroy"] as const)
        : (["create"] as const);
      const step = choices[random.integer(choices.length)] ?? "destroy";
      process.stdout.write(`begin ${step} ${name}\n`);
      // A QEMU that was killed as it began is an end like any other.
      await steps[step](plan).catch(() => {});
      process.stdout.write(`end ${step} ${name}\n`);
    }
  }),
);
