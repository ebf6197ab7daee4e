import { ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Bytes, Millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { KeptRecord } from "#drivers/appliance/kept-record.ts";
import { Changes } from "#drivers/appliance/task/changes.ts";
import { GroupUsage } from "#drivers/appliance/task/group-usage.ts";
import { jobPlaces } from "#drivers/appliance/task/job-groups.ts";
import type { JobPlace } from "#drivers/appliance/task/job-groups.ts";
import { jobsMessage } from "#drivers/appliance/task/job-states.ts";
import type { JobState } from "#drivers/appliance/task/job-states.ts";
import type { JournalEntry } from "#drivers/appliance/task/journal.ts";
import { stopProcesses } from "#drivers/appliance/task/processes.ts";
import { nextRestart } from "#drivers/appliance/task/next-restart.ts";
import { applianceNameOf } from "#drivers/appliance/task/names.ts";
import type { Reservations } from "#drivers/appliance/task/reservations.ts";
import { writeRecord } from "#drivers/appliance/task/record.ts";
import type { RunEnd, TaskRecord } from "#drivers/appliance/task/record.ts";
import type { Slot, SlotListener } from "#drivers/appliance/task/slot.ts";
import { commandSpec, hostsText } from "#drivers/appliance/task/spec.ts";
import { endMessage, endOf, killedCode, ranMs, stateOf } from "#drivers/appliance/task/standing.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { SchedulingReport } from "#protocol/host-report.ts";

/** A restart that could not be, as where the host's disk is full, is tried again. */
const againMs = millis(5_000);
/** Between the final signal through the supervisor and the one that takes the supervisor too. */
const killGraceMs = millis(2_000);

export type TaskParts = {
  readonly clock: Clock;
  readonly log: Log;
  /** Makes the slot's supervisor anew, in the namespace that is there. */
  readonly remake: (task: Task) => Promise<void>;
  /** Not while somebody else makes, stops or destroys it. */
  readonly inTurn: (task: Task, work: () => Promise<void>) => Promise<void>;
  /** Asks what runs in it to end by itself; false: nobody is there to be asked. */
  readonly askToEnd: (task: Task) => boolean;
  /** Its observation may have changed. */
  readonly onChange: () => void;
  readonly pidsMax: number;
  readonly reservations: Reservations;
};

/** An observation, and all that it shows but what the kernel counts: while that is the same it is made once. */
type Seen = {
  readonly record: TaskRecord;
  readonly entries: readonly JournalEntry[];
  readonly jobs: ReadonlyMap<number, JobState>;
  readonly pid: number | undefined;
  readonly obeysLease: boolean;
  readonly isReserved: boolean;
  readonly observation: ApplianceObservation;
};

/** One appliance in its slot: what was asked of it, how it stands, and what follows when its command ends. */
export class Task {
  readonly slot: Slot;
  readonly #parts: TaskParts;
  readonly #kept: KeptRecord<TaskRecord>;
  readonly #places: readonly JobPlace[];
  #entries: readonly JournalEntry[] = [];
  #jobs: ReadonlyMap<number, JobState> = new Map();
  readonly #usage: GroupUsage;
  readonly #changes: Changes;
  #seen: Seen | undefined;
  #restart: AbortController | undefined;
  #restarting: Promise<void> | undefined;

  constructor(slot: Slot, record: TaskRecord, parts: TaskParts) {
    this.slot = slot;
    this.#kept = new KeptRecord(record, {
      id: record.plan.id,
      write: (one) => writeRecord(slot.directory, one),
      log: parts.log,
    });
    this.#parts = parts;
    this.#usage = new GroupUsage(slot.cgroup, parts.clock);
    this.#changes = new Changes(parts.clock);
    // Which jobs there are is part of its generation.
    this.#places = jobPlaces(record.plan.teams);
  }

  get id(): ApplianceId {
    return this.record.plan.id;
  }

  get record(): TaskRecord {
    return this.#kept.now;
  }

  readonly listener: SlotListener = {
    onEvent: () => this.look(),
    onDeath: () => this.look(),
  };

  /** Writes down first; what follows from it is done after. */
  save(change: Partial<TaskRecord>): void {
    this.#kept.save(change);
  }

  /** Also what a half made one lacks. */
  createGroups(): void {
    this.slot.createGroups(this.#places.map((job) => job.group));
  }

  /** Limits, files and names as recorded, for a slot that has none yet or may have been left half done. */
  prepare(names: ReadonlyMap<string, string> | undefined): void {
    const { plan } = this.record;
    // First, as a limit may be refused: what is used already cannot always be forbidden.
    this.#tell(plan);
    this.slot.cgroup.setPids(this.#parts.pidsMax);
    this.setMemory(plan.memoryBytes);
    if (names !== undefined) this.setNames(names);
  }

  setNames(names: ReadonlyMap<string, string>): void {
    this.slot.write("hosts", hostsText(applianceNameOf(this.id), names));
  }

  setMemory(memoryBytes: Bytes | undefined): void {
    this.slot.cgroup.setMemory(memoryBytes ?? "max");
  }

  /**
   * `scheduling`: how its reservation is kept, if it is. `isQuiet`: none of the host's machines has used anything worth
   * reading since this one was looked at.
   */
  observe(
    scheduling: SchedulingReport | undefined,
    { isQuiet, memoryAgeMsMax }: { readonly isQuiet: boolean; readonly memoryAgeMsMax: Millis },
  ): ApplianceObservation {
    this.#kept.catchUp();
    const seen = this.#seen;
    if (isQuiet && scheduling === undefined && seen !== undefined && this.#isAs(seen))
      return seen.observation;
    const observation = this.#observed(scheduling, memoryAgeMsMax);
    this.#seen = { ...this.#shownBy(), observation };
    return observation;
  }

  #isAs(seen: Seen): boolean {
    const { record, entries, jobs, pid, obeysLease, isReserved } = this.#shownBy();
    return (
      seen.record === record &&
      seen.entries === entries &&
      seen.jobs === jobs &&
      seen.pid === pid &&
      seen.obeysLease === obeysLease &&
      seen.isReserved === isReserved
    );
  }

  #shownBy(): Omit<Seen, "observation"> {
    const { pid, obeysLease } = this.slot;
    const isReserved = this.#parts.reservations.has(this.record.plan);
    return { record: this.record, entries: this.#entries, jobs: this.#jobs, pid, obeysLease, isReserved };
  }

  #observed(scheduling: SchedulingReport | undefined, memoryAgeMsMax: Millis): ApplianceObservation {
    const { plan, run, end, restarts } = this.record;
    const began = this.#entries.find((entry) => entry.run === run && entry.what === "running")?.at;
    const ended = end?.run === run ? end : undefined;
    const message = ended === undefined ? jobsMessage(this.#places, this.#jobs, run) : ended.message;
    const cpu = this.#parts.reservations.has(plan) ? plan.cpu : undefined;
    return {
      id: plan.id,
      generation: plan.generation,
      state: this.state(),
      restarts,
      cpuUsedMs: this.#usage.cpuUsedMs(),
      memoryBytes: this.#usage.memoryUsed(memoryAgeMsMax),
      netns: this.slot.netns,
      restart: plan.restart,
      stopGraceMs: plan.stopGraceMs,
      ...(began === undefined ? {} : { startedAt: began }),
      ...(ended === undefined ? {} : { exitCode: ended.code }),
      ...(message === undefined ? {} : { message }),
      ...(cpu === undefined ? {} : { cpu }),
      ...(plan.enforcement === undefined ? {} : { enforcement: plan.enforcement }),
      ...(plan.teams === undefined ? {} : { teams: plan.teams }),
      ...(scheduling === undefined ? {} : { scheduling }),
      ...(plan.memoryBytes === undefined ? {} : { memoryLimitBytes: plan.memoryBytes }),
      ...(this.#obeysLease() ? { leased: true } : {}),
    };
  }

  state(): ReturnType<typeof stateOf> {
    const last = this.#entries.findLast((entry) => entry.run === this.record.run);
    return stateOf(this.record, last, this.slot.pid !== undefined);
  }

  /** Where there is no supervisor, the next one will. */
  #obeysLease(): boolean {
    return this.leased && (this.slot.pid === undefined || this.slot.obeysLease);
  }

  get leased(): boolean {
    return this.record.plan.leased === true;
  }

  /**
   * Whether it obeys the host's lease. On record, which is what is reported, it never does so before it really does,
   * nor for a moment longer. Where this throws, all is reported as before, so that it is asked for again.
   */
  setLeased(leased: boolean): void {
    const before = this.record;
    const plan = { ...before.plan, leased };
    try {
      if (!leased) this.save({ plan });
      this.#tell(plan);
      if (leased) this.save({ plan });
    } catch (cause) {
      // Told last when it is to be free, and first when it is to obey, the supervisor obeys no less than this says;
      // and its next run begins with a spec made from this.
      this.#kept.tellAs(before);
      this.#tellAgain();
      throw cause;
    }
  }

  /** The spec, which counts from the next run on; then the supervisor, for the present one. */
  #tell(plan: AppliancePlan): void {
    this.slot.write("spec", commandSpec(plan, this.slot.uid));
    this.slot.send("leased", plan.leased === true ? 1 : 0);
  }

  /** What is on record counts for what the supervisor does from now on. */
  tell(): void {
    this.#tell(this.record.plan);
  }

  #tellAgain(): void {
    try {
      this.#tell(this.record.plan);
    } catch (cause) {
      this.#parts.log.warn(`Cannot undo a change of ${this.id}: ${messageOf(cause)}`, { cause });
    }
  }

  /** Reads the supervisor's journal and draws the consequences. Harmless at any time. */
  look(): void {
    this.#entries = this.slot.journal();
    if (this.#places.length > 0) this.#jobs = this.slot.jobs();
    const { phase, run, end } = this.record;
    if (phase === "running" && run > 0 && end?.run !== run) {
      const lives = this.slot.pid !== undefined;
      const ended = endOf(this.#entries, run, lives, this.#parts.clock.now());
      if (ended !== undefined) this.#ended(ended);
    }
    this.#changes.look();
    this.#parts.onChange();
  }

  #ended(ended: { code: number; at: Millis; message?: string }): void {
    const { plan, run, lastDelayMs, oomKills, restarts } = this.record;
    const outOfMemory = ended.code === killedCode && this.#usage.oomKills() > oomKills;
    const message = outOfMemory
      ? endMessage(ended.code, true, plan.memoryBytes)
      : (ended.message ?? endMessage(ended.code, false, undefined));
    const next = nextRestart(
      plan.restart,
      { exitCode: ended.code, ranMs: ranMs(this.#entries, run, ended.at) },
      lastDelayMs,
    );
    const end: RunEnd = { run, code: ended.code, at: ended.at, message };
    if (!next.restart) return this.#kept.note({ end });
    const restartAt = millis(this.#parts.clock.now() + next.delayMs);
    this.#kept.note({ end: { ...end, restartAt }, lastDelayMs: next.delayMs, restarts: restarts + 1 });
    this.scheduleRestart();
  }

  /** Also after recovery, when the pause was begun by an earlier manager. */
  scheduleRestart(): void {
    const due = this.record.end?.restartAt;
    if (due === undefined) return;
    const restart = new AbortController();
    this.#restart?.abort();
    this.#restart = restart;
    const work = async (): Promise<void> => {
      for (let at = due; !restart.signal.aborted; at = millis(this.#parts.clock.now() + againMs)) {
        try {
          await this.#parts.clock.sleep(millis(Math.max(0, at - this.#parts.clock.now())), restart.signal);
          await this.#parts.inTurn(this, async () => {
            if (!restart.signal.aborted && this.record.end !== undefined) await this.begin("policy");
          });
          return;
        } catch (cause) {
          if (restart.signal.aborted) return;
          this.#parts.log.warn(`Cannot restart ${this.id}: ${messageOf(cause)}; it is tried again`, {
            cause,
          });
        }
      }
    };
    this.#restarting = work();
  }

  cancelRestart(): void {
    this.#restart?.abort();
    this.#restart = undefined;
  }

  /** Resolves when no restart that was not cancelled in time is under way. */
  async restarted(): Promise<void> {
    await this.#restarting;
  }

  /** Its groups are dispatched no more, and nothing in it runs, until `letGo`. */
  hold(): void {
    this.#parts.reservations.suspend(this.id);
    this.slot.cgroup.freeze();
  }

  letGo(wasHeld = this.record.suspended): void {
    this.#thaw(wasHeld);
    this.#parts.reservations.resume(this.id);
  }

  /** One more run: asked for by somebody, or the restart that was due. */
  async begin(by: "hand" | "policy"): Promise<void> {
    if (this.slot.pid === undefined) await this.#parts.remake(this);
    // Whatever became of earlier changes: what runs obeys the lease as is reported.
    this.slot.write("spec", commandSpec(this.record.plan, this.slot.uid));
    if (this.record.suspended) this.letGo();
    this.save({
      phase: "running",
      run: this.record.run + 1,
      end: undefined,
      suspended: false,
      oomKills: this.#usage.oomKills(),
      ...(by === "hand" ? { restarts: 0, lastDelayMs: undefined } : {}),
    });
    this.sendStart();
  }

  /** The supervisor takes each run's number once, so telling it again does no harm. */
  sendStart(): void {
    this.slot.send("start", this.record.run);
    // Its supervisor may have died before it was told.
    this.look();
  }

  /** The command's program has taken over, or the run is over. */
  async started(signal: AbortSignal): Promise<void> {
    await this.#changes.until(() => this.state() !== "starting", signal);
  }

  /**
   * A leased one may have been frozen over the end of its lease, its supervisor with it: so nothing of it runs before
   * the supervisor has looked.
   */
  #thaw(wasHeld: boolean): void {
    const { cgroup, pid } = this.slot;
    if (this.leased && pid !== undefined && (wasHeld || cgroup.isFrozen())) {
      stopProcesses(this.slot.pids(), pid);
      cgroup.thaw();
      this.slot.send("go", 0);
    } else cgroup.thaw();
  }

  async stop(graceMs: Millis, signal: AbortSignal): Promise<void> {
    this.cancelRestart();
    if (this.record.phase === "created") return;
    const runs = this.state() === "running";
    const wasHeld = this.record.suspended;
    if (this.record.phase === "running") this.save({ phase: "stopped", suspended: false });
    this.letGo(wasHeld);
    this.look();
    const stopped = (): boolean => this.#over();
    if (stopped()) return;
    const asked = runs && this.#parts.askToEnd(this);
    if (asked && (await this.#changes.until(stopped, signal, graceMs))) return;
    this.slot.send("signal", 15);
    if (await this.#changes.until(stopped, signal, asked ? killGraceMs : graceMs)) return;
    this.slot.send("kill", 0);
    if (await this.#changes.until(stopped, signal, killGraceMs)) return;
    this.slot.cgroup.killAll();
    if (await this.#changes.until(stopped, signal, killGraceMs)) return;
    throw new ConsortError("timeout", `Cannot stop ${this.id}: its processes do not end, not even killed`);
  }

  #over(): boolean {
    if (this.slot.pid === undefined) return true;
    const last = this.#entries.findLast((entry) => entry.run === this.record.run);
    // Told to start, it may not have come to it yet: then the end is still to come, too.
    return last?.what === "ended" || last?.what === "failed";
  }
}
