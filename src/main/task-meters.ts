import { readPage, readProgram } from "#drivers/monitor/own-readings.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { NamedSeries } from "#model/ensemble.ts";
import { RtpMeter } from "#tasks/meter.ts";
import type { Meter } from "#tasks/meter.ts";
import { SchedulingMeter } from "#tasks/scheduling-meter.ts";
import type { CountsOf } from "#tasks/scheduling-meter.ts";
import type { VirtualTaskMachine } from "#tasks/virtual-task-machine.ts";
import { Watching } from "#tasks/watching.ts";
import type { WatchSettings } from "#tasks/watching.ts";

/** What of `consort/tasks` measures, by this machine's time. */

/** Reads a meter again and again, until it is disposed of; plug conditions in with `when`. */
export const watch = (meter: Meter, settings: WatchSettings = {}): Watching =>
  new Watching(meter, settings, systemClock());

/** Frame rate, jitter, deviation and loss of the RTP streams among a path's messages: plug it in there, and watch it. */
export const rtpMeter = <Message>(
  name: string,
  datagramOf: (message: Message) => Uint8Array | undefined,
): RtpMeter<Message> => new RtpMeter(name, datagramOf, systemClock());

/** How a machine's reservation is used and kept: `usage`, and `misses` where a dispatch table keeps it. */
export const schedulingMeter = (name: string, host: CountsOf, machine: VirtualTaskMachine): Meter =>
  new SchedulingMeter(name, machine, host, systemClock());

/**
 * What a program prints: one number, or lines of "metric number". It runs as this program does. Of a program that tells
 * much, as for Prometheus, `metrics` names what counts: {errors: 'sum(http_requests_total{code="500"})'}.
 */
export function programMeter(name: string, command: readonly string[], metrics?: NamedSeries): Meter {
  const subprocess = systemSubprocess();
  return { name, read: (signal) => readProgram(command, metrics, subprocess, signal) };
}

/** The same of what a page answers. */
export const pageMeter = (name: string, url: string, metrics?: NamedSeries): Meter => ({
  name,
  read: (signal) => readPage(url, metrics, signal),
});
