import type { Invariant } from "#sim/checks/breach.ts";
import type { SwarmProfile } from "#sim/swarm/make-case.ts";

/** A defect put into the real code: the text that is there exactly once, and what stands there instead. */
export type Mutant = {
  /** What the broken code does. */
  readonly name: string;
  readonly breaks: Invariant;
  readonly file: string;
  readonly was: string;
  readonly becomes: string;
  /** Kinds of fault, and how many, that bring such a defect out; of the seeds none is special. */
  readonly profile?: Partial<SwarmProfile>;
};

/** Hosts that are not heard of, or are, by one of two managers. */
const silence = {
  kinds: ["cut", "pause", "power-loss", "noise"],
  kindShare: [0.6, 1],
  faults: [6, 12],
  steps: [3, 6],
} as const satisfies Partial<SwarmProfile>;
const takeOver = { ...silence, takeOvers: 1 } as const satisfies Partial<SwarmProfile>;
const calm = { kinds: [] } as const satisfies Partial<SwarmProfile>;

const adapting = {
  adaptations: 0.7,
  steps: [8, 16],
  faults: [0, 6],
} as const satisfies Partial<SwarmProfile>;

const moving = {
  machines: 0.7,
  migrations: 0.7,
  steps: [6, 12],
  faults: [0, 8],
} as const satisfies Partial<SwarmProfile>;

/** Hosts are emptied, and what moves from them does not always arrive. */
const emptying = {
  consolidations: 1,
  machines: 0.9,
  migrations: 0,
  saves: 0,
  adaptations: 0,
  kinds: ["cut"],
  kindShare: [1, 1],
  steps: [8, 14],
  faults: [4, 8],
} as const satisfies Partial<SwarmProfile>;

/** Machines with checkpoints, some of them suspended to disk, on hosts that mostly live. */
const saving = {
  machines: 1,
  saves: 0.6,
  migrations: 0,
  adaptations: 0,
  steps: [5, 10],
  faults: [0, 4],
} as const satisfies Partial<SwarmProfile>;
/** Copies that do not arrive. */
const cutOff = {
  ...saving,
  saves: 0,
  kinds: ["cut", "power-loss", "full-disk", "crash"],
  kindShare: [0.6, 1],
  faults: [5, 10],
} as const satisfies Partial<SwarmProfile>;

