import { ConsortError } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import { milliCpu } from "#base/units.ts";
import type { DispatchRules } from "#model/topology.ts";
import { machineOf, scheduleRefusal } from "#planner/reservations.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { ApplianceState } from "#protocol/host-report.ts";
import type { PlaceClock } from "#sim/kernel/place-clock.ts";
import type { VirtualTime } from "#sim/kernel/virtual-time.ts";
import { CpuUse } from "#sim/drivers/cpu-use.ts";
import { executes, isOver, viewOf } from "#sim/drivers/machine-appliance.ts";
import type { ApplianceView, SimulatedAppliance } from "#sim/drivers/machine-appliance.ts";
import { MachineLease } from "#sim/drivers/machine-lease.ts";
import { programOf } from "#sim/drivers/program.ts";
import type { MoveSide } from "#sim/drivers/moves.ts";
import type { SimulationSettings, Spread } from "#sim/settings.ts";

/** As a shell tells it of a program that was killed. */
const killedCode = 137;

type MachineParts = {
  readonly host: HostId;
  readonly time: VirtualTime;
  readonly clock: PlaceClock;
  readonly random: Random;
  readonly capacityMilli: number;
  readonly dispatch?: DispatchRules;
  readonly settings: SimulationSettings;
  /** Something on it has changed. */
  readonly onChange: () => void;
};

/** Share of its memory limit a program uses. */
const memoryShare = 0.25;

/**
 * A host without its manager: what goes on there whoever watches. Programs run and end by themselves, those that are
 * leased are held when the lease ends by the machine's own clock, and a loss of power leaves what is on disk.
 */
export class SimulatedMachine {
  readonly host: HostId;
  readonly present = new Map<ApplianceId, SimulatedAppliance>();
  /** Live moves that it has a side of. */
  readonly sides = new Map<ApplianceId, MoveSide>();
  readonly #parts: MachineParts;
  readonly #over = new Set<() => void>();
  #onChange: () => void = () => {};
  #powered = true;
  #version = 0;
  #views: { version: number; appliances: readonly ApplianceView[] } | undefined;
  readonly #lease: MachineLease;
  readonly #cpu: CpuUse;

  constructor(parts: MachineParts) {
    this.host = parts.host;
    this.#parts = parts;
    this.#lease = new MachineLease(parts, () => this.#holdLeased());
    this.#cpu = new CpuUse(parts.capacityMilli, parts.settings);
  }

  get powered(): boolean {
    return this.#powered;
  }

  /** Grows whenever something about its appliances has changed. */
  get version(): number {
    return this.#version;
  }

