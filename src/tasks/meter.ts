import type { Clock } from "#base/runtime.ts";
import { unitOfSource } from "#control/adaptation/metrics.ts";
import type { Unit } from "#control/adaptation/metrics.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { RtpMonitor } from "#control/monitor/rtp-monitor.ts";
import type { Interceptor } from "./interception.ts";

/** What can be measured again and again: a path, a machine, whatever a program or page tells. */
export type Meter = {
  readonly name: string;
  /** What there is to tell since the last call, perhaps nothing. Throws or rejects where it cannot be measured. */
  read(signal: AbortSignal): readonly Reading[] | Promise<readonly Reading[]>;
  /** For people; absent: its numbers are only numbers. */
  unitOf?(metric: string): Unit | undefined;
};

/**
 * Measures RTP streams among the messages of a path, by the moments they pass: plug it in there. It tells what monitors of
 * ensemble files do: frame-rate and packets (1/s), jitter and deviation (ms), loss (0 … 1).
 */
export class RtpMeter<Message> implements Interceptor<Message>, Meter {
  readonly name: string;
  readonly #datagramOf: (message: Message) => Uint8Array | undefined;
  readonly #clock: Clock;
  readonly #monitor: RtpMonitor;

  /** `datagramOf` a message: what UDP carried; undefined where it is none. */
  constructor(name: string, datagramOf: (message: Message) => Uint8Array | undefined, clock: Clock) {
    this.name = name;
    this.#datagramOf = datagramOf;
    this.#clock = clock;
    this.#monitor = new RtpMonitor(clock.monotonic());
  }

  intercept(message: Message, next: (message: Message) => void): void {
    const datagram = this.#datagramOf(message);
    if (datagram !== undefined) this.#monitor.packet(datagram, this.#clock.monotonic());
    next(message);
  }

  read(): readonly Reading[] {
    return this.#monitor.read(this.#clock.monotonic());
  }

  unitOf(metric: string): Unit | undefined {
    return unitOfSource("rtp", metric);
  }
}
