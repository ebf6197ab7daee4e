import { basename } from "node:path";
import { codeOf, messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { MovePlan } from "#protocol/host-plan.ts";
import { bootMemoryBytes } from "../resize/memory.ts";
import { processorCount } from "../resize/processors.ts";
import { settledStatus } from "../settled-status.ts";
import { oneAtATime } from "../turns.ts";
import type { Background } from "./background.ts";
import { serveDisks, serveDisksAlone, stopServingDisks } from "./disk-server.ts";
import { queryMigration, runState } from "./migration-status.ts";
import { servingNames, socketNames } from "./ports.ts";
import type { MachinePlace, MoveParts } from "./ports.ts";
import type { MoveRecord, MoveRecords } from "./record.ts";
import { startRelay } from "./relays.ts";
import type { Relay } from "./relays.ts";
import { beginSending, cancelSending, followSending } from "./send.ts";
import type { SendOptions } from "./send.ts";
import type { RunningVm } from "../vm.ts";

type LeavingPlan = Extract<MovePlan, { side: "leaving" }>;

/**
 * Run states of a machine whose state was sent. QEMU tells of the last migration there was, and checkpoints are such,
 * too: one that was completed is this move's only if the machine has not gone on since.
 */
const afterSending = new Set(["finish-migrate", "postmigrate"]);

/** What is known of a move in this process only. */
export type LeavingNews = {
  readonly changed: () => void;
  readonly sent: (id: ApplianceId, move: string) => void;
  readonly progress: (id: ApplianceId, share: number) => void;
};

/**
 * The side a machine leaves.
 *
 *     serving ──(the other side listens)──► sending ──(QEMU: all is there, or it has begun there)──► sent
 *        └──────────(cancelled)──────────────┴──(cancelled, or it broke)──► failed: the machine goes on here
 *
 * `sent` is durable before anybody is told. A later manager looks at what QEMU says of the migration it finds, and goes
 * on from there. QEMU goes on by itself after a migration that failed, and never after one that was completed.
 */
export class LeavingSide {
  readonly #parts: MoveParts;
  readonly #records: MoveRecords;
  readonly #background: Background;
  readonly #news: LeavingNews;

  constructor(parts: MoveParts, records: MoveRecords, background: Background, news: LeavingNews) {
    this.#parts = parts;
    this.#records = records;
    this.#background = background;
    this.#news = news;
  }

  /** One look: does what is due, and leaves what takes long to the background. `vm` absent: its QEMU has ended. */
  async step(
    vm: RunningVm | undefined,
    place: MachinePlace,
    plan: LeavingPlan,
    signal: AbortSignal,
  ): Promise<void> {
    const { id } = place;
    const record = this.#records.get(id) ?? this.#begin(id, plan);
    if (record.phase === "sent" && plan.back === true && (vm !== undefined || place.isSilent !== true))
      return this.#goBack(vm, place, record, signal);
    if (record.phase === "failed" || this.#background.isBusy(id)) {
      if (record.phase === "sending" && plan.cancelled === true && vm !== undefined) {
        await cancelSending(vm.qmp, this.#parts.clock, signal);
      }
      return;
    }
    if (vm === undefined) {
      // What it says of its migration decides, when it answers again.
      if (place.isSilent === true) return;
      if (record.phase !== "sent") return this.#fail(undefined, place, record, "its QEMU has ended", signal);
      await this.#serve(undefined, place, record, plan, signal);
      return;
    }
    if (record.phase === "serving" && plan.cancelled === true) {
      return this.#fail(vm, place, record, "it was cancelled", signal);
    }
    const serving = await this.#serve(vm, place, record, plan, signal);
    if (record.phase === "sent") return;
    if (record.phase === "serving" && plan.statePort === undefined) return;
    this.#background.begin(id, "move", (stop) => this.#send(vm, place, serving, plan, stop));
  }

  #begin(id: ApplianceId, { move }: LeavingPlan): MoveRecord {
    const record: MoveRecord = { id, move, side: "leaving", phase: "serving" };
    this.#records.save(record);
    return record;
  }

  /** Also when whoever served them has died: the other side's requests wait. */
  async #serve(
    vm: RunningVm | undefined,
    place: MachinePlace,
    record: MoveRecord,
    plan: LeavingPlan,
    signal: AbortSignal,
  ): Promise<MoveRecord> {
    const { processes, address } = this.#parts;
    const { disks = [] } = vm ?? record;
    if (disks.length > 0 && vm !== undefined) await serveDisks(vm, disks, record.move, signal);
    else if (disks.length > 0) await serveDisksAlone(place, disks, record.move, signal);
    if (record.disksRelay !== undefined && processes.isRunning(record.disksRelay)) return record;
    const port = record.disksRelay?.port ?? 0;
    const disksRelay = await startRelay(
      {
        ...place,
        listen: `tcp:${address}:${port}`,
        connect: `unix:${servingNames(record.move).disks}`,
        peer: plan.toAddress,
        token: plan.token,
      },
      processes,
      signal,
    );
    const after: MoveRecord = {
      ...record,
      disksRelay,
      ...(vm === undefined ? {} : await this.#beganWith(vm, signal)),
    };
    this.#records.save(after);
    this.#news.changed();
    return after;
  }

  /** What the other side has to know of it, and a later manager once nothing of it runs here. */
  async #beganWith(
    vm: RunningVm,
    signal: AbortSignal,
  ): Promise<Pick<MoveRecord, "bootMemoryBytes" | "processors" | "disks">> {
    return {
      bootMemoryBytes: await bootMemoryBytes(vm.qmp, signal),
      // Not while it is being given more of them.
      processors: await oneAtATime(vm.qmp, () => processorCount(vm.qmp, signal)),
      disks: vm.disks.map(({ name, file }) => ({ name, file: basename(file) })),
    };
  }

  async #send(
    vm: RunningVm,
    place: MachinePlace,
    record: MoveRecord,
    plan: LeavingPlan,
    signal: AbortSignal,
  ): Promise<void> {
    const { id } = place;
    const { sendBytesPerSecond } = this.#parts;
    let now = record;
    const options: SendOptions = {
      uri: `unix:${vm.inside}/${socketNames.outgoing}`,
      postcopy: plan.postcopy === true,
      ...(sendBytesPerSecond === undefined ? {} : { bytesPerSecond: sendBytesPerSecond }),
      onProgress: (share) => this.#news.progress(id, share),
      onHandedOver: ({ downtimeMs }) => {
        now = { ...now, phase: "sent", ...(downtimeMs === undefined ? {} : { downtimeMs }) };
        this.#records.save(now);
        this.#news.sent(id, plan.move);
        this.#news.changed();
      },
    };
    try {
      const end = await oneAtATime(vm.qmp, async () => {
        const { status } = await queryMigration(vm.qmp, signal);
        const state = await runState(vm.qmp, signal);
        if (now.phase === "serving") {
          // For a checkpoint: who took that decides when it goes on.
          if (afterSending.has(state)) return "stands still";
          const stateRelay = await this.#relayOut(place, plan, signal);
          now = { ...now, phase: "sending", stateRelay };
          this.#records.save(now);
          this.#news.changed();
          await beginSending(vm.qmp, options, signal);
        } else if (status === "none" || (status === "completed" && !afterSending.has(state)))
          return undefined;
        return followSending(vm.qmp, this.#parts.clock, options, signal);
      });
      if (end === "stands still") return;
      this.#stop(now.stateRelay);
      if (now.phase === "sent") return;
      await this.#fail(vm, place, now, end?.error ?? end?.status ?? "it was not begun", signal);
    } catch (cause) {
      signal.throwIfAborted();
      // A line that is lost says nothing of what became of the migration: the next pass looks whether QEMU is there.
      if (now.phase === "sent" || codeOf(cause) === "unavailable") throw cause;
      await this.#fail(vm, place, now, messageOf(cause), signal);
    }
  }

  /**
   * What it sent never ran, so what is here is all there is of it, and nothing has written to its disks since. With its
   * QEMU gone, as after a loss of power, it is begun again as after any other end.
   */
  async #goBack(
    vm: RunningVm | undefined,
    place: MachinePlace,
    record: MoveRecord,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#background.stop(record.id);
    await stopServingDisks(place.directory, record.move, signal);
    await vm?.qmp.execute("cont", {}, signal);
    this.#end(record, "it did not arrive");
  }

  async #relayOut(place: MachinePlace, plan: LeavingPlan, signal: AbortSignal): Promise<Relay> {
    const ends = {
      ...place,
      listen: `unix:${socketNames.outgoing}`,
      connect: `tcp:${plan.toAddress}:${plan.statePort}`,
      token: plan.token,
    };
    return startRelay(ends, this.#parts.processes, signal);
  }

  /** The machine goes on here, if it is here at all; nothing of the move is left but why. */
  async #fail(
    vm: RunningVm | undefined,
    place: MachinePlace,
    record: MoveRecord,
    message: string,
    signal: AbortSignal,
  ): Promise<void> {
    if (vm !== undefined) {
      const end = await cancelSending(vm.qmp, this.#parts.clock, signal);
      const isThere = end.status.startsWith("postcopy");
      const isSent =
        isThere || (end.status === "completed" && afterSending.has(await runState(vm.qmp, signal)));
      if (isSent && record.phase === "sending") {
        this.#records.save({ ...record, phase: "sent" });
        this.#news.sent(record.id, record.move);
        return this.#news.changed();
      }
      await stopServingDisks(place.directory, record.move, signal);
      // Not for this move, if it was not being sent.
      const { clock } = this.#parts;
      if (record.phase === "sending" && (await settledStatus(vm.qmp, clock, signal)) !== "running")
        await vm.qmp.execute("cont", {}, signal);
    }
    this.#end(record, message);
  }

  #end({ id, move, stateRelay, disksRelay }: MoveRecord, message: string): void {
    this.#stop(stateRelay);
    this.#stop(disksRelay);
    this.#records.save({ id, move, side: "leaving", phase: "failed", message });
    this.#news.changed();
  }

  #stop(relay: Relay | undefined): void {
    if (relay !== undefined) this.#parts.processes.signal(relay, "SIGTERM");
  }

  /** The move is not wanted any more, or its machine is gone from here. */
  async clear(record: MoveRecord, place: MachinePlace | undefined, signal: AbortSignal): Promise<void> {
    await this.#background.stop(record.id);
    if (place !== undefined) await stopServingDisks(place.directory, record.move, signal);
    this.#stop(record.stateRelay);
    this.#stop(record.disksRelay);
    this.#records.remove(record.id);
  }
}
