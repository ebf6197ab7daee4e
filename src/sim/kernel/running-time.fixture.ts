import { PlaceClock } from "#sim/kernel/place-clock.ts";
import { Incarnation } from "#sim/kernel/incarnation.ts";
import { VirtualTime } from "#sim/kernel/virtual-time.ts";

const stepMs = 5;

/** Virtual time that goes on by itself while a test awaits what happens in it. */
export class RunningTime {
  readonly time = new VirtualTime(50);
  readonly place = new PlaceClock(this.time);
  #lives = 0;
  #stopped = false;
  readonly #running = this.#run();

  /** One process, from now on. */
  life(process = "host/a1"): Incarnation {
    this.#lives += 1;
    return new Incarnation({
      process,
      number: this.#lives,
      seed: this.#lives,
      time: this.time,
      clock: this.place,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    while (!this.#stopped) await this.time.run(this.time.nowMs + stepMs);
  }
}
