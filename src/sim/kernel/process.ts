import { messageOf } from "#base/errors.ts";
import { Incarnation } from "#sim/kernel/incarnation.ts";
import type { CrashEffect } from "#sim/kernel/incarnation.ts";
import type { PlaceClock } from "#sim/kernel/place-clock.ts";
import type { VirtualTime } from "#sim/kernel/virtual-time.ts";
import type { Spread } from "#sim/settings.ts";

type ProcessParts = {
  readonly name: string;
  readonly time: VirtualTime;
  readonly clock: PlaceClock;
  readonly seed: number;
  /** How long after its end it is started again. */
  readonly restartMs: Spread;
  /** Its machine has power. */
  readonly mayStart: () => boolean;
  /** Runs until it ends by itself, which no manager does unless it must. */
  readonly program: (life: Incarnation) => Promise<void>;
  /** It is dead: what the kernel of its machine does then. */
  readonly onDead: (life: Incarnation) => void;
};

const incarnationPrime = 0x9e3779b1;

/** A process that is started again when it has ended, as a service manager does. */
export class SimulatedProcess {
  readonly name: string;
  readonly #parts: ProcessParts;
  #life: Incarnation | undefined;
  #starts = 0;
  /** What is to start it next; whatever else was to is out of date. */
  #nextStart: object | undefined;

  constructor(parts: ProcessParts) {
    this.name = parts.name;
    this.#parts = parts;
  }

  get state(): "up" | "paused" | "down" {
    const state = this.#life?.state ?? "dead";
    return state === "dead" ? "down" : state;
  }

  /** Counts its starts. */
  get incarnation(): number {
    return this.#starts;
  }

  /** The one that lives. */
  get life(): Incarnation | undefined {
    return this.#life?.isDead === false ? this.#life : undefined;
  }

  /** Does nothing while it runs. */
  start(): void {
    if (this.life !== undefined || !this.#parts.mayStart()) return;
    const { name, time, clock, seed, program } = this.#parts;
    this.#nextStart = undefined;
    this.#starts += 1;
    const life = new Incarnation({
      process: name,
      number: this.#starts,
      seed: (seed + Math.imul(this.#starts, incarnationPrime)) | 0,
      time,
      clock,
      onIdle: (idle) => time.whenSettled(() => idle.checkWaits()),
    });
    this.#life = life;
    time.note(`${name} starts, incarnation ${this.#starts}`);
    program(life).then(
      () => this.#ended(life, "it ended"),
      (cause: unknown) => this.#ended(life, messageOf(cause)),
    );
  }

  /** Kills it. Down for ever: until somebody starts it. */
  crash(downForMs: number): void {
    const life = this.life;
    if (life === undefined) return;
    this.#die(life, "killed");
    this.startAfter(downForMs);
  }

  crashAtCall(calls: number, effect: CrashEffect, downForMs: number): void {
    this.life?.crashAtCall(calls, effect, () => this.crash(downForMs));
  }

  pause(forMs: number): void {
    const life = this.life;
    if (life === undefined) return;
    life.pause();
    this.#parts.time.schedule(this.#parts.time.nowMs + forMs, undefined, `${this.name} goes on`, () =>
      life.resume(),
    );
  }

  /** Takes the place of any start that was due. */
  startAfter(delayMs: number): void {
    if (delayMs === Number.POSITIVE_INFINITY) {
      this.#nextStart = undefined;
      return;
    }
    const { time } = this.#parts;
    const start = {};
    this.#nextStart = start;
    time.schedule(time.nowMs + delayMs, undefined, `${this.name} is started`, () => {
      if (this.#nextStart === start) this.start();
    });
  }

  #ended(life: Incarnation, why: string): void {
    if (life.isDead) return;
    const delayMs = life.draw(this.#parts.restartMs);
    this.#die(life, why);
    this.startAfter(delayMs);
  }

  #die(life: Incarnation, why: string): void {
    life.kill();
    this.#parts.time.note(`${this.name} is dead: ${why}`);
    this.#parts.onDead(life);
  }
}
