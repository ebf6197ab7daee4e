import { fileURLToPath } from "node:url";
import { ConsortError } from "#base/errors.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { jobKey, suspendedJobs } from "../job-groups.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { hasDeadlines, noSuchProcess, setDeadline, setNormal } from "../kernel/calls.ts";
import type { DeadlineTimes } from "../kernel/calls.ts";
import type { OwnerWatchdog } from "../owner-watchdog.ts";
import type { CpuEnforcer, EnforcedMachine, EnforcementCounters } from "../port.ts";
import { Suspension } from "../suspension.ts";
import { threadsOf } from "../threads.ts";
import { PacerProcess } from "../pacer-process.ts";
import { partsOf, shareOf } from "./parts.ts";

const pacer = fileURLToPath(new URL("pacer.pl", import.meta.url));

const busy = 16;
const notPermitted = 1;
const lookEveryMs = 50;
/** Of less a look in time would take a noticeable part. */
const pacedUsMin = 500;

export type DeadlineEnforcerOptions = {
  readonly layout: CgroupLayout;
  /** Ends deadlines, and resumes what is suspended, when this process ends; absent: both wait for the next owner. */
  readonly watchdog?: OwnerWatchdog;
};

/**
 * Keeps reservations by the kernel's deadline scheduler (SCHED_DEADLINE), which knows threads: the threads of a machine
 * share its reservation in equal parts, those of a team the team's. Threads that come later begin as ordinary ones, and
 * are found and given their part by looking again, now and then. The kernel refuses threads that may not run on every
 * processor, and more than it has.
 */
export class DeadlineEnforcer implements CpuEnforcer {
  readonly kind = "deadline";
  readonly #layout: CgroupLayout;
  readonly #watchdog: OwnerWatchdog | undefined;
  readonly #suspension: Suspension;
  #machines = new Map<string, EnforcedMachine>();
  /** What each thread was given. */
  readonly #given = new Map<number, DeadlineTimes>();
  readonly #pacer = new PacerProcess(pacer);
  #timer: NodeJS.Timeout | undefined;

  constructor({ layout, watchdog }: DeadlineEnforcerOptions) {
    this.#layout = layout;
    this.#watchdog = watchdog;
    this.#suspension = new Suspension(layout, watchdog);
  }

  apply(machines: readonly EnforcedMachine[]): void {
    this.#change(new Map(machines.map((machine) => [machine.id, machine])));
    this.#suspension.keep(machines);
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (machines.length > 0) this.#timer = setInterval(() => this.#look(), lookEveryMs).unref();
  }

  adapt(changes: ReadonlyMap<string, Reservation>): void {
    const machines = new Map(this.#machines);
    for (const [id, reservation] of changes) {
      const machine = machines.get(id);
      if (machine !== undefined) machines.set(id, { ...machine, reservation });
    }
    this.#change(machines);
  }

  /** Nothing: the kernel tells a thread alone how its deadlines were kept. */
  counters(): readonly EnforcementCounters[] {
    return [...this.#machines.keys()].map((id) => ({ id }));
  }

  async close(): Promise<void> {
    this.apply([]);
    await this.#pacer.close();
    await this.#watchdog?.close();
  }

  /** All of it, or, where the kernel refuses one thread, none. */
  #change(machines: Map<string, EnforcedMachine>): void {
    const before = this.#machines;
    this.#machines = machines;
    try {
      this.#give();
    } catch (error) {
      this.#machines = before;
      this.#look();
      throw error;
    }
  }

  #look(): void {
    try {
      this.#give();
    } catch {
      // A thread that came meanwhile is one too many: it runs as an ordinary one until there is room.
    }
  }

  /** First who gets less, as the kernel admits no more than there is at any moment. */
  #give(): void {
    const wanted = new Map<number, DeadlineTimes>();
    for (const machine of this.#machines.values()) {
      const suspended = new Set(suspendedJobs(machine).map(jobKey));
      for (const { jobs, reservation } of partsOf(machine)) {
        const active = jobs.filter((job) => !suspended.has(jobKey(job)));
        const threads = active.flatMap((job) => threadsOf(job, this.#layout));
        for (const thread of threads) wanted.set(thread, shareOf(reservation, threads.length));
      }
    }
    let isChanged = false;
    for (const thread of this.#given.keys()) {
      if (wanted.has(thread)) continue;
      // Another thread may have got its number since.
      if (hasDeadlines(thread)) setNormal(thread);
      this.#given.delete(thread);
      this.#watchdog?.release(String(thread));
      isChanged = true;
    }
    const use = ({ runtimeUs, periodUs }: DeadlineTimes): number => runtimeUs / periodUs;
    const growth = (thread: number, times: DeadlineTimes): number => {
      const now = this.#given.get(thread);
      return use(times) - (now === undefined ? 0 : use(now));
    };
    const ordered = [...wanted].sort((a, b) => growth(...a) - growth(...b));
    try {
      for (const [thread, times] of ordered) isChanged = this.#set(thread, times) || isChanged;
    } finally {
      if (isChanged) this.#pace();
    }
  }

  /** The kernel ends turns at its ticks alone; the pacer in time. */
  #pace(): void {
    const paced = (): ReadonlyMap<string, string> =>
      new Map(
        [...this.#given].flatMap(([thread, { runtimeUs, periodUs }]) =>
          runtimeUs < pacedUsMin ? [] : [[String(thread), `${runtimeUs} ${periodUs}`]],
        ),
      );
    this.#pacer.keep(this.#given.size > 0, paced);
  }

  /** Whether it is another one than before; also where another thread has got the number of one that ended. */
  #set(thread: number, times: DeadlineTimes): boolean {
    const now = hasDeadlines(thread) ? this.#given.get(thread) : undefined;
    if (now?.runtimeUs === times.runtimeUs && now.periodUs === times.periodUs) return false;
    if (now === undefined && !this.#watch(thread)) return false;
    const errno = setDeadline(thread, times);
    if (errno !== 0 && now === undefined) this.#watchdog?.release(String(thread));
    if (errno === noSuchProcess) return false;
    if (errno !== 0) throw refused(thread, times, errno);
    this.#given.set(thread, times);
    return true;
  }

  /** False: it has ended. */
  #watch(thread: number): boolean {
    if (this.#watchdog === undefined) return true;
    const startTime = readStartTime(thread);
    if (startTime === undefined) return false;
    this.#watchdog.hold(String(thread), { kind: "ordinary", tid: thread, startTime });
    return true;
  }
}

function refused(thread: number, { runtimeUs, periodUs }: DeadlineTimes, errno: number): ConsortError {
  const reasons: Readonly<Record<number, string>> = {
    [busy]: "the kernel's deadline scheduler has no more to give",
    [notPermitted]: "the kernel forbids it, as for threads that may not run on every processor",
  };
  const why = reasons[errno] ?? `errno ${errno}`;
  return new ConsortError(
    errno === busy ? "unsatisfiable" : "driver_failed",
    `Cannot reserve ${runtimeUs} us of every ${periodUs} us for thread ${thread}: ${why}`,
  );
}
