import { join } from "node:path";
import { messageOf } from "#base/errors.ts";
import { withDeadline } from "#base/deadline.ts";
import type { Log } from "#base/runtime.ts";
import type { TaskDriver } from "#drivers/appliance/task/driver.ts";
import { ContextPort } from "./context-port.ts";
import type { MachineKind } from "./kind.ts";
import { warmLimits } from "./limits.ts";
import { ramBytes } from "../write-tracking.ts";
import { Snapshots } from "./snapshots.ts";
import type { Snapshot } from "./snapshots.ts";
import { takeState } from "./state-taker.ts";
import { removeTemplate, startTemplate } from "./template.ts";
import type { TemplateTools } from "./template.ts";

export type PoolParts = TemplateTools & {
  /** Of the host manager, on the file system that machines' directories are on. */
  readonly stateDir: string;
  readonly log: Log;
};

/**
 * Snapshots of booted guests that are nobody yet, for machines that are to run at once. By demand: the second machine
 * of a kind, or the first that insists, has one made, in the background and one at a time:
 *
 *     wanted ──► a template boots ──► up, idle ──► stopped, state taken, memory claimed ──► destroyed ──► kept
 *                     └──────────────────┴── cut off or failed: nothing is kept, and it is tried again later
 *
 * Templates of a manager that died are slots without a machine, which the driver clears away.
 */
export class WarmPool {
  readonly #parts: PoolParts;
  readonly #snapshots: Snapshots;
  readonly #demand = new Map<string, number>();
  /** In a row, of machines that went on from it. */
  readonly #failures = new Map<string, number>();
  readonly #failedAtMs = new Map<string, number>();
  readonly #making = new Set<string>();
  readonly #closing = new AbortController();
  #turn: Promise<void> = Promise.resolve();

  constructor(parts: PoolParts) {
    this.#parts = parts;
    this.#snapshots = new Snapshots(join(parts.stateDir, "warm"));
    this.#snapshots.recover();
  }

  /** A machine of this kind is about to begin: what it can go on from, its memory under `name`. */
  want(kind: MachineKind, name: string, insists: boolean, slots: TaskDriver): Snapshot | undefined {
    const { key } = kind;
    const snapshot = this.#snapshots.use(key, name, this.#parts.clock.now());
    const demand = (this.#demand.get(key) ?? 0) + 1;
    this.#demand.set(key, demand);
    if (snapshot === undefined && (insists || demand >= warmLimits.demandLeast)) this.#make(kind, slots);
    return snapshot;
  }

  /** Whether what was resumed from it came to run. One that never does is forgotten: the next machines boot. */
  tried(key: string, cameToRun: boolean): void {
    const failures = cameToRun ? 0 : (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    if (failures < warmLimits.failuresMost) return;
    this.#failures.delete(key);
    this.#snapshots.forget(key);
  }

  /** Leaves what is kept; of what is being made, nothing. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#turn;
  }

  /** In the background; harmless while it is being made, or is there. */
  #make(kind: MachineKind, slots: TaskDriver): void {
    const { key } = kind;
    if (this.#making.has(key) || this.#snapshots.has(key)) return;
    const failedAtMs = this.#failedAtMs.get(key);
    if (failedAtMs !== undefined && this.#parts.clock.monotonic() - failedAtMs < warmLimits.retryMs) return;
    this.#making.add(key);
    this.#turn = this.#turn
      .then(() => this.#madeOf(kind, slots))
      .finally(() => void this.#making.delete(key));
  }

  async #madeOf(kind: MachineKind, slots: TaskDriver): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#closing;
    const { key, plan } = kind;
    if (signal.aborted) return;
    try {
      this.#snapshots.makeRoom(plan.memoryBytes, {
        count: warmLimits.snapshotsMost,
        memoryBytes: warmLimits.memoryBytesMax,
      });
      const state = await withDeadline(
        clock,
        warmLimits.bootMsMax,
        (deadline) => this.#boot(kind, slots, deadline),
        signal,
      );
      await removeTemplate(kind, slots, signal);
      this.#snapshots.keep(key, state, clock.now());
      log.info("Keeps a booted guest to resume others from", { image: plan.vm.base.name });
    } catch (cause) {
      this.#snapshots.forget(key);
      if (signal.aborted) return;
      this.#failedAtMs.set(key, clock.monotonic());
      log.warn(`Cannot keep a booted guest to resume others from: ${messageOf(cause)}`, { cause });
      await removeTemplate(kind, slots, signal).catch((left: unknown) =>
        log.warn(`Cannot remove a guest nobody needs: ${messageOf(left)}`),
      );
    }
  }

  /** Resolves with the state of a guest that has booted and is stopped; its memory is claimed. */
  async #boot(kind: MachineKind, slots: TaskDriver, signal: AbortSignal): Promise<Uint8Array> {
    const template = await startTemplate(kind, slots, this.#parts, signal);
    try {
      using port = await ContextPort.open(template.directory, signal);
      await template.qmp.execute("cont", {}, signal);
      await port.answer(signal);
      await this.#parts.clock.sleep(warmLimits.settleMs, signal);
      const state = await takeState(template, signal);
      this.#snapshots.claim(kind.key, template.directory, ramBytes(kind.plan.memoryBytes));
      return state;
    } finally {
      template.qmp.close();
    }
  }
}
