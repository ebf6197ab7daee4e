import { withDeadline } from "#base/deadline.ts";
import { codeOf, ConsortError, messageOf } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { Wake } from "#base/wake.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import { jobStart, spoolKey } from "#drivers/job/port.ts";
import type {
  JobDriver,
  JobEntry,
  JobLook,
  JobPhase,
  JobPlace,
  JobProgram,
  JobSpool,
} from "#drivers/job/port.ts";
import type { JobPlan } from "#protocol/host-plan.ts";
import type { JobReport } from "#protocol/host-report.ts";

export type JobRunParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly appliances: Pick<ApplianceDriver, "observe">;
  readonly driver: JobDriver;
  readonly spool: JobSpool;
  /** Its report may have changed. */
  readonly onChange: () => void;
};

/** What has run for so many pauses is looked at again after one. */
const looksPerAge = 20;
/** One call into an appliance, other than moving files. */
const callMsMax = millis(30_000);

type Ending = {
  readonly state: "done" | "failed" | "cancelled";
  readonly exitCode?: number;
  readonly message?: string;
};

/**
 * One attempt on this host, from what is on record to its end:
 *
 *     staging-in ──(written down: begun)──► running ──► staging-out ──► over
 *
 * Whenever this process dies, the next one goes on from the record. Files are moved again; the program is never begun
 * again: once it is on record as begun it is only looked for, and what is not found has failed.
 */
export class JobRun {
  readonly #parts: JobRunParts;
  readonly #wake: Wake;
  #plan: JobPlan;
  #entry: JobEntry;
  /** What holds up its phase, since when by the monotonic clock. */
  #heldSinceMs: number | undefined;
  /** Told once it lasts. */
  #heldBy: string | undefined;
  #cancel = new AbortController();

  constructor(parts: JobRunParts, plan: JobPlan, entry: JobEntry | undefined) {
    this.#parts = parts;
    this.#wake = new Wake(parts.clock);
    this.#plan = plan;
    this.#entry = entry ?? newEntry(plan, parts.clock.now());
    if (plan.cancelled === true) this.#cancel.abort();
  }

  get entry(): JobEntry {
    return this.#entry;
  }

  /** Something of it may still come. */
  get isFollowed(): boolean {
    return this.#entry.phase !== "over" && this.#plan.over !== true;
  }

  /** False of one that was only ever told to be over: there is nothing to tell of it. */
  get isHere(): boolean {
    return this.#entry.phase === "over" || this.#plan.over !== true;
  }

  report(): JobReport {
    const { id, attempt, phase, state, beganAtMs, endedAtMs, exitCode } = this.#entry;
    const message = phase === "over" ? this.#entry.message : this.#heldBy;
    return {
      id,
      attempt,
      state: phase === "over" ? (state ?? "failed") : phase,
      ...(beganAtMs === undefined ? {} : { startedAt: millis(beganAtMs) }),
      ...(endedAtMs === undefined ? {} : { endedAt: millis(endedAtMs) }),
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(message === undefined ? {} : { message }),
    };
  }

  /** What is wanted of the same attempt now. */
  follow(plan: JobPlan): void {
    this.#plan = plan;
    if (plan.cancelled === true) this.#cancel.abort();
    this.#wake.now();
  }

  /** Something about its appliance may have changed. */
  look(): void {
    this.#wake.now();
  }

