import { seededRandom } from "#base/seeded-random.ts";
import { codeOf } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { names, openAttacked, planOf, reserved } from "./attack-plan.ts";
import { clock, signal } from "./host.ts";

/**
 * A manager that changes the reservations of a few appliances for ever, suspends, restarts and destroys them, until
 * somebody kills it. Arguments: seed, runDir, stateDir, cgroupParent, netnsPrefix.
 */
const [seed, runDir, stateDir, cgroupParent, netnsPrefix] = process.argv.slice(2);
if (runDir === undefined || stateDir === undefined || cgroupParent === undefined || netnsPrefix === undefined)
  process.exit(2);

const random = seededRandom(Number(seed));
const { driver } = await openAttacked({ runDir, stateDir, cgroupParent, netnsPrefix });
process.stdout.write("ready\n");

const sizes = [2, 4, 6, 8, 12, 16, 24];
const pick = <Item>(items: readonly Item[]): Item => items[random.integer(items.length)] as Item;

const steps = {
  create: async (name) => {
    await driver.create(planOf(name, pick(sizes)), new Map(), signal);
  },
  start: (name) => driver.start(planOf(name, 1).id, signal),
  move: (name) => {
    const other = pick(names);
    const changes = [name, other].map((one) => [planOf(one, 1).id, { cpu: reserved(pick(sizes)) }] as const);
    return driver.adapt(new Map(changes), signal);
  },
  enforce: (name) => {
    const enforcement = pick(["auto", "dispatch-table", "bandwidth"] as const);
    return driver.adapt(new Map([[planOf(name, 1).id, { enforcement }]]), signal);
  },
  suspend: (name) => driver.suspend(planOf(name, 1).id, signal),
  resume: (name) => driver.resume(planOf(name, 1).id, signal),
  stop: (name) => driver.stop(planOf(name, 1).id, millis(0), signal),
  destroy: (name) => driver.destroy(planOf(name, 1).id, signal),
} satisfies Record<string, (name: (typeof names)[number]) => Promise<void>>;

const likely = ["create", "start", "start", "move", "move", "move", "enforce", "suspend", "resume", "resume"];
/** What may be refused: there is no such appliance, no room, or it is not in the state for it. */
const refusals = new Set(["not_found", "unsatisfiable", "conflict"]);

for (;;) {
  const step = pick([...likely, ...likely, ...likely, "stop", "destroy"]) as keyof typeof steps;
  const name = pick(names);
  try {
    await steps[step](name);
  } catch (cause) {
    if (!refusals.has(codeOf(cause))) {
      process.stdout.write(`failed ${step} ${name}: ${String(cause)}\n`);
    }
  }
  await clock.sleep(millis(random.integer(8)), signal);
}
