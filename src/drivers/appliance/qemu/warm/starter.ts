import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { insideDirectory } from "../command/spec.ts";
import { giveState } from "../incoming.ts";
import type { Beginning, Starter, StartWay } from "../starter.ts";
import { oneAtATime } from "../turns.ts";
import type { RunningVm } from "../vm.ts";
import { ContextPort } from "./context-port.ts";
import { coldReason, kindOf } from "./kind.ts";
import type { WarmPool } from "./pool.ts";
import type { Snapshot } from "./snapshots.ts";

/** Of a snapshot's memory in a machine's directory; the directory it is in is its slot's alone. */
const memoryName = "blobs/warm-memory";
const stateSocket = "warm-in";

type WarmParts = {
  readonly pool: WarmPool;
  readonly qemuVersion: string;
  readonly clock: Clock;
};

/**
 * Resumes machines from snapshots of booted guests. What a guest was goes: name, addresses, keys, random numbers and
 * time are told to it anew before it counts as up.
 */
export class WarmStarter implements Starter {
  readonly #parts: WarmParts;

  constructor(parts: WarmParts) {
    this.#parts = parts;
  }

  /** Rejects with `unsatisfiable` or `unavailable` where a machine insists on a snapshot and there can be, or is, none. */
  begin(machine: Beginning): Promise<StartWay | undefined> {
    const { spec, slots, place } = machine;
    const { plan } = machine.record;
    const { start, restore, move } = plan.vm;
    if (start === "cold" || restore !== undefined || move !== undefined) return Promise.resolve(undefined);
    const insists = start === "warm";
    const refused = (code: "unsatisfiable" | "unavailable", why: string): Promise<undefined> =>
      insists
        ? Promise.reject(new ConsortError(code, `Cannot start ${plan.id} warm: ${why}`))
        : Promise.resolve(undefined);
    const reason = coldReason(plan, spec);
    if (reason !== undefined) return refused("unsatisfiable", reason);
    const kind = kindOf(machine, this.#parts.qemuVersion);
    const snapshot = this.#parts.pool.want(kind, join(place.directory, memoryName), insists, slots);
    return snapshot === undefined
      ? refused("unavailable", "the guest it is to go on from is being booted")
      : Promise.resolve(this.#resumed(machine, snapshot));
  }

  #resumed(machine: Beginning, snapshot: Snapshot): StartWay {
    const stages: { stage: string; tookMs: Millis }[] = [];
    const watch = stopwatch(this.#parts.clock, stages);
    return {
      start: "warm",
      spec: {
        ...machine.spec,
        memory: { kind: "file", path: `${insideDirectory}/${memoryName}`, shared: false },
        incoming: true,
      },
      stages,
      bringUp: async (vm, signal) => {
        watch("QEMU started");
        try {
          await this.#resume(vm, machine, snapshot, watch, signal);
          this.#parts.pool.tried(snapshot.key, true);
        } catch (cause) {
          if (!signal.aborted) this.#parts.pool.tried(snapshot.key, false);
          throw cause;
        }
      },
    };
  }

  async #resume(
    vm: RunningVm,
    machine: Beginning,
    { state }: Snapshot,
    watch: (stage: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const options = { name: stateSocket, capabilities: ["x-ignore-shared"] } as const;
    await oneAtATime(vm.qmp, () => giveState(vm, state, options, signal));
    using port = await ContextPort.open(vm.directory, signal);
    const told = port.tell(machine.context(this.#parts.clock.now()), signal);
    told.catch(() => {});
    await vm.qmp.execute("cont", {}, signal);
    watch("guest resumed");
    await told;
    watch("identity taken on");
  }
}

/** Each call ends a stage. */
function stopwatch(clock: Clock, stages: { stage: string; tookMs: Millis }[]): (stage: string) => void {
  let beganAt = clock.monotonic();
  return (stage) => {
    const now = clock.monotonic();
    stages.push({ stage, tookMs: millis(Math.round((now - beganAt) * 10) / 10) });
    beganAt = now;
  };
}
