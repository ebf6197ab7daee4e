import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { RtpMonitor } from "#control/monitor/rtp-monitor.ts";
import { PacketTap } from "#drivers/monitor/packet-tap.ts";
import type { MonitorTarget, Probe } from "#drivers/monitor/port.ts";

/** The kernel keeps some 3,000 packets of video: what comes in this time, up to 30,000 a second. */
const drainEveryMs = 100;

/** Interceptor in the way RTP packets come to an appliance (reference vtm.md, Adaptation). */
export class RtpProbe implements Probe {
  readonly #clock: Clock;
  readonly #tap: PacketTap;
  readonly #monitor: RtpMonitor;
  readonly #timer: NodeJS.Timeout;
  #failure: ConsortError | undefined;

  constructor(port: number, everyMs: Millis, target: MonitorTarget, clock: Clock) {
    this.#clock = clock;
    this.#tap = new PacketTap(target.netns, port, () => clock.monotonic());
    this.#monitor = new RtpMonitor(clock.monotonic());
    this.#timer = setInterval(() => this.#drain(), Math.min(everyMs, drainEveryMs)).unref();
  }

  async read(signal: AbortSignal): Promise<readonly Reading[]> {
    signal.throwIfAborted();
    this.#drain();
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
    return this.#monitor.read(this.#clock.monotonic());
  }

  close(): void {
    clearInterval(this.#timer);
    this.#tap.close();
  }

  #drain(): void {
    try {
      this.#tap.drain((datagram, atMs) => this.#monitor.packet(datagram, atMs));
      if (this.#tap.lostAny()) this.#monitor.missed();
    } catch (cause) {
      this.#failure = new ConsortError("driver_failed", messageOf(cause), { cause });
    }
  }
}
