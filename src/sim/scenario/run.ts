import type { ApplianceId } from "#base/ids.ts";
import { ClusterManager } from "#cluster/manager.ts";
import { keys } from "#cluster/records.ts";
import { proposeConsolidation } from "#planner/consolidate.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { Event } from "#protocol/http/status.ts";
import { BreachError } from "#sim/checks/breach.ts";
import type { Breach } from "#sim/checks/breach.ts";
import { Ledger } from "#sim/checks/ledger.ts";
import { Watch } from "#sim/checks/watch.ts";
import { storedOperations } from "#sim/checks/world-of.ts";
import { SimulatedCloud } from "#sim/cloud.ts";
import type { Cloud, SimulatedEvent } from "#sim/cloud.ts";
import { wallOriginMs } from "#sim/kernel/place-clock.ts";
import { arrivals } from "#sim/scenario/arrivals.ts";
import { cpuGiven } from "#sim/scenario/cpu-given.ts";
import type { CpuGiven } from "#sim/scenario/cpu-given.ts";
import { Demands } from "#sim/scenario/demand.ts";
import { judge } from "#sim/scenario/expect.ts";
import type { Verdict } from "#sim/scenario/expect.ts";
import { randomOf } from "#sim/scenario/gaussian.ts";
import type { Play, PlayStep } from "#sim/scenario/play.ts";
import { RecordsSeen } from "#sim/scenario/records-seen.ts";
import type { Decision } from "#sim/scenario/records-seen.ts";
import { CpuRecorder } from "#sim/scenario/series.ts";
import type { CpuSeries } from "#sim/scenario/series.ts";
import type { SimulationSettings } from "#sim/settings.ts";
import { ScenarioUser } from "#sim/scenario/user.ts";
import type { Asked, IfRefused } from "#sim/scenario/user.ts";
import { calmFrom } from "#sim/swarm/swarm-case.ts";

/** What a run showed, as far as it came. Plain data; equal for equal plays, to the last event. */
export type ScenarioResult = {
  readonly name: string;
  readonly seed: number;
  readonly hosts: number;
  readonly simulatedMs: number;
  readonly interrupted: boolean;
  readonly events: number;
  readonly traceHash: string;
  readonly trace: readonly string[];
  /** Absent: no invariant was broken. */
  readonly breach?: Breach;
  /** How often invariants were looked at. */
  readonly watched: "every event" | "every sample";
  readonly verdicts: readonly Verdict[];
  readonly asked: readonly Asked[];
  readonly decisions: readonly Decision[];
  readonly operations: readonly Operation[];
  /** Times in virtual ms. */
  readonly told: readonly Event[];
  readonly notes: readonly { readonly atMs: number; readonly text: string }[];
  readonly cpu: CpuSeries;
};

export type RunOptions = {
  readonly signal: AbortSignal;
  readonly traceLines?: number;
  /** What differs from the usual simulation: for tests that break something on purpose. */
  readonly settings?: Partial<SimulationSettings>;
  readonly onProgress?: (atMs: number) => void;
};

/** In a larger cloud a look after every event would take most of the time. */
const watchedHostsMost = 200;
const samplesWanted = 240;
/** Of a large cloud every sample is work. */
const samplesWantedOfLarge = 60;
const sampleMsLeast = 100;
const traceLinesUnlessTold = 60;

/** Plays a scenario in virtual time; ends early when the signal aborts or an invariant is broken. */
export async function playScenario(play: Play, options: RunOptions): Promise<ScenarioResult> {
  const run = new Run(play, options);
  const breach = await run.play(options).catch((cause: unknown): Breach => {
    if (cause instanceof BreachError) return cause.breach;
    throw cause;
  });
  return run.result(breach, options.signal.aborted);
}

class Run {
  readonly #play: Play;
  readonly #cloud: SimulatedCloud;
  readonly #seen: RecordsSeen;
  readonly #demands: Demands;
  readonly #recorder = new CpuRecorder();
  readonly #user: ScenarioUser;
  readonly #watch: Watch;
  /** What is to look at every sample, in a cloud too large to be looked at after every event. */
  readonly #looks: readonly ((event: SimulatedEvent) => void)[];
  readonly #verdicts: Verdict[] = [];
  readonly #notes: { atMs: number; text: string }[] = [];
  readonly #isSmall: boolean;
  #events = 0;

