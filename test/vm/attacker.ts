import assert from "node:assert/strict";
import { messageOf } from "#base/errors.ts";
import { hostId } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import { mebibytes, millis } from "#base/units.ts";
import { clock, signal } from "../task/host.ts";
import { otherHost } from "./attacked-cloud.ts";
import type { AttackedCloud, Wanted } from "./attacked-cloud.ts";
import { megabits } from "./attacked-networks.ts";
import { addressOf, idOf, isWarm, machineNames } from "./attacked-place.ts";
import type { MachineName } from "./attacked-place.ts";
import { tunnelKinds } from "./attacked-wires.ts";
import type { AttackedWires } from "./attacked-wires.ts";

const asksMost = 5;
const hosts = ["a", "b"] as const;

/** What a guest was told last, and where it must still know it. */
type Memory = { readonly words: string; inMemory: boolean };

/** What can be done to a host; what is there twice is done more often. */
const blows = [
  "manager",
  "manager",
  "QEMU",
  "QEMU",
  "both",
  "lines",
  "names",
  "ports",
  "cable",
  "way out",
  "silence",
  "bridge",
  "vxlan",
  "veth",
  "gateway",
  "tunnel",
] as const;

/** Draws what is wanted of machines and their network, and what is done to both. */
export class Attacker {
  readonly #cloud: AttackedCloud;
  readonly #wires: AttackedWires;
  readonly #random: Random;
  readonly #memories = new Map<MachineName, Memory>();
  /** The newest checkpoint of each machine, and what its guest knew then. */
  readonly #taken = new Map<
    MachineName,
    { readonly from: NonNullable<Wanted["restore"]>; readonly memory: Memory }
  >();
  #moves = 0;
  /** Questions that a guest did not answer in time, and was asked again. */
  unanswered = 0;
  /** QEMUs that were killed. */
  hits = 0;
  /** What was done, newest last. */
  readonly done: string[] = [];

  constructor(cloud: AttackedCloud, wires: AttackedWires, random: Random) {
    this.#cloud = cloud;
    this.#wires = wires;
    this.#random = random;
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[this.#random.integer(items.length)] as Item;
  }

  /** One change of what is wanted; of what has not settled, none but what makes all before it void. */
  change(name: MachineName, hasSettled: boolean): void {
    const wanted = this.#cloud.wanted.get(name);
    const steps = wanted === undefined ? ["create" as const] : stepsOf(name, wanted, hasSettled);
    const step = this.#pick(
      hasSettled && this.#taken.has(name) ? [...steps, "restore" as const, "restore" as const] : steps,
    );
    this.done.push(`${step} ${name}`);
    this.#cloud.want(name, this.#after(step, name, wanted));
    const taken = this.#taken.get(name);
    if (step === "restore" && taken !== undefined) this.#memories.set(name, { ...taken.memory });
    if (step !== "create" && step !== "remake" && step !== "destroy") return;
    this.#memories.delete(name);
    this.#taken.delete(name);
  }

  #after(step: Step, name: MachineName, wanted: Wanted | undefined): Wanted | undefined {
    if (wanted === undefined)
      return { generation: this.#random.integer(2 ** 31), at: this.#pick(["a", "b"]) };
    const { suspended: _held, ...others } = wanted;
    const generation = this.#random.integer(2 ** 31);
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
          at: this.#pick(from.copies.hosts) as Wanted["at"],
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
          memoryBytes: mebibytes(128 + 64 * this.#random.integer(3)),
          vcpus: 1 + this.#random.integer(2),
        };
      case "move": {
        this.#moves += 1;
        const [from, to] = [hostId(wanted.at), hostId(otherHost(wanted.at))];
        const move = { move: `${name}-${this.#moves}`, token: this.#random.hex(16), pathsBefore: [] };
        return { ...wanted, move: { ...move, from, to, state: "moving" } };
      }
    }
    return step satisfies never;
  }

  /** What was to be taken was, unless its QEMU was hit; then the one before is still good. */
  keep(): void {
    for (const [name, { checkpoint, ...wanted }] of this.#cloud.wanted) {
      if (checkpoint === undefined) continue;
      const from = this.#cloud.taken(name);
      const memory = this.#memories.get(name);
      if (from !== undefined && memory !== undefined) this.#taken.set(name, { from, memory: { ...memory } });
      this.#cloud.want(name, wanted);
    }
  }

