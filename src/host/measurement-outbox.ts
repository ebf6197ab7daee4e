import { withDeadline } from "#base/deadline.ts";
import type { HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { messageOf } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { Wake } from "#base/wake.ts";
import type { Reading } from "#control/monitor/readings.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import type { MonitorPlan } from "#protocol/host-plan.ts";
import type { Measurement, Measurements, MonitorProblem } from "#protocol/host-report.ts";
import { clusterAddress, topics } from "#protocol/topics.ts";

const longMs = millis(3_600_000);

/**
 * Tells the cluster manager what was measured, many at a time. What it does not hear is not told again, as there will
 * be newer; but a problem is told until it was heard, or is over.
 */
export class MeasurementOutbox {
  readonly #parts: { host: HostId; clock: Clock; log: Log; messaging: Messaging };
  readonly #wake: Wake;
  #samples: Measurement[] = [];
  /** What each monitor's problem is, and whether that was heard; nothing: it measures. */
  readonly #problems = new Map<string, { readonly problem: MonitorProblem; heard: boolean }>();
  #reached = true;

  constructor(parts: { host: HostId; clock: Clock; log: Log; messaging: Messaging }) {
    this.#parts = parts;
    this.#wake = new Wake(parts.clock);
  }

  put(plan: MonitorPlan, readings: readonly Reading[], atMs: Millis): void {
    const { ensemble, name: monitor, appliance } = plan;
    if (this.#problems.get(keyOf(plan))?.problem.message !== undefined) this.#tell(plan);
    for (const { metric, value } of readings)
      this.#samples.push({ ensemble, monitor, appliance, metric, value, atMs });
    const tooMany = this.#samples.length - limits.measurementsPerMessage;
    if (tooMany > 0) this.#samples.splice(0, tooMany);
    if (readings.length > 0) this.#wake.now();
  }

  complain(plan: MonitorPlan, message: string): void {
    if (this.#problems.get(keyOf(plan))?.problem.message === message) return;
    this.#parts.log.warn(`Monitor ${keyOf(plan)} measures nothing: ${message}`);
    this.#tell(plan, message);
  }

  /** It is no more; a problem it had is over. */
  forget(plan: MonitorPlan): void {
    if (this.#problems.get(keyOf(plan))?.problem.message !== undefined) this.#tell(plan);
  }

  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#wake.wait(this.#reached ? longMs : limits.heartbeatMs, signal);
      if (this.#samples.length > 0 || this.#unheard().length > 0) await this.#send(signal);
      // Whatever else comes meanwhile goes with the next message.
      await this.#parts.clock.sleep(limits.measurementsEveryMs, signal);
    }
  }

  #tell({ ensemble, name: monitor, appliance }: MonitorPlan, message?: string): void {
    const problem = { ensemble, monitor, appliance, ...(message === undefined ? {} : { message }) };
    this.#problems.set(`${ensemble}/${monitor}`, { problem, heard: false });
    this.#wake.now();
  }

  #unheard(): { readonly problem: MonitorProblem; heard: boolean }[] {
    return [...this.#problems.values()].filter(({ heard }) => !heard);
  }

  async #send(signal: AbortSignal): Promise<void> {
    const { host, clock, messaging } = this.#parts;
    const samples = this.#samples;
    this.#samples = [];
    const news = this.#unheard();
    const problems = news.map(({ problem }) => problem);
    const body: Measurements = { host, samples, ...(problems.length === 0 ? {} : { problems }) };
    try {
      await withDeadline(
        clock,
        limits.heartbeatMs,
        (deadline) => messaging.request(clusterAddress, topics.measurements, body, deadline),
        signal,
      );
      this.#reached = true;
      for (const one of news) one.heard = true;
      for (const [key, { problem, heard }] of this.#problems)
        if (heard && problem.message === undefined) this.#problems.delete(key);
    } catch (cause) {
      signal.throwIfAborted();
      if (this.#reached) this.#parts.log.warn(`Cannot tell what was measured: ${messageOf(cause)}`);
      this.#reached = false;
    }
  }
}

const keyOf = ({ ensemble, name }: MonitorPlan): string => `${ensemble}/${name}`;