  constructor(play: Play, { traceLines = traceLinesUnlessTold, settings }: RunOptions) {
    this.#play = play;
    const { topology, seed, snapshot, durationMs } = play;
    this.#demands = new Demands({
      rules: play.demand,
      seed,
      durationMs,
      promisedMilli: (id) => promisedMilli(this.#seen, id as ApplianceId),
      declaredAs: (id) => this.#seen.declaredAs(id as ApplianceId),
      usedMilli: snapshot?.cpuUsedMilli ?? {},
    });
    this.#cloud = new SimulatedCloud({
      topology,
      seed,
      ...(snapshot === undefined ? {} : { snapshot, hosts: snapshot.hosts }),
      settings: {
        traceLinesKept: traceLines,
        clusterManager: managerWith(play),
        takesCheckpoints: usesMachines(play),
        permitsPairs: topology.hosts.length <= watchedHostsMost,
        demandOf: (id) => this.#demands.demandOf(id),
        ...settings,
      },
    });
    this.#seen = new RecordsSeen(this.#cloud);
    this.#isSmall = topology.hosts.length <= watchedHostsMost;
    const ledger = new Ledger(snapshot?.ensembles);
    this.#user = new ScenarioUser(this.#cloud, ledger);
    const faults = play.steps.flatMap((step) => (step.kind === "fault" ? [step.fault] : []));
    const looks: ((event: SimulatedEvent) => void)[] = [];
    const watched = this.#isSmall ? this.#cloud : handingOver(this.#cloud, looks);
    this.#watch = new Watch(watched, { topology, ledger, calmSinceMs: calmFrom(faults) });
    this.#looks = looks;
    this.#cloud.onEvent(() => {
      this.#events += 1;
      if (this.#isSmall) this.#seen.look();
    });
  }

  /** @throws BreachError at the event after which an invariant does not hold. */
  async play({ signal, onProgress }: RunOptions): Promise<undefined> {
    const { durationMs, load, seed } = this.#play;
    this.#cloud.start();
    const coming = load.flatMap((one, index) =>
      arrivals(one, durationMs, randomOf(seed, `load ${index} ${one.ensemble.name}`)),
    );
    for (const step of [...this.#play.steps, ...coming]) this.#schedule(step);
    const samples = this.#isSmall ? samplesWanted : samplesWantedOfLarge;
    const sampleMs = Math.max(sampleMsLeast, Math.ceil(durationMs / samples / 100) * 100);
    for (let atMs = 0; atMs <= durationMs && !signal.aborted; atMs += sampleMs) {
      await this.#cloud.runUntil(atMs);
      this.#seen.look();
      const sample = { atMs, sequence: this.#events, process: undefined, label: "sample" };
      for (const look of this.#looks) look(sample);
      this.#recorder.take(atMs, this.#given());
      onProgress?.(atMs);
    }
    if (signal.aborted) return;
    await this.#cloud.runUntil(durationMs);
    this.#watch.checkOverdue();
  }

  result(breach: Breach | undefined, interrupted: boolean): ScenarioResult {
    const { name, seed, topology } = this.#play;
    return {
      name,
      seed,
      hosts: topology.hosts.length,
      simulatedMs: this.#cloud.nowMs,
      interrupted,
      events: this.#events,
      traceHash: this.#cloud.traceFingerprint(),
      trace: this.#cloud.traceLines(),
      ...(breach === undefined ? {} : { breach }),
      watched: this.#isSmall ? "every event" : "every sample",
      verdicts: [...this.#verdicts, ...refusalVerdicts(this.#user.asked, interrupted)],
      asked: this.#user.asked,
      decisions: this.#seen.decisions,
      operations: storedOperations(this.#cloud)
        .map(({ operation }) => inVirtualTime(operation))
        .toSorted((a, b) => a.createdAtMs - b.createdAtMs),
      told: this.#cloud.stored(keys.prefix.event).map(({ value }) => {
        const event = value as Event;
        return { ...event, atMs: event.atMs - wallOriginMs };
      }),
      notes: this.#notes,
      cpu: this.#recorder,
    };
  }

  #schedule(step: PlayStep): void {
    if (step.kind === "fault") return this.#cloud.inject(step.fault);
    this.#cloud.at(step.atMs, () => this.#take(step));
  }

  #take(step: Exclude<PlayStep, { kind: "fault" }>): void {
    const ifRefused: IfRefused =
      step.byChance === true ? "neither" : step.expectRefused === true ? "expected" : "mistake";
    switch (step.kind) {
      case "up":
        return this.#user.up(step.ensemble, ifRefused);
      case "down":
        return this.#user.down(step.ensemble, ifRefused);
      case "cancel":
        return this.#user.cancel(step.subject, ifRefused);
      case "host":
        return this.#user.host(step.verb, step.host, ifRefused);
      case "note":
        this.#notes.push({ atMs: this.#cloud.nowMs, text: step.text });
        return;
      case "expect":
        return this.#expect(step);
      default:
        step satisfies never;
    }
  }

  /** The managers' answer comes before the next event. */
  #expect({ expectation }: Extract<PlayStep, { kind: "expect" }>): void {
    const at = this.#verdicts.length;
    this.#seen.look();
    const look = (lostHosts: ReadonlySet<string>): void => {
      this.#verdicts[at] = judge(expectation, {
        cloud: this.#cloud,
        seen: this.#seen,
        given: () => this.#given(),
        calls: this.#user.asked,
        lostHosts,
      });
    };
    look(new Set());
    if (expectation.kind === "operation" && expectation.state === "refused")
      this.#user.excuse(expectation.operation, expectation.subject);
    if (expectation.kind !== "host") return;
    const service = [...this.#cloud.processes.values()].findLast(
      (one) => one.state === "up" && one.service !== undefined,
    )?.service;
    service?.hosts(new AbortController().signal).then(
      (hosts) => look(new Set(hosts.filter((host) => host.state === "lost").map((host) => host.id))),
      () => {},
    );
  }

  #given(): CpuGiven {
    const atMs = this.#cloud.nowMs;
    return cpuGiven(this.#play.topology, this.#cloud.machines, {
      specOf: (id) => this.#seen.appliances().get(id)?.spec,
      demandMilli: (id) => this.#demands.milliAt(id, atMs),
    });
  }
}

