import { ensembleName } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { cpuDemandMilli, memoryDemandBytes } from "#planner/demand.ts";
import type { PlacedCloud } from "#planner/departure.ts";
import { existingLoad } from "#planner/existing-load.ts";
import { fatalLoss } from "#planner/host-loss.ts";
import type { FatalLoss } from "#planner/host-loss.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { SolveOptions } from "#planner/mapper.ts";
import type { MappingProblem, PlacedEnsemble, PlacementPolicy, Violation } from "#planner/mapping.ts";
import { placedBy } from "#planner/placed.ts";

export type CapacityQuestion = PlacedCloud & {
  /** Of which more copies are to run, each with its own networks and links, beside all that is placed. */
  readonly ensemble: Ensemble;
};

export type CapacityOptions = SolveOptions & {
  /** any-host: while whichever one host is lost, all that is leased on it finds a place on the others. */
  readonly survive: "none" | "any-host";
  /** Beyond so many copies it is not looked. */
  readonly copiesMost: number;
};

export type CapacityAnswer = {
  /** So many more can run. */
  readonly copies: number;
  /** What refuses the next one. */
  readonly binding: CapacityBinding;
  /** The loss that what runs now does not survive, whatever was asked; absent: any one host may be lost, as things are. */
  readonly fatalNow?: FatalLoss;
  /** With all of them running, from 0 to 1; `links` lists the physical links promised most, those first. */
  readonly utilisation: {
    readonly cpu: number;
    readonly memory: number;
    readonly links: readonly { readonly a: string; readonly b: string; readonly share: number }[];
  };
  /** Where they would be. */
  readonly placed: readonly PlacedEnsemble[];
};

/** count, time: it was not looked further, and more may fit. */
export type CapacityBinding =
  | { readonly kind: "admission"; readonly violations: readonly Violation[] }
  | { readonly kind: "host-loss"; readonly host: HostId; readonly violations: readonly Violation[] }
  | { readonly kind: "count" }
  | { readonly kind: "time" };

/** It asks for no capacity: only rules and hosts that are wanted can refuse a copy. */
export function promisesNothing(ensemble: Ensemble): boolean {
  return (
    appliancesOf(ensemble).every(
      ({ spec }) => cpuDemandMilli(spec) === 0 && spec.memoryBytes === undefined,
    ) && ensemble.links.every(({ bandwidthBps }) => bandwidthBps === undefined)
  );
}

const busiestShown = 3;
/** Appliances placed in one search; larger batches and rearrangements are not worth their time. */
const togetherMost = 500;

/**
 * How many more of an ensemble fit. What can be kept with n copies can be kept with n - 1, by taking one away, so the
 * batch of copies added at a time may double as long as all goes well and is halved when it does not, down to a single
 * one. Where that is refused with the earlier copies held, all copies (never what runs) may be placed anew, spread and
 * packed. The count is a lower bound with a placement that proves it; the mapper may overlook a better one.
 */
export function capacityOf(question: CapacityQuestion, options: CapacityOptions): CapacityAnswer {
  const search = new CapacitySearch(question, options);
  const most = options.copiesMost;
  const none = search.fatalNow;
  if (none !== undefined && options.survive === "any-host")
    return search.answer([], { kind: "host-loss", ...none });
  let held: readonly PlacedEnsemble[] = [];
  const size = Math.max(1, appliancesOf(question.ensemble).length);
  const batchMost = Math.max(1, Math.floor(togetherMost / size));
  let batch = 1;
  let grows = true;
  while (held.length < most) {
    const outcome = search.grow(held, Math.min(batch, most - held.length));
    if (options.shouldStop?.() === true) return search.answer(held, { kind: "time" });
    if (outcome.binding === undefined) {
      held = outcome.held;
      if (grows) batch = Math.min(batchMost, 2 * batch);
      continue;
    }
    if (batch === 1) return search.answer(held, outcome.binding);
    grows = false;
    batch = Math.floor(batch / 2);
  }
  return search.answer(held, { kind: "count" });
}

type Outcome =
  | { readonly held: readonly PlacedEnsemble[]; readonly binding?: undefined }
  | { readonly binding: CapacityBinding };

class CapacitySearch {
  readonly #question: CapacityQuestion;
  readonly #options: CapacityOptions;
  readonly #names: ReadonlySet<string>;
  readonly #copies: Ensemble[] = [];
  /** Tried first: where one copy too many was found out, the next one mostly is too. */
  #suspects: readonly HostId[] = [];
  readonly fatalNow: FatalLoss | undefined;

  constructor(question: CapacityQuestion, options: CapacityOptions) {
    this.#question = question;
    this.#options = options;
    this.#names = new Set(question.placed.map(({ ensemble }) => ensemble.name));
    this.fatalNow = fatalLoss(question, options);
  }

