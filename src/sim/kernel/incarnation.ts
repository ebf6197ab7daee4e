import { ConsortError } from "#base/errors.ts";
import type { Random } from "#base/runtime.ts";
import { seededRandom } from "#base/seeded-random.ts";
import type { Scheduled } from "#sim/kernel/event-heap.ts";
import type { PlaceClock } from "#sim/kernel/place-clock.ts";
import { markOf } from "#sim/kernel/trace.ts";
import type { VirtualTime } from "#sim/kernel/virtual-time.ts";
import type { Spread } from "#sim/settings.ts";

/** Before it had its effect, or after. */
export type CrashEffect = "none" | "done";

const unsettled = (): Promise<never> => new Promise(() => {});

/**
 * One life of one process: all it does to the world and hears from it goes through this gate.
 *
 *   up ⇄ paused         what is for it waits, in order, while its clocks go on
 *   up, paused ──► dead  no call has an effect, and nothing it awaits settles: kill -9 at any await
 *
 * Every call's effect and its answer are events of their own, so that an end may fall between any two.
 */
export class Incarnation {
  readonly process: string;
  readonly number: number;
  readonly clock: PlaceClock;
  /** What the manager draws from. */
  readonly random: Random;
  /** What chance decides about it: how long things take. */
  readonly chance: Random;
  /** The place's monotonic clock when it began: its own starts there from 0. */
  readonly startedAt: number;
  readonly #time: VirtualTime;
  readonly #mark: number;
  #state: "up" | "paused" | "dead" = "up";
  #waiting: { label: string; run: () => void }[] = [];
  #pending = 0;
  #callsToCrash = 0;
  #crashEffect: CrashEffect = "none";
  readonly #onIdle: ((life: Incarnation) => void) | undefined;
  #onCrash: () => void = () => {};

  constructor(options: {
    process: string;
    number: number;
    seed: number;
    time: VirtualTime;
    clock: PlaceClock;
    /** Nothing that is to happen is for it, at this moment. */
    onIdle?: (life: Incarnation) => void;
  }) {
    this.process = options.process;
    this.#mark = markOf(options.process);
    this.number = options.number;
    this.clock = options.clock;
    this.random = seededRandom(options.seed);
    this.chance = seededRandom(options.seed ^ 0x5f3759df);
    this.startedAt = options.clock.monotonic();
    this.#time = options.time;
    this.#onIdle = options.onIdle;
  }

  get isDead(): boolean {
    return this.#state === "dead";
  }

  get state(): "up" | "paused" | "dead" {
    return this.#state;
  }

  draw([least, most]: Spread): number {
    return least + (most - least) * this.chance.next();
  }

  /** An event for this process: it does not happen once it is dead, and waits while it is paused. */
  later(delayMs: number, label: string, run: () => void): Scheduled {
    return this.laterAt(this.#time.nowMs + delayMs, label, run);
  }

  laterAt(atMs: number, label: string, run: () => void): Scheduled {
    this.#pending += 1;
    const happen = (): void => {
      this.#ended();
      if (this.#state === "dead") return;
      if (this.#state === "paused") this.#waiting.push({ label, run });
      else run();
    };
    return this.#time.schedule(atMs, this.process, label, happen, this.#mark);
  }

  callOff(event: Scheduled): void {
    if (event.run === undefined) return;
    this.#ended();
    this.#time.cancel(event);
  }

  /** A call of a driver: its effect after a part of the time, its answer at the end. */
  call<Result>(label: string, takes: Spread, effect: () => Result | Promise<Result>): Promise<Result> {
    if (!this.#enters(effect)) return unsettled();
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const [before, after] = this.#split(takes);
    this.later(before, label, () => {
      const answer = (settle: () => void): void => void this.later(after, `${label}, answer`, settle);
      try {
        const result = effect();
        if (result instanceof Promise) {
          result.then(
            (value) => answer(() => resolve(value)),
            (cause: unknown) => answer(() => reject(cause)),
          );
        } else answer(() => resolve(result));
      } catch (cause) {
        answer(() => reject(cause));
      }
    });
    return promise;
  }

  /** A call that changes nothing: one event. */
  read<Result>(label: string, takes: Spread, look: () => Result): Promise<Result> {
    if (!this.#enters(look)) return unsettled();
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.later(this.draw(takes), label, () => {
      try {
        resolve(look());
      } catch (cause) {
        reject(cause);
      }
    });
    return promise;
  }

  /** Counts a call whose effect is the caller's business; false: it is dead, or has just died here. */
  enters(): boolean {
    return this.#enters(() => {});
  }

  /** A call that acts before it returns. */
  act(effect: () => void): void {
    if (this.#enters(effect)) effect();
  }

  /** At its n-th call from now on, right before or right after what that call does, `onCrash` is to kill it. */
  crashAtCall(calls: number, effect: CrashEffect, onCrash: () => void): void {
    this.#callsToCrash = calls;
    this.#crashEffect = effect;
    this.#onCrash = onCrash;
  }

  kill(): void {
    this.#state = "dead";
    this.#waiting = [];
  }

  pause(): void {
    if (this.#state === "up") this.#state = "paused";
  }

  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "up";
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { label, run } of waiting) this.later(0, label, run);
  }

  #ended(): void {
    this.#pending -= 1;
    if (this.#pending === 0) this.#onIdle?.(this);
  }

  /** @throws `internal` when it waits for something, and for nothing that virtual time will bring. */
  checkWaits(): void {
    if (this.#pending > 0 || this.#state !== "up") return;
    throw new ConsortError(
      "internal",
      `Cannot simulate ${this.process}: it escaped virtual time, nothing is left that would wake it`,
    );
  }

  #split(takes: Spread): [number, number] {
    const all = this.draw(takes);
    const before = all * this.chance.next();
    return [before, all - before];
  }

  /** False: this process is dead, or has just died at this call. */
  #enters(effect: () => unknown): boolean {
    if (this.#state === "dead") return false;
    if (this.#callsToCrash === 0) return true;
    this.#callsToCrash -= 1;
    if (this.#callsToCrash > 0) return true;
    if (this.#crashEffect === "done") {
      try {
        // An effect that fails has done what it could.
        const result = effect();
        if (result instanceof Promise) result.catch(() => {});
      } catch {}
    }
    this.#onCrash();
    return false;
  }
}
