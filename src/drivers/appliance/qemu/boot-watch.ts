import type { Millis } from "#base/units.ts";
import { millis } from "#base/units.ts";

/**
 * A guest may spin before it comes to anything (a processor that cannot find out its own speed, a loop in a boot
 * loader). Measured in processor time, as one that waits for its turn does no harm and is not to blame.
 */
const bootCpuMsMax = millis(90_000);
/** After so many resets it is left as it is: it shows that it does not answer. */
const resetsMax = 2;

export type BootFacts = {
  /** Its agent answered, or it opened one of its ports, since it began. */
  readonly alive: boolean;
  /** Of its processors since it began, or was reset. */
  readonly usedMs: Millis;
  readonly resets: number;
};

export const isStuckInBoot = ({ alive, usedMs, resets }: BootFacts): boolean =>
  !alive && usedMs > bootCpuMsMax && resets < resetsMax;

/** What is known of the boot of one run. */
export class BootWatch {
  #alive = false;
  #resets = 0;
  #beganAtMs: Millis | undefined;

  lives(): void {
    this.#alive = true;
  }

  /** True: it is to be reset now. `usedMs` is what it has used in all. */
  look(usedMs: Millis): boolean {
    this.#beganAtMs ??= usedMs;
    const facts = { alive: this.#alive, usedMs: millis(usedMs - this.#beganAtMs), resets: this.#resets };
    if (!isStuckInBoot(facts)) return false;
    this.#resets += 1;
    this.#beganAtMs = usedMs;
    return true;
  }

  get resets(): number {
    return this.#resets;
  }
}
