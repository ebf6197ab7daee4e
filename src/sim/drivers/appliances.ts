import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import { bytes, millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { noLease } from "#drivers/appliance/no-lease.ts";
import type {
  ApplianceDriver,
  ApplianceObservation,
  ExecRequest,
  LiveSettings,
} from "#drivers/appliance/port.ts";
import { nextRestart } from "#drivers/appliance/task/next-restart.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { programOf } from "#sim/drivers/program.ts";
import type { SimulatedCheckpointer } from "#sim/drivers/checkpoints.ts";
import type { SimulatedMachine } from "#sim/drivers/machine.ts";
import { isOver } from "#sim/drivers/machine-appliance.ts";
import type { SimulatedAppliance } from "#sim/drivers/machine-appliance.ts";
import { isElsewhere, SimulatedMoves, vmReport } from "#sim/drivers/moves.ts";
import type { MoveRoads } from "#sim/drivers/moves.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { SimulationSettings } from "#sim/settings.ts";

type Observation = { -readonly [Key in keyof ApplianceObservation]: ApplianceObservation[Key] };

type Seen = {
  readonly version: number;
  readonly present: readonly SimulatedAppliance[];
  readonly observations: readonly Observation[];
};

export const simulatedKinds = ["task", "vm"] as const;
export const simulatedCapabilities = ["exec", "resize", "suspend", "migrate"] as const;

/** What one life of a host manager does with the machine it is on. */
export class SimulatedApplianceDriver implements ApplianceDriver {
  readonly kinds = simulatedKinds;
  readonly capabilities = new Set(simulatedCapabilities);
  readonly #machine: SimulatedMachine;
  readonly #life: Incarnation;
  readonly #clock: Clock;
  readonly #settings: SimulationSettings;
  readonly #moves: SimulatedMoves;
  readonly #checkpoints: SimulatedCheckpointer | undefined;
  readonly #restarts = new Map<ApplianceId, AbortController>();
  #listener: () => void = () => {};
  #noticed = false;
  /** What was looked at last: while the machine is at the same version, only the used processor time is another. */
  #seen: Seen | undefined;

  constructor(parts: {
    machine: SimulatedMachine;
    life: Incarnation;
    clock: Clock;
    settings: SimulationSettings;
    roads: MoveRoads;
    /** Absent: no checkpoints are taken, and none is begun from. */
    checkpoints?: SimulatedCheckpointer | undefined;
  }) {
    this.#machine = parts.machine;
    this.#life = parts.life;
    this.#clock = parts.clock;
    this.#settings = parts.settings;
    const { checkpoints } = parts;
    this.#checkpoints = checkpoints;
    const isBusy = (id: ApplianceId): boolean => checkpoints?.isBusy(id) === true;
    this.#moves = new SimulatedMoves(parts.machine, parts.life, parts.roads, isBusy);
  }

  recover(_signal: AbortSignal): Promise<void> {
    return this.#life.call("appliances, recover", this.#settings.callMs, () => {
      this.#machine.watch(() => this.#notice());
      this.#look();
      for (const one of this.#machine.present.values()) this.#scheduleRestart(one);
    });
  }

  observe(): readonly ApplianceObservation[] {
    const { version } = this.#machine;
    if (this.#seen?.version !== version) {
      const present = [...this.#machine.present.values()];
      this.#seen = { version, present, observations: present.map((one) => this.#observation(one)) };
    }
    const { present, observations } = this.#seen;
    const usedMs = this.#machine.cpuUsedMs(present);
    for (let at = 0; at < present.length; at += 1) {
      observations[at]!.cpuUsedMs = millis(Math.round(usedMs[at]!));
    }
    return observations;
  }

  async create(plan: AppliancePlan, names: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
    const restore = plan.vm?.move === undefined ? plan.vm?.restore : undefined;
    if (restore !== undefined) await this.#checkpoints?.begin(plan.id, restore, signal);
    return this.#life.call("appliances, create", this.#settings.createMs, () =>
      this.#machine.create(plan, names),
    );
  }

  async start(id: ApplianceId, _signal: AbortSignal): Promise<void> {
    await this.#life.call("appliances, start", this.#settings.callMs, () => {
      const one = this.#machine.known("start", id);
      if (one.phase !== "created" && one.phase !== "stopped") return;
      if (!this.#moves.mayBegin(one)) return;
      if (!this.#machine.mayRun(one)) throw noLease(id);
      one.restarts = 0;
      one.lastDelayMs = undefined;
      this.#begin(one);
    });
    await this.#until((one) => one?.phase !== "starting", id);
  }

  async stop(id: ApplianceId, graceMs: Millis, signal: AbortSignal): Promise<void> {
    this.#restarts.get(id)?.abort();
    await this.#life.call("appliances, stop", this.#settings.callMs, () => {
      const one = this.#machine.present.get(id);
      if (one !== undefined) this.#machine.tellToStop(one);
    });
    const isStopped = (one: SimulatedAppliance | undefined): boolean => one === undefined || isOver(one);
    if (isStopped(this.#machine.present.get(id))) return;
    const over = new AbortController();
    const patience = this.#clock.sleep(graceMs, AbortSignal.any([signal, over.signal])).catch(() => {});
    await Promise.race([this.#until(isStopped, id), patience]);
    over.abort();
    signal.throwIfAborted();
    await this.#life.call("appliances, kill", this.#settings.callMs, () => {
      const one = this.#machine.present.get(id);
      if (one !== undefined) this.#machine.kill(one);
    });
  }

  async destroy(id: ApplianceId, _signal: AbortSignal): Promise<void> {
    this.#restarts.get(id)?.abort();
    await this.#life.call("appliances, destroy", this.#settings.destroyMs, () => this.#machine.remove(id));
  }

  adapt(changes: ReadonlyMap<ApplianceId, LiveSettings>, _signal: AbortSignal): Promise<void> {
    return this.#life.call("appliances, adapt", this.#settings.callMs, () => {
      const settings = new Map<ApplianceId, Partial<AppliancePlan>>();
      for (const [id, { vm, ...others }] of changes) {
        const now = this.#machine.present.get(id)?.plan.vm;
        settings.set(
          id,
          vm === undefined || now === undefined ? others : { ...others, vm: { ...now, ...vm } },
        );
      }
      this.#machine.adapt(settings);
    });
  }

  move(plan: AppliancePlan, signal: AbortSignal): Promise<void> {
    return this.#moves.isOvertaken(plan) ? this.destroy(plan.id, signal) : this.#moves.step(plan);
  }

  onSent(listener: (id: ApplianceId, move: string) => void): void {
    this.#moves.onSent(listener);
  }

  giveWord(id: ApplianceId, move: string): boolean {
    return this.#moves.giveWord(id, move);
  }

  suspend(id: ApplianceId, _signal: AbortSignal): Promise<void> {
    return this.#life.call("appliances, suspend", this.#settings.callMs, () =>
      this.#machine.suspend(this.#machine.known("suspend", id)),
    );
  }

  resume(id: ApplianceId, _signal: AbortSignal): Promise<void> {
    return this.#life.call("appliances, resume", this.#settings.callMs, () =>
      this.#machine.resume(this.#machine.known("resume", id)),
    );
  }

  renewLease(until: Millis): void {
    this.#life.act(() => this.#machine.renewLease(this.#life.startedAt + until));
  }

  setNames(id: ApplianceId, names: ReadonlyMap<string, string>, _signal: AbortSignal): Promise<void> {
    return this.#life.call("appliances, names", this.#settings.callMs, () => {
      this.#machine.known("name the neighbours of", id).names = names;
    });
  }

  async exec(id: ApplianceId, request: ExecRequest, signal: AbortSignal): Promise<number> {
    const program = programOf(request.command);
    await this.#life.call("appliances, exec", this.#settings.startMs, () => {
      const state = this.#machine.stateOf(this.#machine.known("run a program in", id));
      if (state !== "running") {
        throw new ConsortError(
          "conflict",
          `Cannot run a program in ${id}: it is ${state}, running was wanted`,
        );
      }
      if (program.output !== "") request.onOutput("stdout", Buffer.from(program.output));
    });
    if (program.ends !== undefined) {
      await this.#clock.sleep(millis(program.ends.afterMs), signal);
      return program.ends.code;
    }
    if (program.output !== "") return 0;
    const { promise, reject } = Promise.withResolvers<number>();
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (signal.aborted) reject(signal.reason);
    return promise;
  }

  readLog(id: ApplianceId, maxBytes: number, _signal: AbortSignal): Promise<string> {
    return this.#life.read("appliances, log", this.#settings.callMs, () =>
      this.#machine.known("read the output of", id).output.slice(-maxBytes),
    );
  }

  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  close(): Promise<void> {
    this.#listener = () => {};
    for (const restart of this.#restarts.values()) restart.abort();
    return Promise.resolve();
  }

  /** The kernel tells the manager's process, which hears of it a little later, once for all that happened meanwhile. */
  #notice(): void {
    if (this.#noticed || this.#life.isDead) return;
    this.#noticed = true;
    this.#life.later(this.#life.draw(this.#settings.callMs), "appliances, a change", () => {
      this.#noticed = false;
      this.#look();
      this.#listener();
    });
  }

  /** Draws the consequences of what ended by itself. */
  #look(): void {
    for (const one of this.#machine.present.values()) {
      if (!one.unseenEnd) continue;
      this.#life.act(() => this.#followUp(one));
    }
  }

  #followUp(one: SimulatedAppliance): void {
    const wall = this.#clock.now();
    const ranMs = millis(Math.max(0, wall - (one.startedAt ?? wall)));
    const next = nextRestart(
      one.plan.restart,
      { exitCode: one.exitCode ?? 0, ranMs },
      one.lastDelayMs === undefined ? undefined : millis(one.lastDelayMs),
    );
    one.unseenEnd = false;
    if (!next.restart) {
      one.phase = next.state;
      return;
    }
    one.phase = "backoff";
    one.restarts += 1;
    one.lastDelayMs = next.delayMs;
    one.restartAt = wall + next.delayMs;
    this.#seen = undefined;
    this.#scheduleRestart(one);
  }

  #scheduleRestart(one: SimulatedAppliance): void {
    if (one.phase !== "backoff" || one.restartAt === undefined) return;
    const restart = new AbortController();
    this.#restarts.get(one.plan.id)?.abort();
    this.#restarts.set(one.plan.id, restart);
    const delay = millis(Math.max(0, one.restartAt - this.#clock.now()));
    const goOn = (): void => {
      if (one.phase !== "backoff" || this.#machine.present.get(one.plan.id) !== one) return;
      this.#life.act(() => this.#begin(one));
    };
    this.#clock.sleep(delay, restart.signal).then(goOn, () => {});
  }

  /** What is suspended to disk waits as it begins. */
  #begin(one: SimulatedAppliance): void {
    if (this.#checkpoints?.standsStill(one.plan.id) === true) one.standsStill = true;
    this.#machine.begin(one);
  }

  /** Resolves when that holds of the appliance, or of its being gone. */
  #until(holds: (one: SimulatedAppliance | undefined) => boolean, id: ApplianceId): Promise<void> {
    if (holds(this.#machine.present.get(id))) return Promise.resolve();
    return new Promise((resolve) => {
      const forget = this.#machine.onOver(() => {
        if (this.#life.isDead) return forget();
        if (!holds(this.#machine.present.get(id))) return;
        forget();
        this.#life.later(this.#life.draw(this.#settings.callMs), "appliances, it is so", resolve);
      });
    });
  }

  #observation(one: SimulatedAppliance): Observation {
    const { plan, startedAt, exitCode, message } = one;
    const observation: Observation = {
      id: plan.id,
      generation: plan.generation,
      state: this.#machine.stateOf(one),
      restarts: one.restarts,
      cpuUsedMs: millis(0),
      memoryBytes: bytes(this.#machine.memoryBytes(one)),
      restart: plan.restart,
      stopGraceMs: plan.stopGraceMs,
      netns: `/run/netns/${plan.id}`,
    };
    const side = this.#machine.sides.get(plan.id);
    const vm = vmReport(one, side);
    if (vm !== undefined) observation.vm = vm;
    if (isElsewhere(side) && plan.suspended !== true) observation.state = "starting";
    if (startedAt !== undefined) observation.startedAt = millis(startedAt);
    if (exitCode !== undefined) observation.exitCode = exitCode;
    if (message !== undefined) observation.message = message;
    if (plan.cpu !== undefined) observation.cpu = plan.cpu;
    if (plan.enforcement !== undefined) observation.enforcement = plan.enforcement;
    if (plan.teams !== undefined) observation.teams = plan.teams;
    if (plan.memoryBytes !== undefined) observation.memoryLimitBytes = plan.memoryBytes;
    if (plan.leased === true) observation.leased = true;
    return observation;
  }
}
