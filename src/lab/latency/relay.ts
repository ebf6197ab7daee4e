import type { Clock } from "#base/runtime.ts";
import { bytes } from "#base/units.ts";
import { DelayLine } from "#lab/latency/delay-line.ts";
import { poller, Tun } from "#lab/latency/tun.ts";

export type RelayConfig = {
  readonly devices: readonly { readonly device: string; readonly delayUs: number }[];
};

/** The most one device holds back: 10 Gbit/s for 50 ms. */
export const delayedBytesMax = bytes(64 * 1024 * 1024);
const packetBytesMax = 65_536 + 64;
/** Read at most so many from a device before looking at what is due. */
const readsAtOnceMax = 64;

/**
 * Writes what it reads from each device back to it, `delayUs` later. Never returns: it waits in the kernel, not in
 * Node's event loop, whose timers are a millisecond coarse; ends by signal.
 */
export function relayForEver(config: RelayConfig, clock: Clock): never {
  const lines = config.devices.map(({ device, delayUs }) => ({
    tun: new Tun(device),
    waiting: new DelayLine<Buffer>(delayUs, delayedBytesMax),
  }));
  const poll = poller(lines.map(({ tun }) => tun));
  const scratch = Buffer.alloc(packetBytesMax);
  const nowUs = (): number => clock.monotonic() * 1000;
  for (;;) {
    for (const { tun, waiting } of lines) {
      for (let reads = 0; reads < readsAtOnceMax; reads += 1) {
        const length = tun.read(scratch);
        if (length < 1) break;
        waiting.push(Buffer.from(scratch.subarray(0, length)), length, nowUs());
      }
      for (let packet = waiting.shift(nowUs()); packet !== undefined; packet = waiting.shift(nowUs())) {
        tun.write(packet);
      }
    }
    poll(Math.min(...lines.map(({ waiting }) => waiting.nextDueUs())) - nowUs());
  }
}
