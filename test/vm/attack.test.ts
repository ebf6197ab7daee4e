import assert from "node:assert/strict";
import { test } from "node:test";
import { messageOf } from "#base/errors.ts";
import { hostId } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { mebibytes, millis } from "#base/units.ts";
import { clock, signal } from "../task/host.ts";
import { AttackedCloud, otherHost } from "./attacked-cloud.ts";
import type { Wanted } from "./attacked-cloud.ts";
import { idOf, machineNames } from "./attacked-place.ts";
import type { MachineName } from "./attacked-place.ts";
import { tinyGuest } from "./machine-host.ts";

/**
 * Random changes of what is wanted of a few machines on two hosts (their size and where they are, and checkpoints that
 * they are set back to, among them), while host managers, QEMUs, the lines of moves and
 * the machines' links are killed at random moments; after each round, what is must be what is wanted, and what guests
 * knew they must still know. `CONSORT_VM_OPERATIONS=1000` for long, `CONSORT_SEED` to repeat.
 */
const operations = Number(process.env["CONSORT_VM_OPERATIONS"] ?? 24);
const seed = Number(process.env["CONSORT_SEED"] ?? Date.now() % 2 ** 31);
/** Only to end with a reason instead of waiting for ever. */
const patienceMs = 300_000;
const delayMsMost = 1_500;
const asksMost = 5;

const random = seededRandom(seed);
const pick = <Item>(items: readonly Item[]): Item => items[random.integer(items.length)] as Item;

/** What a guest was told last, and where it must still know it. */
type Memory = { readonly words: string; inMemory: boolean };

class Attack {
  readonly cloud: AttackedCloud;
  readonly #memories = new Map<MachineName, Memory>();
  /** The newest checkpoint of each machine, and what its guest knew then. */
  readonly #taken = new Map<
    MachineName,
    { readonly from: NonNullable<Wanted["restore"]>; readonly memory: Memory }
  >();
  #moves = 0;
  /** Questions that a guest did not answer in time, and was asked again. */
  unanswered = 0;
  /** What was done, newest last. */
  readonly done: string[] = [];

  constructor(cloud: AttackedCloud) {
    this.cloud = cloud;
  }

  /** One change of what is wanted; of what has not settled, none but what makes all before it void. */
  change(name: MachineName, hasSettled: boolean): void {
    const wanted = this.cloud.wanted.get(name);
    const steps = wanted === undefined ? ["create" as const] : stepsOf(name, wanted, hasSettled);
    const step = pick(
      hasSettled && this.#taken.has(name) ? [...steps, "restore" as const, "restore" as const] : steps,
    );
    this.done.push(`${step} ${name}`);
    this.cloud.want(name, this.#after(step, name, wanted));
    const taken = this.#taken.get(name);
    if (step === "restore" && taken !== undefined) this.#memories.set(name, { ...taken.memory });
    if (step !== "create" && step !== "remake" && step !== "destroy") return;
    this.#memories.delete(name);
    this.#taken.delete(name);
  }

  #after(step: Step, name: MachineName, wanted: Wanted | undefined): Wanted | undefined {
    if (wanted === undefined) return { generation: random.integer(2 ** 31), at: pick(["a", "b"]) };
    const { suspended: _held, ...others } = wanted;
    const generation = random.integer(2 ** 31);
    switch (step) {
      case "create":
      case "remake":
        return { generation, at: wanted.at };
      case "destroy":
        return undefined;
      case "checkpoint":
        return { ...wanted, checkpoint: `${name}-${this.done.length}` };
      case "restore": {
        const { from } = this.#taken.get(name)!;
        const { vcpus, memoryBytes } = wanted;
        return {
          generation,
          at: pick(from.copies.hosts) as Wanted["at"],
          restore: from,
          ...(vcpus === undefined ? {} : { vcpus }),
          ...(memoryBytes === undefined ? {} : { memoryBytes }),
        };
      }
      case "suspend":
        return { ...others, suspended: true };
      case "resume":
        return others;
      case "resize":
        return {
          ...wanted,
          memoryBytes: mebibytes(128 + 64 * random.integer(3)),
          vcpus: 1 + random.integer(2),
        };
      case "move": {
        this.#moves += 1;
        const [from, to] = [hostId(wanted.at), hostId(otherHost(wanted.at))];
        const move = { move: `${name}-${this.#moves}`, token: random.hex(16), pathsBefore: [] };
        return { ...wanted, move: { ...move, from, to, state: "moving" } };
      }
    }
    return step satisfies never;
  }

  /** What was to be taken was, unless its QEMU was hit; then the one before is still good. */
  keep(): void {
    for (const [name, { checkpoint, ...wanted }] of this.cloud.wanted) {
      if (checkpoint === undefined) continue;
      const from = this.cloud.taken(name);
      const memory = this.#memories.get(name);
      if (from !== undefined && memory !== undefined) this.#taken.set(name, { from, memory: { ...memory } });
      this.cloud.want(name, wanted);
    }
  }