  /** Of what is promised in the network: a link, a machine's traffic, or the tunnel between the sites. */
  changeNetwork(): void {
    const what = this.#pick(["link", "link", "link", "traffic", "traffic", "tunnel"] as const);
    const [one, other] = [this.#pick(machineNames), this.#pick(machineNames)];
    const [first, second] = [1 + this.#random.integer(20), this.#random.integer(3)];
    // Encryption takes much of a small machine's time.
    const kind = this.#pick(["none", "none", "none", ...tunnelKinds] as const);
    if (what === "tunnel") {
      this.done.push(`tunnel ${kind}`);
      return this.#wires.want(kind);
    }
    this.done.push(`${what} ${one}${what === "link" ? ` and ${other}` : ""}`);
    if (what === "traffic") {
      const [outBps, inBps] = [megabits(first), megabits(first + second)];
      if (second === 0) this.#cloud.traffic.delete(one);
      else this.#cloud.traffic.set(one, second === 1 ? { outBps } : { outBps, inBps });
    } else if (one !== other) {
      const ends = [one, other].toSorted() as [MachineName, MachineName];
      const rateBps = megabits(first);
      const ceiling = second === 1 ? { ceilingBps: megabits(first + 5) } : {};
      if (second === 0) this.#cloud.links.delete(ends.join());
      else this.#cloud.links.set(ends.join(), { ends, rateBps, ...ceiling });
    }
    this.#cloud.send();
  }

  async hurt(delayMsMost: number): Promise<void> {
    const [host, blow, number] = [this.#pick(hosts), this.#pick(blows), this.#random.integer(2 ** 31)];
    // All of the plan is drawn before anything takes its time, so that a seed repeats it.
    const [afterMs, forMs] = [this.#random.integer(delayMsMost), millis(this.#random.integer(delayMsMost))];
    await clock.sleep(millis(afterMs), signal);
    const there = [...this.#cloud.wanted.keys()];
    const name = there[number % there.length];
    this.done.push(
      `kill ${blow.replace(" ", "-")} of ${host} ${blow === "QEMU" || blow === "both" ? name : ""}`.trim(),
    );
    const one = this.#cloud.hosts[host];
    switch (blow) {
      case "manager":
        return one.killManager();
      case "both":
        one.killManager();
        return this.#killQemus(name);
      case "QEMU":
        return this.#killQemus(name);
      case "lines":
        return one.killRelays();
      case "names":
        return one.killNaming();
      case "ports":
        return this.#wires.cutPorts(host, forMs);
      case "bridge":
      case "vxlan":
      case "veth":
        return this.#wires.tear(host, blow);
      case "gateway":
        return this.#wires.killGateway(host);
      case "tunnel":
        return this.#wires.killTunnel(host);
      case "cable":
      case "way out":
      case "silence":
        return this.#wires.cut(host, blow, forMs);
    }
    return blow satisfies never;
  }

  /** Wherever it is. */
  #killQemus(name: MachineName | undefined): void {
    if (name === undefined) return;
    const memory = this.#memories.get(name);
    const hit = hosts.reduce((count, host) => count + this.#cloud.hosts[host].killQemus(idOf(name)), 0);
    if (hit > 0 && memory !== undefined) memory.inMemory = false;
    this.hits += hit;
  }

  summary(tookMs: number): string {
    const counts = Map.groupBy(this.done, (words) =>
      words
        .split(" ")
        .slice(0, words.startsWith("kill") ? 2 : 1)
        .join(" "),
    );
    const told = [...counts].map(([what, all]) => `${all.length} × ${what}`).toSorted();
    return `${told.join(", ")}; ${this.hits} QEMUs hit; ${this.unanswered} questions asked again; ${Math.round(tookMs / 1000)} s`;
  }

  /** A guest on a busy host may not answer in time. */
  async #ask(name: MachineName, at: "a" | "b", script: string): Promise<string> {
    for (let refused = 1; ; refused += 1) {
      try {
        return await this.#cloud.hosts[at].run(idOf(name), script);
      } catch (cause) {
        if (refused === asksMost) throw new Error(`${name} on ${at}: ${messageOf(cause)}`, { cause });
        this.unanswered += 1;
      }
    }
  }

  /** Every guest that runs still knows what it was told, and is told something else. */
  async remember(): Promise<void> {
    const running = [...this.#cloud.wanted].filter(([, { suspended }]) => suspended !== true);
    await Promise.all(
      running.map(async ([name, { at, vcpus = 1 }]) => {
        const others = running.map(([each]) => each).filter((each) => each !== name);
        const before = this.#memories.get(name);
        const words = String(this.done.length);
        const home = name === "disk" ? "/home/words" : "/dev/null";
        const said = await this.#ask(
          name,
          at,
          `${settledProcessors(vcpus)}; ${reached(others)}; echo and; cat /tmp/words 2> /dev/null; echo and; cat ${home}; ` +
            `echo and; echo ${words} | tee /tmp/words > ${home}; sync`,
        );
        this.#memories.set(name, { words, inMemory: true });
        const [processors, unreached, inMemory, onDisk] = said.split("and").map((text) => text.trim());
        assert.equal(processors, String(vcpus), `${name} uses other processors than it was given`);
        assert.equal(unreached, "", `${name} on ${at} does not reach others`);
        if (before === undefined) return;
        // One whose answer was lost may have done as it was asked.
        const known = new Set([before.words, words]);
        if (before.inMemory) assert.ok(known.has(inMemory ?? ""), `${name} has lost its memory`);
        if (name === "disk") assert.ok(known.has(onDisk ?? ""), `${name} has lost its disk`);
      }),
    );
  }
}

/** Until a guest uses so many, which may take it a moment after it came to answer; then says how many it uses. */
const settledProcessors = (count: number): string => {
  const used = "grep -c ^processor /proc/cpuinfo";
  return `for i in $(seq 600); do [ $(${used}) = ${count} ] && break; sleep 0.1; done; ${used}; echo and`;
};

/** Says which of them do not answer, each asked so often that what was just mended has time to be found again. */
const reached = (names: readonly MachineName[]): string =>
  names
    .map(
      (name) =>
        `for i in $(seq 60); do ping -c 1 -W 1 ${addressOf(name)} > /dev/null 2>&1 && break; ` +
        `sleep 0.2; [ $i = 60 ] && echo no ${name}; done`,
    )
    .join("; ");

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

/** Those that have to boot are made less often than the others. */
function stepsOf(name: MachineName, { suspended }: Wanted, hasSettled: boolean): readonly Step[] {
  if (!hasSettled) return ["remake", "destroy"];
  if (suspended === true) return ["resume", "resume", "resume", "resume", "destroy"];
  const kept: readonly Step[] = ["move", "move", "checkpoint", "checkpoint", "suspend"];
  if (isWarm(name)) return [...kept, "remake", "destroy"];
  return [...kept, ...kept, ...(name === "disk" ? (["resize", "resize"] as const) : []), "remake", "destroy"];
}
