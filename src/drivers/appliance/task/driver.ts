import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { digest } from "#base/digest.ts";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { InTurnByKey } from "#base/in-turn.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { noLease } from "#drivers/appliance/no-lease.ts";
import type {
  ApplianceDriver,
  ApplianceObservation,
  ExecRequest,
  LiveSettings,
} from "#drivers/appliance/port.ts";
import { noExtras } from "#drivers/appliance/task/extras.ts";
import type { SlotFacts } from "#drivers/appliance/task/extras.ts";
import { Factory } from "#drivers/appliance/task/factory.ts";
import type { TimerHolder } from "#drivers/appliance/task/factory.ts";
import { jobPlaces } from "#drivers/appliance/task/job-groups.ts";
import { LeaseFile } from "#drivers/appliance/task/lease.ts";
import { LeaseRenewal } from "#drivers/appliance/task/renewal.ts";
import { taskDefaults } from "#drivers/appliance/task/options.ts";
import type { TaskDriverOptions } from "#drivers/appliance/task/options.ts";
import { readOutput } from "#drivers/appliance/task/output.ts";
import { SlotPool } from "#drivers/appliance/task/pool.ts";
import { Quiet } from "#drivers/appliance/task/quiet.ts";
import { readRecord } from "#drivers/appliance/task/record.ts";
import type { TaskRecord } from "#drivers/appliance/task/record.ts";
import { Reservations } from "#drivers/appliance/task/reservations.ts";
import { hostRoot, rootFor } from "#drivers/appliance/task/roots.ts";
import { runInside } from "#drivers/appliance/task/run-inside.ts";
import type { Slot, SlotPlace } from "#drivers/appliance/task/slot.ts";
import { watchSlots } from "#drivers/appliance/task/slot-watch.ts";
import { Slots } from "#drivers/appliance/task/slots.ts";
import { Task } from "#drivers/appliance/task/task.ts";
import { cpuDemandMilli } from "#planner/demand.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";

export type { TaskDriverOptions } from "#drivers/appliance/task/options.ts";

/** The more appliances there are, the less often it is looked how much memory each of them uses. */
const memoryAgeMsPerTask = 4;

/** Lightweight machines of namespaces and control groups. The files beside this one hold the parts. */
export class TaskDriver implements ApplianceDriver {
  readonly kinds = ["task"] as const;
  readonly capabilities = new Set(["exec", "resize", "suspend"] as const);
  readonly #options: TaskDriverOptions;
  readonly #place: SlotPlace;
  readonly #lease: LeaseFile;
  readonly #hidden: readonly string[];
  readonly #factory: Factory;
  readonly #renewal: LeaseRenewal;
  readonly #reservations: Reservations;
  readonly #slots: Slots;
  readonly #pool: SlotPool;
  readonly #quiet: Quiet;
  readonly #tasks = new Map<ApplianceId, Task>();
  readonly #turns = new InTurnByKey<ApplianceId>();
  readonly #closing = new AbortController();
  #onChange: () => void = () => {};

