import type { ApplianceId, HostId } from "#base/ids.ts";
import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { bytes, millis } from "#base/units.ts";
import type { Checkpointer, NamedPeer, TakeOrder } from "#drivers/checkpoint/port.ts";
import { retention } from "#model/checkpoint-chain.ts";
import type { CheckpointReport } from "#protocol/host-report.ts";

/** Checkpoints without machines. `failing`: those of these appliances fail after they were paused. */
export class FakeCheckpointer implements Checkpointer {
  readonly failing = new Set<ApplianceId>();
  /** One was kept in a place of a store. */
  onStored: (place: string, checkpoint: string) => void = () => {};
  /** Who is paused now. */
  readonly paused = new Set<ApplianceId>();
  readonly #standing = new Map<ApplianceId, string>();
  readonly #clock: Clock;
  #reports: readonly CheckpointReport[] = [];
  #own = "" as HostId;
  #peers: readonly NamedPeer[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async recover(_signal: AbortSignal): Promise<void> {}

  look(_signal: AbortSignal): void {}

  async take(
    { appliance, id, generation, policy, whilePaused, stays }: TakeOrder,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const takenAtMs = this.#clock.now();
    this.paused.add(appliance);
    let group: string | undefined;
    try {
      group = await whilePaused?.(signal);
    } finally {
      this.paused.delete(appliance);
    }
    if (this.failing.has(appliance)) {
      throw new ConsortError("driver_failed", `Cannot take a checkpoint of ${appliance}: it was to fail`);
    }
    const mine = this.#reports.filter((one) => one.checkpoint.appliance === appliance);
    const last = mine.at(-1)?.checkpoint.id;
    const content = {
      digest: `sha256:${id}`,
      sizeBytes: bytes(1),
      compression: "none",
      contentBytes: bytes(1),
    } as const;
    const checkpoint = {
      id,
      appliance,
      generation,
      takenAtMs,
      disks: [],
      memory: content,
      machine: "fake",
      pauseMs: millis(1),
      ...(last === undefined ? {} : { after: last }),
      ...(group === undefined ? {} : { group }),
    };
    const others = this.#peers.map(({ host }) => host).filter((host) => host !== this.#own);
    const copies = [this.#own, ...others.slice(0, policy.copies)];
    const { store } = policy;
    if (store !== undefined) this.onStored(store, id);
    const all = [...mine, { checkpoint, copies, missing: [], ...(store === undefined ? {} : { store }) }];
    const { needed } = retention(
      all.map((one) => one.checkpoint),
      policy.keep,
      1000,
    );
    const kept = all.filter((one) => needed.includes(one.checkpoint));
    this.#reports = [...this.#reports.filter((one) => one.checkpoint.appliance !== appliance), ...kept];
    if (stays === true) this.#standing.set(appliance, id);
  }

  standing(): ReadonlyMap<ApplianceId, string> {
    return this.#standing;
  }

  release(appliance: ApplianceId, _signal: AbortSignal): void {
    this.#standing.delete(appliance);
  }

  observe(): readonly CheckpointReport[] {
    return this.#reports;
  }

  onRecord(): readonly ApplianceId[] {
    return [...new Set(this.#reports.map(({ checkpoint }) => checkpoint.appliance))];
  }

  usePeers(own: HostId, peers: readonly NamedPeer[]): void {
    this.#own = own;
    this.#peers = peers;
  }

  async forget(appliance: ApplianceId, _signal: AbortSignal): Promise<void> {
    this.#standing.delete(appliance);
    this.#reports = this.#reports.filter((one) => one.checkpoint.appliance !== appliance);
  }
}