  /** So many more beside those held, or why not. */
  grow(held: readonly PlacedEnsemble[], more: number): Outcome {
    const next = Array.from({ length: more }, (_, index) => this.#copy(held.length + index));
    let refused = this.#attempt(held, next);
    if (refused.binding === undefined || more > 1 || !this.#mayFit(held, next)) return refused;
    const all = [...held.map(({ ensemble }) => ensemble), ...next];
    const anew = all.length * appliancesOf(this.#question.ensemble).length <= togetherMost;
    const others: readonly (() => Outcome)[] = [
      () => this.#attempt(held, next, "pack"),
      ...(anew ? [() => this.#attempt([], all), () => this.#attempt([], all, "pack")] : []),
    ];
    for (const attempt of others) {
      if (this.#options.shouldStop?.() === true) return refused;
      const outcome = attempt();
      if (outcome.binding === undefined) return outcome;
      // A host's loss binds only where admission does not.
      if (outcome.binding.kind === "host-loss" && refused.binding?.kind === "admission") refused = outcome;
    }
    return refused;
  }

  /** All hosts together have the room: without that no arrangement helps. */
  #mayFit(held: readonly PlacedEnsemble[], more: readonly Ensemble[]): boolean {
    const { topology, placed, unusableHosts } = this.#question;
    const load = existingLoad({ topology, ensembles: [], existing: [...placed, ...held] });
    let cpu = 0;
    let memory = 0;
    topology.hosts.forEach(({ id, cpuMilli, memoryBytes }, host) => {
      if (unusableHosts?.has(id) === true) return;
      cpu += Math.max(0, cpuMilli - load.cpu[host]!);
      memory += Math.max(0, memoryBytes - load.memory[host]!);
    });
    for (const { spec } of more.flatMap(appliancesOf)) {
      cpu -= cpuDemandMilli(spec);
      memory -= memoryDemandBytes(spec);
    }
    return cpu >= 0 && memory >= 0;
  }

  /** What the loss of a host would break with these copies; undefined: nothing, or it is not asked for. */
  lossWith(copies: readonly PlacedEnsemble[]): CapacityBinding | undefined {
    if (this.#options.survive === "none") return undefined;
    const placed = [...this.#question.placed, ...copies];
    const fatal = fatalLoss({ ...this.#question, placed }, this.#options, this.#suspects);
    if (fatal === undefined) return undefined;
    this.#suspects = [fatal.host];
    return { kind: "host-loss", ...fatal };
  }

  answer(copies: readonly PlacedEnsemble[], binding: CapacityBinding): CapacityAnswer {
    const { topology, placed, unusableHosts } = this.#question;
    const load = existingLoad({ topology, ensembles: [], existing: [...placed, ...copies] });
    const taken = { cpu: 0, memory: 0 };
    const there = { cpu: 0, memory: 0 };
    topology.hosts.forEach(({ id, cpuMilli, memoryBytes }, host) => {
      if (unusableHosts?.has(id) === true) return;
      taken.cpu += load.cpu[host]!;
      taken.memory += load.memory[host]!;
      there.cpu += cpuMilli;
      there.memory += memoryBytes;
    });
    const links = topology.links
      .map(({ a, b, bandwidthBps }, link) => ({ a, b, share: load.link[link]! / Math.max(1, bandwidthBps) }))
      .filter(({ share }) => share > 0)
      .sort((one, other) => other.share - one.share)
      .slice(0, busiestShown);
    const cpu = taken.cpu / Math.max(1, there.cpu);
    const memory = taken.memory / Math.max(1, there.memory);
    const now = this.fatalNow === undefined ? {} : { fatalNow: this.fatalNow };
    return { copies: copies.length, binding, ...now, utilisation: { cpu, memory, links }, placed: copies };
  }

  #attempt(
    held: readonly PlacedEnsemble[],
    more: readonly Ensemble[],
    policy: PlacementPolicy = "spread",
  ): Outcome {
    const { topology, placed, unusableHosts, capabilities } = this.#question;
    const problem: MappingProblem = {
      topology,
      ensembles: more,
      existing: [...placed, ...held],
      policy,
      ...(unusableHosts === undefined ? {} : { unusableHosts }),
      ...(capabilities === undefined ? {} : { capabilities }),
    };
    const mapping = solveMapping(problem, this.#options);
    if (mapping.violations.length > 0)
      return { binding: { kind: "admission", violations: mapping.violations } };
    const copies = [...held, ...placedBy(more, mapping)];
    const binding = this.lossWith(copies);
    return binding === undefined ? { held: copies } : { binding };
  }

  /** The same object each time, under a name nobody has. */
  #copy(index: number): Ensemble {
    for (let at = this.#copies.length; at <= index; at += 1) {
      let name = `copy-${at + 1}`;
      while (this.#names.has(name)) name = `x${name}`;
      this.#copies.push({ ...this.#question.ensemble, name: ensembleName(name) });
    }
    return this.#copies[index]!;
  }
}
