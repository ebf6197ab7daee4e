import { statSync } from "node:fs";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { RtpMonitor } from "#control/monitor/rtp-monitor.ts";
import { PacketTap } from "#drivers/monitor/packet-tap.ts";
import type { MonitorTarget, Probe } from "#drivers/monitor/port.ts";

/** The kernel keeps some 3,000 packets of video: what comes in this time, up to 30,000 a second. */
const drainEveryMs = 100;

/**
 * Interceptor in the way RTP packets come to an appliance (reference vtm.md, Adaptation). The tap keeps the network it
 * is in alive, so it is let go of as soon as the appliance has another one, and follows it there.
 */
export class RtpProbe implements Probe {
  readonly #port: number;
  readonly #netns: string;
  readonly #clock: Clock;
  readonly #monitor: RtpMonitor;
  readonly #timer: NodeJS.Timeout;
  #tap: { readonly packets: PacketTap; readonly namespace: string } | undefined;
  #failure: ConsortError | undefined;

  constructor(port: number, everyMs: Millis, target: MonitorTarget, clock: Clock) {
    this.#port = port;
    this.#netns = target.netns;
    this.#clock = clock;
    this.#monitor = new RtpMonitor(clock.monotonic());
    this.#follow();
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
    this.#letGo();
  }

  #drain(): void {
    try {
      const packets = this.#follow();
      packets.drain((datagram, atMs) => this.#monitor.packet(datagram, atMs));
      if (packets.lostAny()) this.#monitor.missed();
    } catch (cause) {
      this.#failure = new ConsortError("driver_failed", messageOf(cause), { cause });
    }
  }

  /** In the network the appliance has now. */
  #follow(): PacketTap {
    const found = statSync(this.#netns, { throwIfNoEntry: false });
    const namespace = found === undefined ? undefined : `${found.dev}:${found.ino}`;
    if (this.#tap !== undefined && namespace === this.#tap.namespace) return this.#tap.packets;
    this.#letGo();
    if (namespace === undefined)
      throw new ConsortError("driver_failed", `Cannot look into ${this.#netns}: it is not there`);
    const packets = new PacketTap(this.#netns, this.#port, () => this.#clock.monotonic());
    this.#tap = { packets, namespace };
    return packets;
  }

  #letGo(): void {
    this.#tap?.packets.close();
    this.#tap = undefined;
  }
}