  /** As it is now, for whoever looks on. */
  get appliances(): readonly ApplianceView[] {
    if (this.#views?.version === this.#version) return this.#views.appliances;
    const appliances = [...this.present.values()].map((one) => viewOf(one, this.stateOf(one)));
    this.#views = { version: this.#version, appliances };
    return appliances;
  }

  get moving(): Iterable<ApplianceId> {
    return this.sides.keys();
  }

  /** The one who is told of changes: the driver of the manager that lives. */
  watch(onChange: () => void): void {
    this.#onChange = onChange;
  }

  known(action: string, id: ApplianceId): SimulatedAppliance {
    const one = this.present.get(id);
    if (one !== undefined) return one;
    throw new ConsortError("not_found", `Cannot ${action} ${id}: it is not on this host`);
  }

  /** It is not leased, or its lease lasts. */
  mayRun(one: SimulatedAppliance): boolean {
    if (one.plan.leased !== true || !this.#parts.settings.machinesObeyLeases) return true;
    return this.#lease.lasts();
  }

  stateOf(one: SimulatedAppliance): ApplianceState {
    const held = one.phase === "running" || one.phase === "starting";
    return held && !this.mayRun(one) ? "fenced" : one.phase;
  }

  create(plan: AppliancePlan, names: ReadonlyMap<string, string>): void {
    const present = this.present.get(plan.id);
    if (present?.plan.generation === plan.generation) return;
    if (present !== undefined) {
      throw new ConsortError("conflict", `Cannot create ${plan.id}: another generation of it is here`);
    }
    this.#admit([plan]);
    const fresh = { restarts: 0, unseenEnd: false, output: "", cpuUsedMs: 0 };
    const phase = plan.suspended === true ? "suspended" : "created";
    // What arrives in a move brings along what it began from.
    const beganFrom = plan.vm?.move === undefined ? plan.vm?.restore?.checkpoints[0]?.id : undefined;
    this.present.set(plan.id, { plan, phase, names, beganFrom, ...fresh });
    this.#changed();
  }

  /** Its program is begun, or goes on that began elsewhere; it takes over after a while, if the machine may run it then. */
  begin(one: SimulatedAppliance, begunAtMs = this.#parts.time.nowMs): void {
    one.phase = "starting";
    one.begunAtMs = begunAtMs;
    one.lastCheckpoint = undefined;
    one.exitCode = undefined;
    one.message = undefined;
    one.restartAt = undefined;
    one.unseenEnd = false;
    one.endsInMs = programOf(one.plan.command).ends?.afterMs;
    this.#later(one, this.draw(this.#parts.settings.startMs), "begins", () => this.#takeOver(one));
    this.#changed();
  }

  /** The polite signal. What is held, suspended or not begun is killed at once: it could not hear. */
  tellToStop(one: SimulatedAppliance): void {
    one.restartAt = undefined;
    if (isOver(one)) {
      if (one.phase !== "created") one.phase = "stopped";
      return this.#changed();
    }
    if (one.phase === "stopping") return;
    const hears = one.phase === "running" && this.mayRun(one);
    if (!hears) return this.kill(one);
    one.phase = "stopping";
    one.timer = this.#callOff(one);
    if (!programOf(one.plan.command).stubborn) {
      this.#later(one, this.draw(this.#parts.settings.stopMs), "stops", () => this.kill(one));
    }
    this.#changed();
  }

  kill(one: SimulatedAppliance): void {
    if (isOver(one)) return;
    this.#halt(one);
    one.phase = "stopped";
    this.#changed();
  }

  remove(id: ApplianceId): void {
    const one = this.present.get(id);
    if (one === undefined) return;
    this.#halt(one);
    this.present.delete(id);
    this.sides.delete(id);
    this.#changed();
  }

  /** All of it has been sent to another host: it stands still, and none of it ended. */
  depart(one: SimulatedAppliance): void {
    this.#halt(one);
    one.phase = "stopped";
    this.#changed();
  }

  /** What is on record of moves has changed. */
  sidesChanged(): void {
    this.#changed();
  }

  suspend(one: SimulatedAppliance): void {
    const state = this.stateOf(one);
    if (state === "suspended") return;
    if (state !== "running") {
      throw new ConsortError("conflict", `Cannot suspend ${one.plan.id}: it is ${state}, running was wanted`);
    }
    this.#hold(one);
    one.phase = "suspended";
    this.#changed();
  }

  /** Paused for a checkpoint. Throws `conflict` unless it executes. */
  standStill(one: SimulatedAppliance): void {
    if (!executes(one)) {
      throw new ConsortError("conflict", `Cannot take a checkpoint of ${one.plan.id}: it does not run`);
    }
    this.#hold(one);
    one.standsStill = true;
    this.#changed();
  }

  goOnAfterCheckpoint(one: SimulatedAppliance): void {
    if (one.standsStill !== true) return;
    one.standsStill = false;
    this.#goOn(one);
    this.#changed();
  }

  resume(one: SimulatedAppliance): void {
    if (one.phase !== "suspended") return;
    one.phase = one.startedAt === undefined ? "created" : "running";
    this.#goOn(one);
    this.#changed();
  }

  /** All of them or, where one could not be kept, none. */
  adapt(changes: ReadonlyMap<ApplianceId, Partial<AppliancePlan>>): void {
    const changed = [...changes].map(([id, settings]) => {
      const one = this.known("adapt", id);
      return { one, plan: { ...one.plan, ...settings } };
    });
    this.#admit(changed.map(({ plan }) => plan));
    for (const { one, plan } of changed) {
      this.#hold(one);
      one.plan = plan;
      this.#goOn(one);
    }
    this.#changed();
  }

  /** Throws `unsatisfiable` unless every reservation per period could be kept with these plans in force. */
  #admit(plans: readonly AppliancePlan[]): void {
    if (plans.every(({ cpu }) => cpu?.kind !== "reservation")) return;
    const after = new Map([...this.present].map(([id, { plan }]) => [id, plan]));
    for (const plan of plans) after.set(plan.id, plan);
    const machines = [...after.values()].flatMap((plan) => machineOf({ id: plan.id, spec: plan }) ?? []);
    const { capacityMilli, dispatch } = this.#parts;
    const cpuMilli = milliCpu(capacityMilli);
    const refusal = scheduleRefusal(machines, dispatch === undefined ? { cpuMilli } : { cpuMilli, dispatch });
    if (refusal === undefined) return;
    throw new ConsortError("unsatisfiable", `Cannot keep every period on ${this.host}: ${refusal.reason}`);
  }

  /** A moment of its monotonic clock; an earlier one than it has is ignored. */
  renewLease(until: number): void {
    this.#lease.renew(until, () => {
      for (const one of this.present.values()) if (one.plan.leased === true) this.#goOn(one);
      this.#changed();
    });
  }

  #holdLeased(): void {
    this.account();
    for (const one of this.present.values()) if (!this.mayRun(one)) this.#hold(one);
    this.#changed();
  }

  /** Its program ends as if by itself. */
  end(id: ApplianceId, exitCode: number): void {
    const one = this.present.get(id);
    if (one !== undefined && !isOver(one)) this.#ended(one, exitCode, undefined);
  }

  /** All that runs is gone, and so is the lease; what is on disk stays. */
  losePower(): void {
    this.account();
    this.#powered = false;
    for (const side of this.sides.values()) side.isUp = false;
    for (const one of this.present.values()) {
      if (isOver(one)) continue;
      const wasStopping = one.phase === "stopping";
      this.#halt(one);
      one.phase = wasStopping ? "stopped" : "failed";
      if (wasStopping) continue;
      one.exitCode = killedCode;
      one.message = "Its machine was killed from outside";
      one.unseenEnd = true;
    }
    this.#lease.drop();
    this.#changed();
  }

  returnPower(): void {
    this.#powered = true;
    this.#version += 1;
    this.#parts.onChange();
  }

  /** Called when anything is over; returns what ends that. */
  onOver(listener: () => void): () => void {
    this.#over.add(listener);
    return () => this.#over.delete(listener);
  }

  memoryBytes(one: SimulatedAppliance): number {
    return isOver(one) ? 0 : Math.round((one.plan.memoryBytes ?? 0) * memoryShare);
  }

  /** Processor time that these have used up to now. Quickest when asked about the same list again. */
  cpuUsedMs(about: readonly SimulatedAppliance[]): readonly number[] {
    this.account();
    return this.#cpu.usedMs(about);
  }

  /** Brings the used processor time up to now. */
  account(): void {
    this.#cpu.count(this.#parts.time.nowMs, this.present.values());
  }

  #takeOver(one: SimulatedAppliance): void {
    one.phase = "running";
    one.startedAt = this.#parts.clock.wall();
    one.output += programOf(one.plan.command).output;
    this.#goOn(one);
    this.#changed();
  }

  /** It executes from now on, if it runs and may. */
  #goOn(one: SimulatedAppliance): void {
    if (one.phase !== "running" || one.standsStill === true) return;
    if (one.executesSinceMs !== undefined || !this.mayRun(one)) return;
    this.account();
    this.#cpu.changed();
    one.executesSinceMs = this.#parts.time.nowMs;
    if (one.endsInMs === undefined) return;
    const code = programOf(one.plan.command).ends?.code ?? 0;
    this.#later(one, one.endsInMs, "ends", () => this.#ended(one, code, undefined));
  }

  /** It does not execute from now on. */
  #hold(one: SimulatedAppliance): void {
    const since = one.executesSinceMs;
    if (since === undefined) return;
    this.account();
    this.#cpu.changed();
    one.timer = this.#callOff(one);
    one.executesSinceMs = undefined;
    if (one.endsInMs !== undefined) {
      one.endsInMs = Math.max(0, one.endsInMs - (this.#parts.time.nowMs - since));
    }
  }

  #halt(one: SimulatedAppliance): void {
    this.#hold(one);
    one.standsStill = false;
    one.timer = this.#callOff(one);
  }

  #ended(one: SimulatedAppliance, exitCode: number, message: string | undefined): void {
    this.#halt(one);
    one.phase = exitCode === 0 ? "exited" : "failed";
    one.exitCode = exitCode;
    one.message = message ?? (exitCode === 0 ? undefined : `Its command ended with exit code ${exitCode}`);
    one.unseenEnd = true;
    this.#changed();
  }

  #later(one: SimulatedAppliance, delayMs: number, what: string, run: () => void): void {
    const { time } = this.#parts;
    this.#callOff(one);
    one.timer = time.schedule(time.nowMs + delayMs, undefined, `${one.plan.id} ${what}`, () => {
      one.timer = undefined;
      run();
    });
  }

  #callOff(one: SimulatedAppliance): undefined {
    if (one.timer !== undefined) this.#parts.time.cancel(one.timer);
    return undefined;
  }

  draw([least, most]: Spread): number {
    return least + (most - least) * this.#parts.random.next();
  }

  #changed(): void {
    this.#version += 1;
    this.#parts.onChange();
    this.#onChange();
    for (const listener of this.#over) listener();
  }
}
