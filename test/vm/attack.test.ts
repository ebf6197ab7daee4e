import assert from "node:assert/strict";
import { test } from "node:test";
import { messageOf } from "#base/errors.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { kernelState } from "../network/kernel-state.ts";
import { clock, signal } from "../task/host.ts";
import { AttackedCloud } from "./attacked-cloud.ts";
import { isWarm, machineNames } from "./attacked-place.ts";
import type { MachineName } from "./attacked-place.ts";
import { AttackedWires } from "./attacked-wires.ts";
import { Attacker } from "./attacker.ts";
import { tinyGuest } from "./machine-host.ts";

/**
 * Random changes of what is wanted of a few machines on two hosts at two sites (their size and where they are, and
 * checkpoints that they are set back to, among them) and of their network (links, traffic, the tunnel between the sites),
 * while host managers, QEMUs, gateways and the lines of moves are killed, cables cut and parts of the network torn at
 * random moments; after each round, what is must be what is wanted, guests must reach each other, and what they knew
 * they must still know. `CONSORT_VM_OPERATIONS=1000` for long, `CONSORT_SEED` to repeat.
 */
const operations = Number(process.env["CONSORT_VM_OPERATIONS"] ?? 24);
const seed = Number(process.env["CONSORT_SEED"] ?? Date.now() % 2 ** 31);
/** Only to end with a reason instead of waiting for ever. */
const patienceMs = 300_000;
const delayMsMost = 1_500;

const random = seededRandom(seed);

test(`${operations} random operations under attack leave no machine lost or doubled, and nothing behind`, async (t) => {
  t.diagnostic(`CONSORT_SEED=${seed} CONSORT_VM_OPERATIONS=${operations}`);
  await using wires = await AttackedWires.make();
  const cloud = new AttackedCloud(await tinyGuest(), wires);
  const attacker = new Attacker(cloud, wires, random);
  const context = (): string => `seed ${seed}; ${attacker.done.slice(-20).join(", ")}`;
  const settle = async (): Promise<void> => {
    try {
      const giveUp = AbortSignal.timeout(patienceMs);
      await Promise.all([cloud.settled(giveUp), wires.settled(giveUp)]);
    } catch (cause) {
      assert.fail(`${messageOf(cause)}; ${context()}`);
    }
  };
  const kernels = (): Promise<readonly string[]> =>
    Promise.all(
      (["a", "b"] as const).map((host) => kernelState({ run: (...words) => wires.run(host, ...words) })),
    );
  let left: readonly string[] = [];
  const began = clock.monotonic();
  try {
    cloud.send();
    await settle();
    const before = await kernels();
    // The first machines of a host boot, and the second one asks for a snapshot that others there go on from.
    const first = { warm1: "a", warm2: "a", warm3: "b", warm4: "b" } as const;
    for (const [name, at] of Object.entries(first)) cloud.want(name as MachineName, { generation: 1, at });
    await settle();
    await cloud.warm(AbortSignal.timeout(patienceMs));
    for (let count = Object.keys(first).length; count < operations;) {
      const hurts = Array.from({ length: random.integer(6) }, () => attacker.hurt(delayMsMost));
      const names = machineNames.filter(() => random.integer(3) > 0).slice(0, operations - count);
      for (const name of names) attacker.change(name, true);
      const again = names.filter((name) => random.integer(isWarm(name) ? 3 : 9) === 0);
      for (let changes = random.integer(3); changes > 0; changes -= 1) attacker.changeNetwork();
      await clock.sleep(millis(random.integer(delayMsMost)), signal);
      for (const name of again) attacker.change(name, false);
      count += names.length + again.length;
      await Promise.all(hurts);
      await settle();
      attacker.keep();
      await attacker.remember().catch((cause: unknown) => assert.fail(`${messageOf(cause)}; ${context()}`));
    }
    for (const name of machineNames) cloud.want(name, undefined);
    wires.want("none");
    await settle();
    assert.deepEqual(await kernels(), before, context());
    assert.deepEqual(await wires.leftovers(), [], context());
  } finally {
    // What could not be taken away does not hide why the test failed.
    const ends = await Promise.allSettled([cloud.hosts.a.end(), cloud.hosts.b.end()]);
    left = ends.flatMap((end) => (end.status === "fulfilled" ? end.value : [messageOf(end.reason)]));
    t.diagnostic(attacker.summary(clock.monotonic() - began));
  }
  assert.deepEqual(left, [], context());
  assert.deepEqual([...cloud.hosts.a.fallen, ...cloud.hosts.b.fallen], [], context());
});