  /** Until it is over or the signal aborts; its program runs on then. */
  async run(signal: AbortSignal): Promise<void> {
    while (this.isFollowed) {
      try {
        await this.#step(this.#entry.phase, signal);
      } catch (cause) {
        signal.throwIfAborted();
        await this.#held(cause, signal).catch(async (worse: unknown) => {
          // What cannot even be written down is tried again, as a disk may be full for a while.
          signal.throwIfAborted();
          this.#parts.log.warn(`Cannot go on with job ${spoolKey(this.#entry)}: ${messageOf(worse)}`);
          await this.#parts.clock.sleep(limits.convergeRetryMs, signal);
        });
      }
    }
  }

  async #step(phase: JobPhase, signal: AbortSignal): Promise<void> {
    if (phase === "staging-in") return this.#stageIn(signal);
    if (phase === "running") return this.#watch(signal);
    if (phase === "staging-out") return this.#stageOut(signal);
  }

  /** An appliance that cannot be worked in now is waited for, but not for ever; anything else ends the attempt. */
  async #held(cause: unknown, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    const { phase, exitCode } = this.#entry;
    if (this.#plan.cancelled === true && phase !== "running") {
      return this.#over({ state: "cancelled", message: "cancelled" }, signal);
    }
    const now = clock.monotonic();
    this.#heldSinceMs ??= now;
    const code = codeOf(cause);
    const heldMs = now - this.#heldSinceMs;
    if (this.#plan.cancelled === true && (code === "unavailable" || heldMs > limits.jobReachMsMax)) {
      const message = `cancelled, but what runs may go on: ${messageOf(cause)}`;
      return this.#over({ state: "cancelled", message }, signal);
    }
    const mayPass = code === "conflict" || code === "timeout" || phase === "running";
    if (!mayPass || (phase !== "running" && heldMs > limits.jobReachMsMax)) {
      const message = `${phase.replace("-", " ")}: ${messageOf(cause)}`;
      return this.#over(
        { state: "failed", message, ...(exitCode === undefined ? {} : { exitCode }) },
        signal,
      );
    }
    log.debug(`Job ${spoolKey(this.#entry)} is held up`, { cause });
    if (heldMs >= limits.jobHeldToldMs && this.#heldBy === undefined) {
      this.#heldBy = `held up: ${messageOf(cause)}`;
      this.#parts.onChange();
    }
    await this.#wake.wait(limits.convergeRetryMs, signal);
  }

  async #stageIn(signal: AbortSignal): Promise<void> {
    const { driver, clock } = this.#parts;
    const { cancelled, adopt, job } = this.#plan;
    if (cancelled === true)
      return this.#over({ state: "cancelled", message: "cancelled before it ran" }, signal);
    if (adopt === true) return this.#save({ phase: "running", beganAtMs: this.#entry.takenAtMs }, signal);
    // A record of having been given it, before anything is done for it.
    await this.#save({}, signal);
    await this.#applianceRuns(signal);
    const either = AbortSignal.any([signal, this.#cancel.signal]);
    for (const [index, file] of job.stageIn.entries()) {
      await driver.stageIn(this.#place(), index, file, either);
    }
    either.throwIfAborted();
    await this.#applianceRuns(signal);
    await this.#save({ phase: "running", beganAtMs: clock.now() }, signal);
    try {
      await this.#call((deadline) => driver.begin(this.#place(), programOf(this.#plan), deadline), signal);
    } catch (cause) {
      signal.throwIfAborted();
      // It may have begun all the same: a look tells.
      await this.#save({ message: messageOf(cause) }, signal);
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { driver, clock } = this.#parts;
    await this.#applianceRuns(signal);
    const ending = this.#entry.ending ?? this.#endingDue();
    if (ending !== undefined) {
      if (this.#entry.ending === undefined) await this.#save({ ending }, signal);
      await this.#call((deadline) => driver.end(this.#place(), limits.jobEndGraceMs, deadline), signal);
    }
    const look = await this.#call(
      (deadline) => driver.look(this.#place(), this.#entry.cursor, deadline),
      signal,
    );
    this.#goesOn();
    const wrote = await this.#keep(look, signal);
    // All it wrote is here before its end is told.
    if (wrote) return;
    if (look.standing.state === "running") {
      await this.#wake.wait(this.#pauseMs(clock.now()), signal);
      return;
    }
    await this.#ended(look, ending, signal);
  }

  async #ended(look: JobLook, ending: JobEntry["ending"], signal: AbortSignal): Promise<void> {
    const { standing } = look;
    if (ending === "cancelled") return this.#over({ state: "cancelled", message: "cancelled" }, signal);
    if (ending === "timeout") {
      const message = `it took longer than its ${(this.#plan.job.timeLimitMs ?? 0) / 1000} s`;
      return this.#save({ phase: "staging-out", message }, signal);
    }
    if (standing.state === "ended") {
      const { exitCode } = standing;
      const message = exitCode === 0 ? {} : { message: `it ended with exit code ${exitCode}` };
      const { message: _before, ...entry } = this.#entry;
      this.#entry = entry;
      return this.#save({ phase: "staging-out", exitCode, ...message }, signal);
    }
    const why = this.#entry.message === undefined ? "" : `: ${this.#entry.message}`;
    const message =
      standing.state === "gone"
        ? "its process is gone without having told how it ended, as when its appliance ends"
        : `it is not in its appliance, which began anew, or it was cut off as it began${why}`;
    return this.#over({ state: "failed", message }, signal);
  }

  async #stageOut(signal: AbortSignal): Promise<void> {
    const { driver } = this.#parts;
    const { stageOut, stageIn } = this.#plan.job;
    const { exitCode, message } = this.#entry;
    const isGood = exitCode === 0;
    const files = [...stageOut.entries()].filter(([, file]) => isGood || file.always === true);
    if (files.length > 0) await this.#applianceRuns(signal);
    const either = AbortSignal.any([signal, this.#cancel.signal]);
    for (const [index, file] of files) await driver.stageOut(this.#place(), index, file, either);
    const goes = [...stageIn, ...stageOut].filter((file) => file.deleteAfter === true);
    await this.#over(
      {
        state: isGood ? "done" : "failed",
        ...(exitCode === undefined ? {} : { exitCode }),
        ...(message === undefined ? {} : { message }),
      },
      signal,
      goes.map(({ path }) => path),
    );
  }

  /** What it leaves in an appliance that is about to go goes with that. */
  async #clear(paths: readonly string[], signal: AbortSignal): Promise<void> {
    try {
      await this.#call((deadline) => this.#parts.driver.clear(this.#place(), paths, deadline), signal);
    } catch (cause) {
      signal.throwIfAborted();
      this.#parts.log.debug(`Cannot clear away job ${spoolKey(this.#entry)}`, { cause });
    }
  }

  /** `paths`: files of its own that go with it. */
  async #over(ending: Ending, signal: AbortSignal, paths: readonly string[] = []): Promise<void> {
    await this.#clear(paths, signal);
    const { message: _before, ...entry } = this.#entry;
    this.#entry = entry;
    await this.#save({ phase: "over", endedAtMs: this.#parts.clock.now(), ...ending }, signal);
  }

  async #keep(look: JobLook, signal: AbortSignal): Promise<boolean> {
    const { spool } = this.#parts;
    const { stdout, stderr, cursor } = look;
    if (stdout.length + stderr.length === 0) return false;
    const key = spoolKey(this.#entry);
    if (stdout.length > 0) await spool.append(key, "stdout", stdout, signal);
    if (stderr.length > 0) await spool.append(key, "stderr", stderr, signal);
    const { written } = this.#entry;
    await this.#save(
      {
        cursor,
        written: { stdout: written.stdout + stdout.length, stderr: written.stderr + stderr.length },
      },
      signal,
    );
    return true;
  }

  #endingDue(): JobEntry["ending"] {
    if (this.#plan.cancelled === true) return "cancelled";
    return this.#timeLeft(this.#parts.clock.now()) <= 0 ? "timeout" : undefined;
  }

  /** The longer it has run, the less often it is looked at, but in time for its end when it takes too long. */
  #pauseMs(nowMs: number): Millis {
    const ranMs = nowMs - (this.#entry.beganAtMs ?? nowMs);
    const wantedMs = Math.min(Math.max(limits.jobLookMs, ranMs / looksPerAge), limits.jobLookMsMax);
    return millis(Math.max(1, Math.min(wantedMs, this.#timeLeft(nowMs))));
  }

  #timeLeft(nowMs: number): number {
    const { timeLimitMs } = this.#plan.job;
    const { beganAtMs } = this.#entry;
    if (timeLimitMs === undefined || beganAtMs === undefined) return Number.POSITIVE_INFINITY;
    return beganAtMs + timeLimitMs - nowMs;
  }

  /** Waits for its appliance to run; the time limit goes on meanwhile, and counts when it runs again. */
  async #applianceRuns(signal: AbortSignal): Promise<void> {
    const { appliances, clock } = this.#parts;
    const id = this.#plan.appliance;
    const since = clock.monotonic();
    while (appliances.observe().find((one) => one.id === id)?.state !== "running") {
      const isRunning = this.#entry.phase === "running";
      if (!isRunning) this.#cancel.signal.throwIfAborted();
      const isLong = clock.monotonic() - since > limits.jobReachMsMax;
      if (isLong && (!isRunning || this.#plan.cancelled === true))
        throw new ConsortError("unavailable", `Cannot work in ${id}: it has not run for long`);
      await this.#wake.wait(limits.convergeRetryMs, signal);
    }
  }

  async #save(change: Partial<JobEntry>, signal: AbortSignal): Promise<void> {
    const entry: JobEntry = { ...this.#entry, ...change };
    await this.#parts.spool.save(entry, signal);
    const isNews = entry.phase !== this.#entry.phase;
    this.#entry = entry;
    if (isNews) {
      this.#goesOn();
      this.#parts.onChange();
    }
  }

  #goesOn(): void {
    this.#heldSinceMs = undefined;
    if (this.#heldBy === undefined) return;
    this.#heldBy = undefined;
    this.#parts.onChange();
  }

  #call<Result>(work: (deadline: AbortSignal) => Promise<Result>, signal: AbortSignal): Promise<Result> {
    return withDeadline(this.#parts.clock, callMsMax, work, signal);
  }

  #place(): JobPlace {
    const { directory } = this.#plan.job;
    const key = spoolKey(this.#entry);
    return { appliance: this.#plan.appliance, key, ...(directory === undefined ? {} : { directory }) };
  }
}

function newEntry({ id, attempt, appliance }: JobPlan, takenAtMs: number): JobEntry {
  const written = { stdout: 0, stderr: 0 };
  return { id, attempt, appliance, phase: "staging-in", takenAtMs, cursor: jobStart, written };
}

function programOf({ job: { command, env, stdin, stdout, stderr } }: JobPlan): JobProgram {
  return {
    command,
    env,
    ...(stdin === undefined ? {} : { stdin }),
    ...(stdout === undefined ? {} : { stdout }),
    ...(stderr === undefined ? {} : { stderr }),
  };
}