  constructor(options: TaskDriverOptions) {
    this.#options = options;
    this.#hidden = [...(options.maskedPaths ?? taskDefaults.maskedPaths), options.stateDir];
    this.#lease = new LeaseFile(options.stateDir, options.clock);
    this.#factory = new Factory(this.#lease.path, () => this.#timerHolder());
    this.#reservations = new Reservations(options.scheduler, options.log);
    this.#renewal = new LeaseRenewal({
      lease: this.#lease,
      setTimer: (endMs) => this.#factory.setTimer(endMs),
      log: options.log,
      signal: this.#closing.signal,
    });
    this.#place = {
      leaseFile: this.#lease.path,
      slotsDirectory: join(options.stateDir, "slots"),
      cgroupParent: options.cgroupParent,
      netnsPrefix: options.netnsPrefix,
      firstUid: options.firstUid ?? taskDefaults.firstUid,
    };
    const { cgroups, clock, log } = options;
    this.#quiet = new Quiet(cgroups.open(options.cgroupParent), clock);
    this.#slots = new Slots({ place: this.#place, cgroups, factory: this.#factory, clock, log });
    this.#pool = new SlotPool({
      size: options.poolSize ?? taskDefaults.poolSize,
      make: () => this.#makeSpare(),
      clock,
      log,
    });
  }

  async recover(signal: AbortSignal): Promise<void> {
    mkdirSync(this.#place.slotsDirectory, { recursive: true, mode: 0o700 });
    this.#lease.open();
    // First all that lives: the factory, which the rest needs, shares what they have.
    const dead = this.#slots.left().filter((slot) => {
      const record = readRecord(slot.directory);
      return record === undefined || !this.#adopt(slot, record);
    });
    const present = [...this.#tasks.values()].map(({ record, slot }) => ({ ...record, cgroup: slot.cgroup }));
    this.#reservations.recover(present);
    for (const task of this.#tasks.values()) this.#goOn(task);
    for (const slot of dead) {
      signal.throwIfAborted();
      await this.#slots.remove(slot, signal);
    }
    this.#pool.refill(this.#closing.signal);
    void watchSlots(
      {
        slots: () => [...this.#tasks.values()].map(({ slot }) => slot),
        outputBytesMax: this.#options.outputBytesMax ?? taskDefaults.outputBytesMax,
        clock: this.#options.clock,
        log: this.#options.log,
      },
      this.#closing.signal,
    );
  }

  #timerHolder(): TimerHolder | undefined {
    for (const { slot } of this.#tasks.values()) {
      if (slot.timerHolder !== undefined) return slot.timerHolder;
    }
    return undefined;
  }

  /** False: there is nothing worth keeping of it. */
  #adopt(slot: Slot, record: TaskRecord): boolean {
    // The second of one name is what a failed creation could not clear away.
    if (record.phase === "destroying" || this.#tasks.has(record.plan.id)) return false;
    const task = this.#taskIn(slot, record);
    const lives = slot.adopt(task.listener);
    if (!lives && record.phase === "created") return false;
    this.#tasks.set(task.id, task);
    this.#slots.take(slot);
    task.createGroups();
    try {
      task.prepare(undefined);
      if (record.suspended && record.phase === "running") slot.cgroup.freeze();
    } catch (cause) {
      // It runs all the same, and what it lacks shows when it is resized or named again.
      this.#options.log.warn(`Cannot set the limits of ${task.id} again: ${messageOf(cause)}`, { cause });
    }
    return true;
  }

  #goOn(task: Task): void {
    task.look();
    const { phase, run, end } = task.record;
    if (phase === "running" && end?.run !== run) task.sendStart();
    else task.scheduleRestart();
  }

  observe(): readonly ApplianceObservation[] {
    const reports = this.#reservations.reports();
    const memoryAgeMsMax = millis(this.#tasks.size * memoryAgeMsPerTask);
    const isQuiet = this.#quiet.isQuiet(this.#tasks.size);
    return [...this.#tasks.values()].map((task) =>
      task.observe(reports.get(task.id), { isQuiet, memoryAgeMsMax }),
    );
  }

  create(plan: AppliancePlan, names: ReadonlyMap<string, string>, _signal: AbortSignal): Promise<void> {
    return this.#turns.run(plan.id, async () => {
      const present = this.#tasks.get(plan.id);
      if (present !== undefined) {
        if (present.record.plan.generation === plan.generation) return;
        throw new ConsortError(
          "conflict",
          `Cannot create ${plan.id}: another generation of it is here, which must be destroyed first`,
        );
      }
      const { image } = rootFor(plan, this.#hidden);
      const spare = image === hostRoot && !this.#isMachine(plan) ? this.#pool.take() : undefined;
      const slot = spare ?? this.#slots.reserve();
      const task = this.#taskIn(slot, newRecord(plan));
      try {
        task.save({});
        if (spare?.adopt(task.listener) !== true) await this.#make(slot, plan, task);
        task.createGroups();
        task.prepare(names);
        this.#reservations.change([{ plan, cgroup: slot.cgroup }]);
        if (plan.suspended === true) this.#reservations.suspend(plan.id);
      } catch (cause) {
        await this.#clearAway(task);
        throw cause;
      }
      this.#tasks.set(plan.id, task);
      task.look();
      this.#pool.refill(this.#closing.signal);
    });
  }

  start(id: ApplianceId, signal: AbortSignal): Promise<void> {
    return this.#turns.run(id, async () => {
      const task = this.#task("start", id);
      const { phase } = task.record;
      // Already running, or over by itself: a command that is to run once must not run twice for being asked twice.
      if (phase === "running") return task.started(signal);
      if (task.leased && !this.#lease.lasts()) throw noLease(id);
      await task.begin("hand");
      await task.started(signal);
    });
  }

  stop(id: ApplianceId, graceMs: Millis, signal: AbortSignal): Promise<void> {
    return this.#turns.run(id, async () => {
      await this.#tasks.get(id)?.stop(graceMs, signal);
    });
  }

  destroy(id: ApplianceId, signal: AbortSignal): Promise<void> {
    return this.#turns.run(id, async () => {
      const task = this.#tasks.get(id);
      if (task === undefined) return;
      task.cancelRestart();
      task.save({ phase: "destroying" });
      this.#reservations.expel(id);
      await this.#slots.remove(task.slot, signal);
      this.#tasks.delete(id);
      this.#onChange();
    });
  }

  async adapt(changes: ReadonlyMap<ApplianceId, LiveSettings>, _signal: AbortSignal): Promise<void> {
    const changed = [...changes].map(([id, { leased, vm: _vm, ...settings }]) => {
      const task = this.#task("adapt", id);
      const before = task.record.plan;
      const plan = { ...before, ...settings };
      refuseOtherJobs(before, plan);
      return { task, leased, settings, reserving: { before, plan, cgroup: task.slot.cgroup } };
    });
    const cpu = changed.filter(({ settings }) => changesCpu.some((name) => settings[name] !== undefined));
    this.#reservations.change(cpu.map(({ reserving }) => reserving));
    // First who gives up something: what a manager killed half way leaves on record is never more than there is.
    for (const { task, leased, settings, reserving } of changed.toSorted(byGrowth)) {
      if (settings.memoryBytes !== undefined) task.setMemory(settings.memoryBytes);
      task.save({ plan: reserving.plan });
      // Jobs are restarted by the policy that is in there.
      if (settings.restart !== undefined) task.tell();
      if (leased !== undefined) task.setLeased(leased);
    }
  }

  renewLease(until: Millis): void {
    if (!this.#renewal.renew(until)) return;
    // They would find out, but later.
    for (const task of this.#tasks.values()) if (task.leased) task.slot.send("lease", 0);
  }

  async setNames(id: ApplianceId, names: ReadonlyMap<string, string>, _signal: AbortSignal): Promise<void> {
    this.#task("name the neighbours of", id).setNames(names);
  }

  async suspend(id: ApplianceId, _signal: AbortSignal): Promise<void> {
    const task = this.#task("suspend", id);
    const state = task.state();
    if (state === "suspended") return;
    if (state !== "running") {
      throw new ConsortError("conflict", `Cannot suspend ${id}: it is ${state}, running was wanted`);
    }
    task.save({ suspended: true });
    task.hold();
    this.#onChange();
  }

  async resume(id: ApplianceId, _signal: AbortSignal): Promise<void> {
    const task = this.#task("resume", id);
    if (!task.record.suspended) return;
    task.letGo();
    task.save({ suspended: false });
    this.#onChange();
  }

  async exec(id: ApplianceId, request: ExecRequest, signal: AbortSignal): Promise<number> {
    const task = this.#task("run a program in", id);
    const { pid, uid, entrances } = task.slot;
    if (pid === undefined || task.state() !== "running") {
      throw new ConsortError(
        "conflict",
        `Cannot run a program in ${id}: it is ${task.state()}, running was wanted`,
      );
    }
    const machine = { pid, uid, entrances, leaseFile: this.#lease.path };
    return runInside(machine, task.record.plan, request, signal);
  }

  readLog(id: ApplianceId, maxBytes: number, signal: AbortSignal): Promise<string> {
    return readOutput(this.#task("read the output of", id).slot.logFile(), maxBytes, signal);
  }

  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#pool.settled();
    for (const task of this.#tasks.values()) task.cancelRestart();
    // Else it would make, when all here is closed, what nobody knows of.
    await Promise.all([...this.#tasks.values()].map((task) => task.restarted()));
    for (const task of this.#tasks.values()) task.slot.hangUp();
    for (let slot = this.#pool.take(); slot !== undefined; slot = this.#pool.take()) slot.hangUp();
    this.#factory.close();
    this.#lease.close();
  }

  /** Undefined: it is not here. */
  slotOf(id: ApplianceId): SlotFacts | undefined {
    const task = this.#tasks.get(id);
    if (task === undefined) return undefined;
    const { uid, netns, cgroup } = task.slot;
    return { uid, netns, cgroup, run: task.record.run, state: task.state() };
  }

  /** As it was created and since adapted; undefined: it is not here. */
  planOf(id: ApplianceId): AppliancePlan | undefined {
    return this.#tasks.get(id)?.record.plan;
  }

  /** Resolves when the machines for the next appliances are ready. */
  poolFilled(): Promise<void> {
    return this.#pool.settled();
  }

  #task(action: string, id: ApplianceId): Task {
    const task = this.#tasks.get(id);
    if (task === undefined)
      throw new ConsortError("not_found", `Cannot ${action} ${id}: it is not on this host`);
    return task;
  }

  #taskIn(slot: Slot, record: TaskRecord): Task {
    return new Task(slot, record, {
      clock: this.#options.clock,
      log: this.#options.log,
      pidsMax: this.#options.pidsMax ?? taskDefaults.pidsMax,
      reservations: this.#reservations,
      onChange: () => this.#onChange(),
      inTurn: (task, work) => this.#turns.run(task.id, work),
      askToEnd: (task) =>
        this.#isMachine(task.record.plan) && this.#options.machines?.askToEnd(task.id) === true,
      remake: (task) => this.#make(task.slot, task.record.plan, task),
    });
  }

  #make(slot: Slot, plan: AppliancePlan, task: Task): Promise<void> {
    const { machines } = this.#options;
    const extras = machines?.serves(plan) === true ? machines.extras(plan, slot.uid) : noExtras;
    return slot.make(this.#factory, { ...rootFor(plan, this.#hidden), extras }, task.listener);
  }

  #isMachine(plan: AppliancePlan): boolean {
    return this.#options.machines?.serves(plan) === true;
  }

  async #makeSpare(): Promise<Slot> {
    const slot = this.#slots.reserve();
    const { signal } = this.#closing;
    const discard = (): void => {
      if (!this.#pool.drop(slot)) return;
      void this.#slots.clearAway(slot, () => {}, signal).then(() => this.#pool.refill(signal));
    };
    const root = { image: hostRoot, masks: this.#hidden, extras: noExtras };
    try {
      await slot.make(this.#factory, root, { onEvent: () => {}, onDeath: discard });
    } catch (cause) {
      await this.#slots.clearAway(slot, () => {}, signal);
      throw cause;
    }
    return slot;
  }

  /** What could not be made whole. */
  #clearAway(task: Task): Promise<void> {
    const before = (): void => {
      // Should this process end before it is gone, the next one must not adopt it.
      task.save({ phase: "destroying" });
      this.#reservations.expel(task.id);
    };
    return this.#slots.clearAway(task.slot, before, this.#closing.signal);
  }
}

function newRecord(plan: AppliancePlan): TaskRecord {
  return { plan, phase: "created", run: 0, restarts: 0, oomKills: 0, suspended: plan.suspended === true };
}

type Adapting = { readonly reserving: { readonly before: AppliancePlan; readonly plan: AppliancePlan } };

const byGrowth = (a: Adapting, b: Adapting): number => growthOf(a) - growthOf(b);
const growthOf = ({ reserving: { before, plan } }: Adapting): number =>
  cpuDemandMilli(plan) - cpuDemandMilli(before);

const changesCpu = ["cpu", "enforcement", "teams"] as const;

/** Programs do not change while they run. */
function refuseOtherJobs(before: AppliancePlan, after: AppliancePlan): void {
  if (digest(jobPlaces(before.teams)) === digest(jobPlaces(after.teams))) return;
  throw new ConsortError("conflict", `Cannot adapt ${after.id}: its teams have other jobs than those wanted`);
}
