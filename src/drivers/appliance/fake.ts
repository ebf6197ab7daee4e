import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import { bytes, micros, millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { noLease } from "#drivers/appliance/no-lease.ts";
import type {
  ApplianceCapability,
  ApplianceDriver,
  ApplianceObservation,
  ExecRequest,
  LiveSettings,
} from "#drivers/appliance/port.ts";
import { nextRestart } from "#drivers/appliance/task/next-restart.ts";
import type { Enforcement } from "#model/ensemble.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { ApplianceState, SchedulingReport } from "#protocol/host-report.ts";

type FakeAppliance = {
  plan: AppliancePlan;
  state: ApplianceState;
  /** Suspended before it ever ran. */
  unbegun: boolean;
  restarts: number;
  startedAt?: Millis;
  exitCode?: number;
  message?: string;
  lastDelayMs?: Millis;
  restartAt?: Millis;
  output: string;
  names: ReadonlyMap<string, string>;
};

/** What outlives a fake driver, as processes outlive a real one. */
export type FakeMachine = {
  readonly appliances: Map<ApplianceId, FakeAppliance>;
  /** What reservations may add up to; undefined: whatever is asked for. */
  reservableMilli?: number;
  /** Moment of the machine's monotonic clock until which leased appliances may run; undefined: none was ever given. */
  leaseUntil?: Millis;
};

export const fakeMachine = (): FakeMachine => ({ appliances: new Map() });

/** What is seen of one appliance at `now` of the monotonic clock, whether or not a driver is there to look. */
export function fakeState(machine: FakeMachine, id: ApplianceId, now: Millis): ApplianceState | undefined {
  const one = machine.appliances.get(id);
  return one === undefined ? undefined : stateAt(one, machine, now);
}

const words = { keepsRunning: "stay", ends: "exit", says: "say" } as const;

/** Commands the fake knows: it has no programs. */
export const fakePrograms = {
  stays: (): string[] => [words.keepsRunning],
  ends: (code: number): string[] => [words.ends, String(code)],
  says: (text: string): string[] => [words.says, text],
};

/** Appliances without processes. `crash` ends one's command as if by itself. */
export class FakeApplianceDriver implements ApplianceDriver {
  readonly kinds = ["task", "vm"] as const;
  readonly capabilities: ReadonlySet<ApplianceCapability> = new Set(["exec", "resize", "suspend"] as const);
  readonly #machine: FakeMachine;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  readonly #restarts = new Map<ApplianceId, AbortController>();
  #leaseWatch = new AbortController();
  #listener: () => void = () => {};

  constructor(clock: Clock, machine: FakeMachine = fakeMachine()) {
    this.#clock = clock;
    this.#machine = machine;
  }

  async recover(_signal: AbortSignal): Promise<void> {
    for (const one of this.#machine.appliances.values()) this.#scheduleRestart(one);
    this.#goOn();
    this.#watchLease();
  }

  observe(): readonly ApplianceObservation[] {
    return [...this.#machine.appliances.values()].map((one) => observation(one, this.#stateOf(one)));
  }

  async create(plan: AppliancePlan, names: ReadonlyMap<string, string>, _signal: AbortSignal): Promise<void> {
    const present = this.#machine.appliances.get(plan.id);
    if (present?.plan.generation === plan.generation) return;
    if (present !== undefined) {
      throw new ConsortError("conflict", `Cannot create ${plan.id}: another generation of it is here`);
    }
    this.#admit([plan]);
    const unbegun = plan.suspended === true;
    const state = unbegun ? "suspended" : "created";
    this.#machine.appliances.set(plan.id, { plan, state, unbegun, restarts: 0, output: "", names });
    this.#listener();
  }

  async start(id: ApplianceId, _signal: AbortSignal): Promise<void> {
    const one = this.#known("start", id);
    if (one.state !== "created" && one.state !== "stopped") return;
    if (!mayRun(one, this.#machine, this.#clock.monotonic())) throw noLease(id);
    one.restarts = 0;
    delete one.lastDelayMs;
    this.#run(one);
  }

  async stop(id: ApplianceId, _graceMs: Millis, _signal: AbortSignal): Promise<void> {
    const one = this.#machine.appliances.get(id);
    if (one === undefined || one.state === "created" || one.unbegun) return;
    this.#restarts.get(id)?.abort();
    one.state = "stopped";
    this.#listener();
  }

  async destroy(id: ApplianceId, _signal: AbortSignal): Promise<void> {
    this.#restarts.get(id)?.abort();
    this.#machine.appliances.delete(id);
    this.#listener();
  }

  async adapt(changes: ReadonlyMap<ApplianceId, LiveSettings>, _signal: AbortSignal): Promise<void> {
    const changed = [...changes].map(([id, { vm: _vm, ...settings }]) => {
      const one = this.#known("adapt", id);
      return { one, plan: { ...one.plan, ...settings } };
    });
    this.#admit(changed.map(({ plan }) => plan));
    for (const { one, plan } of changed) one.plan = plan;
    this.#goOn();
  }

  /** Throws if the reservations of these and of all the others exceed what there is. */
  #admit(plans: readonly AppliancePlan[]): void {
    const { appliances, reservableMilli } = this.#machine;
    if (reservableMilli === undefined) return;
    const after = new Map([...appliances].map(([id, one]) => [id, one.plan]));
    for (const plan of plans) after.set(plan.id, plan);
    let wanted = 0;
    for (const { cpu } of after.values()) {
      if (cpu?.kind === "reservation") wanted += (cpu.executionUs * 1000) / cpu.periodUs;
    }
    if (wanted <= reservableMilli) return;
    const names = plans.map((plan) => plan.id).join(", ");
    throw new ConsortError(
      "unsatisfiable",
      `Cannot reserve CPU time for ${names}: ${wanted} thousandths of a processor would be promised, at most ${reservableMilli} can be`,
    );
  }

  async suspend(id: ApplianceId, _signal: AbortSignal): Promise<void> {
    const one = this.#known("suspend", id);
    const state = this.#stateOf(one);
    if (state === "suspended") return;
    if (state !== "running") {
      throw new ConsortError("conflict", `Cannot suspend ${id}: it is ${state}, running was wanted`);
    }
    one.state = "suspended";
    this.#listener();
  }

  async resume(id: ApplianceId, _signal: AbortSignal): Promise<void> {
    const one = this.#known("resume", id);
    if (one.state !== "suspended") return;
    one.state = one.unbegun ? "created" : "running";
    one.unbegun = false;
    this.#listener();
  }

  renewLease(until: Millis): void {
    const before = this.#machine.leaseUntil;
    if (before !== undefined && until <= before) return;
    this.#machine.leaseUntil = until;
    // Told only if it changes anything: whoever listens may well report, and be granted the next lease for it.
    if (before === undefined || before <= this.#clock.monotonic()) this.#goOn();
    this.#watchLease();
  }

  async setNames(id: ApplianceId, names: ReadonlyMap<string, string>, _signal: AbortSignal): Promise<void> {
    this.#known("name the neighbours of", id).names = names;
  }

  async exec(id: ApplianceId, request: ExecRequest, signal: AbortSignal): Promise<number> {
    const one = this.#known("run a program in", id);
    const state = this.#stateOf(one);
    if (state !== "running") {
      throw new ConsortError("conflict", `Cannot run a program in ${id}: it is ${state}, running was wanted`);
    }
    const [program, argument] = request.command;
    if (program === words.says) request.onOutput("stdout", Buffer.from(`${argument}\n`));
    if (program !== words.keepsRunning) return program === words.ends ? Number(argument) : 0;
    const { promise, reject } = Promise.withResolvers<number>();
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (signal.aborted) reject(signal.reason);
    return promise;
  }

  async readLog(id: ApplianceId, maxBytes: number, _signal: AbortSignal): Promise<string> {
    return this.#known("read the output of", id).output.slice(-maxBytes);
  }

  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#leaseWatch.abort();
    for (const restart of this.#restarts.values()) restart.abort();
  }

  /** What an appliance would find in its /etc/hosts. */
  namesIn(id: ApplianceId): ReadonlyMap<string, string> {
    return this.#known("look into", id).names;
  }

  /** Its command ends as if by itself. */
  crash(id: ApplianceId, exitCode: number): void {
    this.#ended(this.#known("crash", id), exitCode);
  }

  #known(action: string, id: ApplianceId): FakeAppliance {
    const one = this.#machine.appliances.get(id);
    if (one === undefined)
      throw new ConsortError("not_found", `Cannot ${action} ${id}: it is not on this host`);
    return one;
  }

  #stateOf(one: FakeAppliance): ApplianceState {
    return stateAt(one, this.#machine, this.#clock.monotonic());
  }

  /** What waited for a lease runs if it may. */
  #goOn(): void {
    const now = this.#clock.monotonic();
    for (const one of this.#machine.appliances.values()) {
      if (one.state === "starting" && mayRun(one, this.#machine, now)) this.#run(one);
    }
    this.#listener();
  }

  /** Tells when the lease ends; nothing depends on that. */
  #watchLease(): void {
    this.#leaseWatch.abort();
    this.#leaseWatch = new AbortController();
    const { leaseUntil } = this.#machine;
    if (leaseUntil === undefined || this.#closing.signal.aborted) return;
    const left = millis(Math.max(0, leaseUntil - this.#clock.monotonic()));
    this.#clock.sleep(left, this.#leaseWatch.signal).then(
      // A timer may be a little early.
      () => (this.#clock.monotonic() < leaseUntil ? this.#watchLease() : this.#listener()),
      () => {},
    );
  }

  #run(one: FakeAppliance): void {
    one.state = "running";
    one.startedAt = this.#clock.now();
    delete one.exitCode;
    delete one.message;
    delete one.restartAt;
    const [program, argument] = one.plan.command;
    if (program === words.says) one.output += `${argument}\n`;
    if (program === words.ends) this.#ended(one, Number(argument));
    this.#listener();
  }

  #ended(one: FakeAppliance, exitCode: number): void {
    const ranMs = millis(this.#clock.now() - (one.startedAt ?? 0));
    const next = nextRestart(one.plan.restart, { exitCode, ranMs }, one.lastDelayMs);
    one.exitCode = exitCode;
    if (exitCode !== 0) one.message = `Its command ended with exit code ${exitCode}`;
    one.state = next.restart ? "backoff" : next.state;
    if (next.restart) {
      one.restarts += 1;
      one.lastDelayMs = next.delayMs;
      one.restartAt = millis(this.#clock.now() + next.delayMs);
      this.#scheduleRestart(one);
    }
    this.#listener();
  }

  #scheduleRestart(one: FakeAppliance): void {
    if (one.state !== "backoff" || one.restartAt === undefined) return;
    const restart = new AbortController();
    this.#restarts.set(one.plan.id, restart);
    const delay = millis(Math.max(0, one.restartAt - this.#clock.now()));
    this.#clock.sleep(delay, AbortSignal.any([restart.signal, this.#closing.signal])).then(
      () => this.#restart(one),
      () => {},
    );
  }

  #restart(one: FakeAppliance): void {
    one.state = "starting";
    if (mayRun(one, this.#machine, this.#clock.monotonic())) this.#run(one);
    else this.#listener();
  }
}

const fakeScheduling = (wanted: Enforcement | undefined): SchedulingReport => ({
  enforcement: wanted === undefined || wanted === "auto" ? "dispatch-table" : wanted,
  dispatches: 0,
  misses: 0,
  latestUs: micros(0),
});

/** At its last moment a lease is over. */
const mayRun = (one: FakeAppliance, machine: FakeMachine, now: Millis): boolean =>
  one.plan.leased !== true || (machine.leaseUntil !== undefined && now < machine.leaseUntil);

function stateAt(one: FakeAppliance, machine: FakeMachine, now: Millis): ApplianceState {
  const held = one.state === "running" || one.state === "starting";
  return held && !mayRun(one, machine, now) ? "fenced" : one.state;
}

function observation(one: FakeAppliance, state: ApplianceState): ApplianceObservation {
  const { plan, restarts, startedAt, exitCode, message } = one;
  const { cpu } = plan;
  return {
    id: plan.id,
    generation: plan.generation,
    state,
    restarts,
    cpuUsedMs: millis(0),
    memoryBytes: bytes(0),
    restart: plan.restart,
    stopGraceMs: plan.stopGraceMs,
    netns: `/run/netns/fake.${plan.id.replaceAll("/", ".")}`,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(message === undefined ? {} : { message }),
    ...(cpu === undefined ? {} : { cpu }),
    ...(plan.enforcement === undefined ? {} : { enforcement: plan.enforcement }),
    ...(plan.teams === undefined ? {} : { teams: plan.teams }),
    ...(cpu?.kind === "reservation" ? { scheduling: fakeScheduling(plan.enforcement) } : {}),
    ...(plan.memoryBytes === undefined ? {} : { memoryLimitBytes: plan.memoryBytes }),
    ...(plan.leased === true ? { leased: true } : {}),
  };
}