  async hurt(): Promise<void> {
    const host = pick(["a", "b"] as const);
    const name = pick(machineNames);
    const blow = pick(["manager", "manager", "QEMU", "QEMU", "both", "lines", "links"] as const);
    // All of the plan is drawn before anything takes its time, so that a seed repeats it.
    const [afterMs, forMs] = [random.integer(delayMsMost), random.integer(delayMsMost)];
    await clock.sleep(millis(afterMs), signal);
    this.done.push(`kill ${blow} of ${host} ${blow === "QEMU" || blow === "both" ? name : ""}`.trim());
    const { hosts } = this.cloud;
    if (blow === "manager" || blow === "both") hosts[host].killManager();
    if (blow === "lines") hosts[host].killRelays();
    if (blow === "links") {
      await hosts[host].setLinks("down");
      await clock.sleep(millis(forMs), signal);
      await hosts[host].setLinks("up");
    }
    if (blow === "QEMU" || blow === "both") {
      const memory = this.#memories.get(name);
      if (hosts[host].killQemus(idOf(name)) > 0 && memory !== undefined) memory.inMemory = false;
    }
  }

  summary(tookMs: number): string {
    const counts = Map.groupBy(this.done, (words) =>
      words
        .split(" ")
        .slice(0, words.startsWith("kill") ? 2 : 1)
        .join(" "),
    );
    const told = [...counts].map(([what, all]) => `${all.length} × ${what}`).toSorted();
    return `${told.join(", ")}; ${this.unanswered} questions asked again; ${Math.round(tookMs / 1000)} s`;
  }

  /** A guest on a busy host may not answer in time. */
  async #ask(name: MachineName, at: "a" | "b", script: string): Promise<string> {
    for (let refused = 1; ; refused += 1) {
      try {
        return await this.cloud.hosts[at].run(idOf(name), script);
      } catch (cause) {
        if (refused === asksMost) throw new Error(`${name} on ${at}: ${messageOf(cause)}`, { cause });
        this.unanswered += 1;
      }
    }
  }

  /** Every guest that runs still knows what it was told, and is told something else. */
  async remember(): Promise<void> {
    await Promise.all(
      [...this.cloud.wanted].map(async ([name, { at, suspended, vcpus = 1 }]) => {
        if (suspended === true) return;
        const before = this.#memories.get(name);
        const words = String(this.done.length);
        const home = name === "cold" ? "/home/words" : "/dev/null";
        const said = await this.#ask(
          name,
          at,
          `${settledProcessors(vcpus)}; cat /tmp/words 2> /dev/null; echo and; cat ${home}; ` +
            `echo and; echo ${words} | tee /tmp/words > ${home}; sync`,
        );
        this.#memories.set(name, { words, inMemory: true });
        const [processors, inMemory, onDisk] = said.split("and").map((text) => text.trim());
        assert.equal(processors, String(vcpus), `${name} uses other processors than it was given`);
        if (before === undefined) return;
        // One whose answer was lost may have done as it was asked.
        const known = new Set([before.words, words]);
        if (before.inMemory) assert.ok(known.has(inMemory ?? ""), `${name} has lost its memory`);
        if (name === "cold") assert.ok(known.has(onDisk ?? ""), `${name} has lost its disk`);
      }),
    );
  }
}

/** Until a guest uses so many, which may take it a moment after it came to answer; then says how many it uses. */
const settledProcessors = (count: number): string => {
  const used = "grep -c ^processor /proc/cpuinfo";
  return `for i in $(seq 150); do [ $(${used}) = ${count} ] && break; sleep 0.1; done; ${used}; echo and`;
};

type Step =
  | "create"
  | "remake"
  | "destroy"
  | "suspend"
  | "resume"
  | "resize"
  | "move"
  | "checkpoint"
  | "restore";

function stepsOf(name: MachineName, { suspended }: Wanted, hasSettled: boolean): readonly Step[] {
  if (!hasSettled) return ["remake", "destroy"];
  if (suspended === true) return ["resume", "resume", "resume", "destroy"];
  const some: readonly Step[] = ["move", "move", "checkpoint", "checkpoint", "suspend", "remake", "destroy"];
  return name === "cold" ? [...some, "resize"] : some;
}

test(`${operations} random operations under attack leave no machine lost or doubled, and nothing behind`, async (t) => {
  t.diagnostic(`CONSORT_SEED=${seed} CONSORT_VM_OPERATIONS=${operations}`);
  const cloud = new AttackedCloud(await tinyGuest());
  const attack = new Attack(cloud);
  const context = (): string => `seed ${seed}; ${attack.done.slice(-12).join(", ")}`;
  const settle = async (): Promise<void> => {
    try {
      await cloud.settled(AbortSignal.timeout(patienceMs));
    } catch (cause) {
      assert.fail(`${messageOf(cause)}; ${context()}`);
    }
  };
  let left: readonly string[] = [];
  const began = clock.monotonic();
  try {
    for (let count = 0; count < operations;) {
      const hurts = Array.from({ length: random.integer(3) }, () => attack.hurt());
      const names = machineNames.filter(() => random.integer(3) > 0);
      for (const name of names) attack.change(name, true);
      const again = names.filter(() => random.integer(3) === 0);
      await clock.sleep(millis(random.integer(delayMsMost)), signal);
      for (const name of again) attack.change(name, false);
      count += names.length + again.length;
      await Promise.all(hurts);
      await settle();
      attack.keep();
      await attack.remember().catch((cause: unknown) => assert.fail(`${messageOf(cause)}; ${context()}`));
    }
    for (const name of machineNames) cloud.want(name, undefined);
    await settle();
  } finally {
    const ends = await Promise.all([cloud.hosts.a.end(), cloud.hosts.b.end()]);
    left = ends.flat();
    t.diagnostic(attack.summary(clock.monotonic() - began));
  }
  assert.deepEqual(left, [], context());
  assert.deepEqual([...cloud.hosts.a.fallen, ...cloud.hosts.b.fallen], [], context());
});
