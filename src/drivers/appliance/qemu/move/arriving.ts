import { codeOf, ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { MovePlan } from "#protocol/host-plan.ts";
import type { MoveReport } from "#protocol/host-report.ts";
import { correctLateClock } from "../checkpoint/guest-clock.ts";
import { oneAtATime } from "../turns.ts";
import type { Background } from "./background.ts";
import { bringHome } from "./homecoming.ts";
import { queryMigration, runState } from "./migration-status.ts";
import { socketNames } from "./ports.ts";
import type { MachinePlace, MoveParts } from "./ports.ts";
import { arrivalOf, continueHere, listenForState, memoryState } from "./receive.ts";
import type { Arrival } from "./receive.ts";
import type { MoveRecord, MoveRecords } from "./record.ts";
import { startRelay } from "./relays.ts";
import type { Relay } from "./relays.ts";
import type { RunningVm } from "../vm.ts";

type ArrivingPlan = Extract<MovePlan, { side: "arriving" }>;

/** How its QEMU is to be started. remote: its writable layers are on the other host. */
export type ArrivingStart = { readonly incoming: boolean; readonly remote: boolean };

export type ArrivingNews = {
  readonly changed: () => void;
  readonly phase: (id: ApplianceId, phase: MoveReport["phase"]) => void;
  readonly progress: (id: ApplianceId, share: number) => void;
  /** What it can boot from is not what it was. */
  readonly bootable: (id: ApplianceId) => void;
};

const lookMs = millis(20);
const silentMsMax = millis(120_000);
const lostWords = "the rest of its memory was lost with where it came from";
const beforeRun = new Set<MoveReport["phase"]>(["listening", "receiving", "received"]);

/**
 * The side a machine comes to.
 *
 *     listening ──► receiving ──► received ──(the word: it never continues there)──► running-remote-disks ──► local
 *         └─────────────┴─────────────┴──(its QEMU ended)──► failed: nothing here could ever continue
 *
 * It never continues by itself, and what is durable before it does is that it may have. The word comes from the leaving
 * side at once, or with the next plan. Should its QEMU end while its disks are still coming, it boots from where they
 * are: each of them there, until all of it is here.
 */
export class ArrivingSide {
  readonly #parts: MoveParts;
  readonly #records: MoveRecords;
  readonly #background: Background;
  readonly #news: ArrivingNews;
  /** Moves whose other side never continues. */
  readonly #word = new Set<string>();
  readonly #waiting = new Set<() => void>();
  /** Those whose QEMU is there and does not answer. */
  readonly #silentSince = new Map<ApplianceId, Millis>();

  constructor(parts: MoveParts, records: MoveRecords, background: Background, news: ArrivingNews) {
    this.#parts = parts;
    this.#records = records;
    this.#background = background;
    this.#news = news;
  }

  isBeforeRun(id: ApplianceId): boolean {
    const record = this.#records.get(id);
    return record?.side === "arriving" && beforeRun.has(record.phase);
  }

  giveWord(move: string): void {
    this.#word.add(move);
    for (const wake of this.#waiting) wake();
  }

  /**
   * Before its QEMU is started. Rejects with `unavailable` while the other side is not ready, and with
   * `conflict` when its QEMU has ended before it ran: what it was to get is lost.
   */
  async beforeStart(
    place: MachinePlace,
    plan: ArrivingPlan,
    hasDisks: boolean,
    signal: AbortSignal,
  ): Promise<ArrivingStart> {
    const { id } = place;
    const record = this.#records.get(id);
    if (record === undefined) {
      // With its disks' port it tells how large its memory was when it began.
      if (plan.disksPort === undefined) {
        throw new ConsortError("unavailable", `Cannot start ${id}: ${plan.from} is not ready to send it yet`);
      }
      const disks = hasDisks ? { disksRelay: await this.#relayDisks(place, plan, signal) } : {};
      this.#records.save({ id, move: plan.move, side: "arriving", phase: "listening", ...disks });
      return { incoming: true, remote: hasDisks };
    }
    if (record.phase === "local") return { incoming: false, remote: false };
    if (record.phase === "running-remote-disks") {
      await this.#keepDisks(place, record, plan, signal);
      return { incoming: false, remote: hasDisks };
    }
    this.#fail(record, "its QEMU has ended before the machine ran");
    throw new ConsortError("conflict", `Cannot start ${id}: its move has failed, and has to begin anew`);
  }

  async step(
    vm: RunningVm | undefined,
    place: MachinePlace,
    plan: ArrivingPlan,
    signal: AbortSignal,
  ): Promise<void> {
    const { id } = place;
    const record = this.#records.get(id);
    if (plan.go === true) this.giveWord(plan.move);
    if (record === undefined || record.phase === "failed" || record.phase === "local") return;
    if (vm === undefined) {
      const isStill = place.isSilent === true && this.#isForsaken(record);
      if (isStill && !this.#isAwaited(place)) return this.#lose(place);
      const hasEnded = beforeRun.has(record.phase) && !this.#background.isBusy(id);
      if (hasEnded && !this.#isAwaited(place)) this.#fail(record, "its QEMU has ended");
      // The next one is to find them.
      if (record.phase === "running-remote-disks" && record.disksRelay !== undefined)
        await this.#keepDisks(place, record, plan, signal);
      return;
    }
    this.#silentSince.delete(id);
    if (vm.disks.length > 0) await this.#keepDisks(place, record, plan, signal);
    if (this.#background.isBusy(id)) return;
    if (beforeRun.has(record.phase)) {
      await this.#listen(vm, place, plan, signal);
      this.#background.begin(id, "receive", (stop) => this.#receive(vm, plan, stop));
    } else this.#background.begin(id, "bring home the disks of", (stop) => this.#settle(vm, stop));
  }

  /**
   * The rest of its memory was to come from where nobody is any more. A QEMU can tell of that itself, unless it waits for
   * some of that memory with all it has: then it answers nobody ever again.
   */
  #isForsaken({ memoryFollows, stateRelay }: MoveRecord): boolean {
    const { processes } = this.#parts;
    return memoryFollows === true && (stateRelay === undefined || !processes.isRunning(stateRelay));
  }

  /** Ends it: its guest would wait for ever. What becomes of it then is as after any other end. */
  #lose({ id, cgroup }: Pick<MachinePlace, "id" | "cgroup">): void {
    const { memoryFollows: _rest, ...record } = this.#record(id);
    this.#parts.log.warn(`${id} is ended: what had not come yet of its memory is lost`);
    // A QEMU whose processor waits for memory cannot be asked to end.
    cgroup.killAll();
    this.#silentSince.delete(id);
    this.#records.save({ ...record, message: lostWords });
    this.#news.changed();
  }

  /** One that has begun a moment ago may take its time on a busy host; one that never answers is given up. */
  #isAwaited({ id, isSilent }: MachinePlace): boolean {
    const now = this.#parts.clock.monotonic();
    const since = this.#silentSince.get(id) ?? now;
    if (isSilent !== true || now - since > silentMsMax) {
      this.#silentSince.delete(id);
      return false;
    }
    this.#silentSince.set(id, since);
    return true;
  }

  #record(id: ApplianceId): MoveRecord {
    const record = this.#records.get(id);
    if (record === undefined) throw new ConsortError("conflict", `Cannot go on: ${id} does not move here`);
    return record;
  }

  async #listen(vm: RunningVm, place: MachinePlace, plan: ArrivingPlan, signal: AbortSignal): Promise<void> {
    const { processes, address } = this.#parts;
    const record = this.#record(vm.id);
    const canPostcopy = await oneAtATime(vm.qmp, () =>
      listenForState(vm.qmp, `unix:${vm.inside}/${socketNames.incoming}`, signal),
    );
    if (record.stateRelay !== undefined && processes.isRunning(record.stateRelay)) return;
    const stateRelay = await startRelay(
      {
        ...place,
        listen: `tcp:${address}:${record.stateRelay?.port ?? 0}`,
        connect: `unix:${socketNames.incoming}`,
        peer: plan.fromAddress,
        once: true,
        token: plan.token,
      },
      processes,
      signal,
    );
    this.#records.save({ ...record, stateRelay, ...(canPostcopy ? { postcopy: true } : {}) });
    this.#news.changed();
  }

  /** Resolves when nothing of its memory is with the other side any more; ends the machine when some of it is lost. */
  async #memory(vm: RunningVm, signal: AbortSignal): Promise<void> {
    for (;;) {
      const next = this.#next(vm.qmp, signal);
      const memory = await memoryState(vm.qmp, signal);
      if (memory === "here") break;
      if (memory === "lost") {
        this.#lose(vm);
        throw new ConsortError("unavailable", `Cannot go on with ${vm.id}: ${lostWords}`);
      }
      await next;
    }
    const { memoryFollows, ...record } = this.#record(vm.id);
    if (memoryFollows !== undefined) this.#records.save(record);
  }

  /** Until it runs here, or cannot any more. */
  async #receive(vm: RunningVm, plan: ArrivingPlan, signal: AbortSignal): Promise<void> {
    const { qmp, id } = vm;
    let arrival: Arrival;
    try {
      for (;;) {
        const next = this.#next(qmp, signal);
        arrival = await arrivalOf(qmp, signal);
        this.#news.phase(id, arrival.phase);
        if (arrival.phase === "received" && this.#word.has(plan.move)) break;
        await next;
      }
    } catch (cause) {
      signal.throwIfAborted();
      // Whether it has ended is seen by its process: the next pass looks.
      if (codeOf(cause) === "unavailable") return;
      throw cause;
    }
    // From here on it may run here, whatever happens to this process.
    const { follows } = arrival;
    const memory = follows === undefined ? {} : { memoryFollows: follows };
    this.#records.save({ ...this.#record(id), ...memory, phase: "running-remote-disks" });
    this.#news.phase(id, "running-remote-disks");
    await this.#settle(vm, signal);
  }

  /** Until all of it is here. */
  async #settle(vm: RunningVm, signal: AbortSignal): Promise<void> {
    const { id, qmp } = vm;
    this.#news.bootable(id);
    try {
      if (!(await this.#goOn(vm, signal))) return;
    } catch (cause) {
      const isSilent = codeOf(cause) === "unavailable" && !qmp.closed.aborted;
      if (isSilent && this.#isForsaken(this.#record(id))) this.#lose(vm);
      throw cause;
    }
    // It may have stood still for long, and whoever has no agent keeps the time it has.
    void correctLateClock(vm.agent, this.#parts.clock, signal).catch(() => {});
    await this.#bringHome(vm, signal);
  }

  /** Resolves when it runs here and all of its memory is here; with false when there is nothing that could run. */
  async #goOn(vm: RunningVm, signal: AbortSignal): Promise<boolean> {
    const state = await runState(vm.qmp, signal);
    // It began for a state that another one has got already.
    if (state === "inmigrate" && (await queryMigration(vm.qmp, signal)).status === "none") {
      await vm.qmp.execute("quit", {}, signal);
      return false;
    }
    // It may have been held by a full disk when it left.
    if (["paused", "io-error", "inmigrate"].includes(state)) await continueHere(vm.qmp, signal);
    this.#news.changed();
    await oneAtATime(vm.qmp, () => this.#memory(vm, signal));
    return true;
  }

  async #bringHome(vm: RunningVm, signal: AbortSignal): Promise<void> {
    const { id } = vm;
    const told = {
      progress: (share: number) => this.#news.progress(id, share),
      isHere: (disk: string) => {
        const before = this.#record(id);
        this.#records.save({ ...before, disksHere: [...(before.disksHere ?? []), disk] });
        this.#news.bootable(id);
      },
    };
    await bringHome(vm, this.#parts, told, signal);
    const { disksRelay, stateRelay, disksHere: _all, message: _past, ...record } = this.#record(id);
    this.#stop(disksRelay);
    this.#stop(stateRelay);
    this.#records.save({ ...record, phase: "local" });
    this.#news.bootable(id);
    this.#news.phase(id, "local");
  }

  async #keepDisks(
    place: MachinePlace,
    record: MoveRecord,
    plan: ArrivingPlan,
    signal: AbortSignal,
  ): Promise<void> {
    if (record.disksRelay !== undefined && this.#parts.processes.isRunning(record.disksRelay)) return;
    const disksRelay = await this.#relayDisks(place, plan, signal);
    this.#records.save({ ...this.#record(record.id), disksRelay });
  }

  #relayDisks(place: MachinePlace, plan: ArrivingPlan, signal: AbortSignal): Promise<Relay> {
    const ends = {
      ...place,
      listen: `unix:${socketNames.remoteDisks}`,
      connect: `tcp:${plan.fromAddress}:${plan.disksPort}`,
      token: plan.token,
    };
    return startRelay(ends, this.#parts.processes, signal);
  }

  #fail({ id, move, disksRelay, stateRelay }: MoveRecord, message: string): void {
    this.#stop(disksRelay);
    this.#stop(stateRelay);
    this.#records.save({ id, move, side: "arriving", phase: "failed", message });
    this.#news.phase(id, "failed");
  }

  #stop(relay: Relay | undefined): void {
    if (relay !== undefined) this.#parts.processes.signal(relay, "SIGTERM");
  }

  #next(qmp: RunningVm["qmp"], signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const callOff = this.#parts.clock.timer(lookMs, resolve);
    const stop = qmp.onEvent(() => resolve());
    this.#waiting.add(resolve);
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const look = promise.finally(() => {
      callOff();
      stop();
      this.#waiting.delete(resolve);
      signal.removeEventListener("abort", abort);
    });
    // Who asked may have failed before it waits for this.
    look.catch(() => {});
    return look;
  }

  async clear(record: MoveRecord): Promise<void> {
    await this.#background.stop(record.id);
    this.#silentSince.delete(record.id);
    this.#stop(record.disksRelay);
    this.#stop(record.stateRelay);
    this.#records.remove(record.id);
  }
}
