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

export const mutants: readonly Mutant[] = [
  {
    name: "a host obeys whatever plan comes last",
    breaks: "epoch-obeyed",
    file: "src/host/manager.ts",
    was: "if (current !== undefined && isOlder(plan, current)) {",
    becomes: "if (current === plan) {",
    profile: { kinds: ["noise", "pause"], takeOvers: 1, faults: [3, 6] },
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
    breaks: "acknowledged-kept",
    file: "src/cluster/state.ts",
    was: "const result = await this.#store.commit(writes, conditions, signal);",
    becomes: "const result = await this.#store.commit(writes, conditions.slice(0, 0), signal);",
    profile: { kinds: ["pause", "slow-disk"], takeOvers: 1, faults: [2, 6], steps: [6, 12] },
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
    name: "admission does not count what others hold",
    breaks: "not-over-admitted",
    file: "src/cluster/admission.ts",
    was: "existing: facts.records\n",
    becomes: "existing: facts.records.slice(0, 0)\n",
    profile: { kinds: [], steps: [6, 12] },
  },
  {
    name: "an appliance is stopped and never destroyed",
    breaks: "nothing-leaked",
    file: "src/host/converge.ts",
    was: "await this.#appliances.destroy(id, signal);",
    becomes: "",
    profile: { kinds: [] },
  },
  {
    name: "a network nobody is on stays",
    breaks: "converged",
    file: "src/host/converge.ts",
    was: "this.#network.converge(decideNetwork(plan, this.#appliances.observe()), signal),",
    becomes:
      "plan.segments.length === 0 ? Promise.resolve() : this.#network.converge(decideNetwork(plan, this.#appliances.observe()), signal),",
    profile: { kinds: [] },
  },
  {
    name: "the record of an ensemble stays when it is gone",
    breaks: "nothing-leaked",
    file: "src/cluster/operations.ts",
    was: "gone ? [{ delete: keys.ensemble(name) }] : []",
    becomes: "[]",
    profile: { kinds: [] },
  },
  {
    name: "the end of an operation is dropped",
    breaks: "operations-end",
    file: "src/cluster/operations.ts",
    was: "if (running !== undefined && ending !== undefined) writes.push(this.#ended(running, ending));",
    becomes: "",
    profile: { kinds: [], steps: [1, 3] },
  },
  {
    name: "a plan that was lost is not sent again",
    breaks: "converged",
    file: "src/cluster/dispatcher.ts",
    was: "if (behind.length === 0) return;",
    becomes: "if (behind.length === 0 || behind.every(([, one]) => one.revision > 1)) return;",
    profile: { kinds: ["noise", "crash", "cut"], faults: [3, 8] },
  },
];