export const mutants: readonly Mutant[] = [
  {
    name: "what a host had when it was lost may go on when it is back",
    breaks: "never-goes-back",
    file: "src/cluster/leases.ts",
    was: "state.standing(host).fenced ||",
    becomes: "",
    profile: {
      ...silence,
      kinds: ["cut", "pause"],
      machines: 0.5,
      adaptations: 0.7,
      saves: 0.3,
      steps: [8, 14],
    },
  },
  {
    name: "a full checkpoint takes the place of others where it is not",
    breaks: "checkpoints-kept",
    file: "src/drivers/checkpoint/folding.ts",
    was: "const copies = one.copies.filter((host) => saved.copies.includes(host));",
    becomes: "const copies = one.copies;",
    profile: cutOff,
  },
  {
    name: "a host that has none of a chain is sent only what is new",
    breaks: "checkpoints-kept",
    file: "src/drivers/checkpoint/host-copies.ts",
    was: "of blobsOfAll(chain)) {",
    becomes: "of blobsOfAll(chain.slice(0, 1))) {",
    profile: cutOff,
  },
  {
    name: "hosts remove parts of checkpoints that others count on",
    breaks: "checkpoints-kept",
    file: "src/host/needed-content.ts",
    was: "...(plan.blobs?.keep ?? [])",
    becomes: "",
    profile: { ...saving, kinds: [] },
  },
  {
    name: "a machine goes on before the others of its group stand still",
    breaks: "checkpoints-kept",
    file: "src/host/checkpoint-group.ts",
    was: "if (allHere && (isWhole === true || goOn === true)) this.#over.resolve(group);",
    becomes: "if (allHere || isWhole === true || goOn === true) this.#over.resolve(group);",
    profile: { ...saving, kinds: [], saves: 0.8, steps: [8, 16] },
  },
  {
    name: "a machine goes on after the checkpoint that it is suspended to",
    breaks: "parked-kept",
    file: "src/cluster/checkpoints.ts",
    was: "...(stays === undefined ? {} : { stays }),",
    becomes: "",
    profile: { ...saving, kinds: [] },
  },
  {
    name: "a machine on disk leaves its checkpoints behind with its host",
    breaks: "parked-kept",
    file: "src/cluster/reconcilers/checkpoints.ts",
    was: 'return record?.state !== "present" || !appliancesOf(record.ensemble).some((one) => one.id === id);',
    becomes: 'return record?.state !== "present" || record.placements[id] === undefined;',
    profile: { ...saving, kinds: [] },
  },
  {
    name: "a checkpoint gets one copy fewer than its policy wants",
    breaks: "converged",
    file: "src/drivers/checkpoint/host-copies.ts",
    was: "await Promise.all(Array.from({ length: copies }, work));",
    becomes: "await Promise.all(Array.from({ length: copies - 1 }, work));",
    profile: { ...saving, kinds: [], steps: [2, 5] },
  },
  {
    name: "hosts keep records of checkpoints of machines that are gone",
    breaks: "nothing-leaked",
    file: "src/host/checkpoints.ts",
    was: "if (here.has(id) || this.#plans.has(id)) continue;",
    becomes: "if (here.has(id) || this.#plans.has(id) || known.length > 0) continue;",
    profile: { ...saving, kinds: [], steps: [2, 5] },
  },
  {
    name: "a machine goes on where it moves to as soon as it has begun to be sent",
    breaks: "runs-once",
    file: "src/cluster/moves.ts",
    was: `...(state === "sent" ? { go: true } : {}),`,
    becomes: `...(statePort === undefined ? {} : { go: true }),`,
    profile: moving,
  },
  {
    name: "each move ends as if no other machine had to do with it",
    breaks: "not-over-admitted",
    file: "src/cluster/moving-together.ts",
    was: "if (rules.length === 0) return",
    becomes: "if (rules.length >= 0) return",
    profile: emptying,
  },
  {
    name: "what leaves a host that is emptied begins elsewhere before it is gone from there",
    breaks: "runs-once",
    file: "src/cluster/reconcilers/consolidation.ts",
    was: "const leaving = leavingAfter(before, moved);",
    becomes: "const leaving = before.leaving;",
    profile: { ...emptying, machines: 0 },
  },
  {
    name: "a new size is admitted without asking whether it fits",
    breaks: "not-over-admitted",
    file: "src/cluster/changes.ts",
    was: "checkFits(before, adjusted.ensemble, kind, facts());",
    becomes: "checkFits(before, before.ensemble, kind, facts());",
    profile: adapting,
  },
  {
    name: "a file that is brought up again undoes what was adjusted",
    breaks: "acknowledged-kept",
    file: "src/cluster/changes.ts",
    was: "renewed(state.ensemble(declared.name)?.ensemble, declared);",
    becomes: "renewed(undefined, declared);",
    profile: { ...adapting, adaptations: 0.5 },
  },
  {
    name: "hosts are not told who is to be held",
    breaks: "converged",
    file: "src/cluster/appliance-plans.ts",
    was: "...(spec.suspended === undefined ? {} : { suspended: spec.suspended }),",
    becomes: "",
    profile: adapting,
  },
  {
    name: "a new size needs a new generation to reach its host",
    breaks: "converged",
    file: "src/host/decide.ts",
    was: "...(cpu === undefined || same(cpu, now.cpu) ? {} : { cpu }),",
    becomes: "...(cpu === now.cpu ? {} : {}),",
    profile: adapting,
  },
  {
    name: "leases never end",
    breaks: "runs-once",
    file: "src/host/reporter.ts",
    was: "this.#parts.appliances.renewLease(this.#leaseEnd);",
    becomes: "this.#parts.appliances.renewLease(millis(this.#leaseEnd + 3_600_000));",
    profile: silence,
  },
  {
    name: "a lease counts from when its grant arrived",
    breaks: "runs-once",
    file: "src/host/reporter.ts",
    was: "const sentAt = clock.monotonic();",
    becomes: "const sentAt = { valueOf: () => clock.monotonic() } as unknown as Millis;",
    profile: {
      ...silence,
      kinds: ["noise", "pause"],
      kindShare: [1, 1],
      faults: [16, 24],
      faultMs: [4000, 8000],
      steps: [2, 4],
    },
  },
  {
    name: "a manager grants leases without knowing that it still is in charge",
    breaks: "runs-once",
    file: "src/cluster/leases.ts",
    was: "const unconfirmedMs = clock.monotonic() - term.confirmedAt;",
    becomes: "const unconfirmedMs = 0 * term.confirmedAt;",
    profile: { kinds: ["cut"], kindShare: [1, 1], faults: [8, 14], steps: [2, 4], takeOvers: 1 },
  },
  {
    name: "a fenced host is granted a lease before it is clean",
    breaks: "runs-once",
    file: "src/cluster/leases.ts",
    was: "state.standing(host).fenced ||",
    becomes: "",
    profile: silence,
  },
  {
    name: "a host counts as lost before its lease has ended",
    breaks: "runs-once",
    file: "src/cluster/hosts-seen.ts",
    was: "seen.atMonotonic < this.#silenceMs();",
    becomes: "seen.atMonotonic < this.#silenceMs() / 3;",
    profile: silence,
  },
  {
    name: "what obeys no lease is started elsewhere all the same",
    breaks: "runs-once",
    file: "src/cluster/leaving.ts",
    was: "): boolean => record.unleased[id]?.includes(host) !== true;",
    becomes: "): boolean => record.unleased[id]?.includes(host) !== true || true;",
    profile: { ...silence, kinds: ["cut", "power-loss", "pause"], steps: [8, 14] },
  },
  {
    name: "a move starts the new one before the old one is gone",
    breaks: "runs-once",
    file: "src/cluster/leaving.ts",
    was: "return (record.leaving[id]?.length ?? 0) > 0;",
    becomes: "return (record.leaving[id]?.length ?? 0) > 99;",
    profile: { kinds: ["slow-disk", "noise"], steps: [6, 12] },
  },
  {
    name: "a host acts on a plan, and tells of it, before it is durable",
    breaks: "epoch-obeyed",
    file: "src/host/manager.ts",
    was: "await this.#parts.keeper.save(plan, signal);",
    becomes: "void this.#parts.keeper.save(plan, signal).catch(() => {});",
    profile: { kinds: ["slow-disk", "crash", "full-disk"], faults: [6, 12], steps: [6, 12] },
  },
  {
    name: "a host obeys plans of any epoch and revision",
    breaks: "epoch-obeyed",
    file: "src/protocol/host-plan.ts",
    was: "return a.epoch < b.epoch || (a.epoch === b.epoch && a.revision < b.revision);",
    becomes: "return a.epoch < b.epoch && a.epoch > b.epoch;",
    profile: { ...takeOver, kinds: ["noise", "pause"], steps: [8, 14] },
  },
  {
    name: "a change is acknowledged before it is durable",
    breaks: "acknowledged-kept",
    file: "src/cluster/state.ts",
    was: "await this.#commit(writes, signal);",
    becomes: "void this.#commit(writes, signal).catch(() => {});",
    profile: { kinds: ["slow-disk", "crash"], faults: [2, 5] },
  },
  {
    name: "commits have no conditions",
    breaks: "operations-end",
    file: "src/cluster/state.ts",
    was: "const result = await this.#store.commit(writes, [...own, ...conditions], signal);",
    becomes: "const result = await this.#store.commit(writes, [...own, ...conditions].slice(0, 0), signal);",
    profile: {
      kinds: ["pause", "slow-disk"],
      kindShare: [1, 1],
      takeOvers: 1,
      faults: [10, 16],
      steps: [12, 20],
    },
  },
  {
    name: "admission does not count what others hold",
    breaks: "not-over-admitted",
    file: "src/cluster/admission.ts",
    was: "existing: placed.filter((one) => one.ensemble.name !== ensemble.name),",
    becomes: "existing: placed.slice(0, 0),",
    profile: { ...calm, steps: [6, 12] },
  },
  {
    name: "an appliance is stopped and never destroyed",
    breaks: "converged",
    file: "src/host/converge.ts",
    was: "await this.#appliances.destroy(id, signal);",
    becomes: "",
    profile: calm,
  },
  {
    name: "a network nobody is on stays",
    breaks: "converged",
    file: "src/host/converge.ts",
    was: "this.#network.converge(decideNetwork(plan, this.#appliances.observe()), signal),",
    becomes:
      "plan.segments.length === 0 ? Promise.resolve() : this.#network.converge(decideNetwork(plan, this.#appliances.observe()), signal),",
    profile: calm,
  },
  {
    name: "the record of an ensemble stays when it is gone",
    breaks: "nothing-leaked",
    file: "src/cluster/operations.ts",
    was: "gone ? [{ delete: keys.ensemble(name) }] : []",
    becomes: "[]",
    profile: calm,
  },
  {
    name: "the end of an operation is dropped",
    breaks: "operations-end",
    file: "src/cluster/operations.ts",
    was: "if (running !== undefined && ending !== undefined) writes.push(this.#ended(running, ending));",
    becomes: "",
    profile: { ...calm, steps: [1, 3] },
  },
  {
    name: "a plan that was lost is not sent again",
    breaks: "converged",
    file: "src/cluster/dispatcher.ts",
    was: "if (behind.length === 0) return;",
    becomes: "if (behind.every(([, one]) => one.revision > 1)) return;",
    profile: { kinds: ["noise", "crash", "cut"], faults: [3, 8] },
  },
];