/** The real manager, which fills hosts as the scenario says. */
export function managerWith({
  policy,
  seed,
}: Pick<Play, "policy" | "seed">): SimulationSettings["clusterManager"] {
  return (parts) =>
    new ClusterManager({
      ...parts,
      policy,
      consolidate: (problem) => Promise.resolve(proposeConsolidation(problem, { seed })),
    });
}

/** Of what was to be refused, whether it was; what nobody has answered yet says nothing in a run that was cut off. */
function refusalVerdicts(asked: readonly Asked[], interrupted: boolean): Verdict[] {
  return asked
    .filter(({ ifRefused, state }) => ifRefused === "expected" && !(interrupted && state === "asked"))
    .map(({ atMs, verb, subject, state }) => {
      const verdict = { atMs, text: `${verb} ${subject} refused` };
      if (state === "refused") return { ...verdict, met: true };
      return { ...verdict, met: false, found: `it was ${state === "lost" ? "not answered" : state}` };
    });
}

function inVirtualTime(operation: Operation): Operation {
  const { createdAtMs, endedAtMs } = operation;
  return {
    ...operation,
    createdAtMs: createdAtMs - wallOriginMs,
    ...(endedAtMs === undefined ? {} : { endedAtMs: endedAtMs - wallOriginMs }),
  };
}

/** The cloud, whose listeners are handed over instead of being told of every event. */
function handingOver(cloud: Cloud, listeners: ((event: SimulatedEvent) => void)[]): Cloud {
  return new Proxy(cloud, {
    get: (target, key) => {
      if (key === "onEvent")
        return (listener: (event: SimulatedEvent) => void) => void listeners.push(listener);
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function promisedMilli(seen: RecordsSeen, id: ApplianceId): number | undefined {
  const cpu = seen.appliances().get(id)?.spec.cpu;
  if (cpu === undefined) return undefined;
  return cpu.kind === "share" ? cpu.shareMilli : (cpu.executionUs * 1000) / cpu.periodUs;
}

/** Hosts of a cloud without machines have nothing to do for checkpoints, at no cost. */
function usesMachines({ steps, load, snapshot }: Play): boolean {
  const ensembles = [
    ...steps.flatMap((step) => (step.kind === "up" ? [step.ensemble] : [])),
    ...load.map(({ ensemble }) => ensemble),
    ...(snapshot?.ensembles ?? []).map(({ ensemble }) => ensemble),
  ];
  return ensembles.some(({ appliances }) => appliances.some(({ kind }) => kind === "vm"));
}
