import { withDeadline } from "#base/deadline.ts";
import { digest } from "#base/digest.ts";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Reading } from "#control/monitor/readings.ts";
import type { ApplianceDriver, ApplianceObservation } from "#drivers/appliance/port.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import type { MonitorDriver, MonitorTarget, Probe } from "#drivers/monitor/port.ts";
import { namesFor } from "#host/decide.ts";
import { MeasurementOutbox } from "#host/measurement-outbox.ts";
import { Turns } from "#host/turns.ts";
import type { AppliancePlan, HostPlan, MonitorPlan } from "#protocol/host-plan.ts";

type HostMonitorsParts = {
  readonly host: HostPlan["host"];
  readonly clock: Clock;
  readonly log: Log;
  readonly messaging: Messaging;
  readonly appliances: Pick<ApplianceDriver, "observe">;
  /** Absent where nothing can be measured: then every monitor tells so. */
  readonly driver?: MonitorDriver;
};

/** One that is wanted, on an appliance that is here as the plan wants it. */
type Wanted = { readonly key: string; readonly plan: MonitorPlan; readonly target: MonitorTarget };
type Running = Wanted & { readonly stop: AbortController; probe?: Probe };

/**
 * Runs the monitors of a host's plan beside its appliances, which know nothing of them. A monitor is there while its
 * appliance is, measures while that runs, and is another one as soon as anything of it changes.
 */
export class HostMonitors {
  readonly #parts: HostMonitorsParts;
  readonly #outbox: MeasurementOutbox;
  readonly #running = new Map<string, Running>();
  readonly #turns = new Turns(limits.monitorProgramsAtOnce);
  #tells = false;
  #seen: ReadonlyMap<ApplianceId, ApplianceObservation> = new Map();
  #seenAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: HostMonitorsParts) {
    this.#parts = parts;
    this.#outbox = new MeasurementOutbox(parts);
  }

  /**
   * These from now on, until the signal aborts. To be called before anything of the plan is carried out: whose
   * appliance has to go is closed when this returns, and holds nothing of it.
   */
  follow(plan: HostPlan, signal: AbortSignal): void {
    const wanted = this.#wanted(plan);
    for (const [name, running] of this.#running) {
      if (wanted.get(name)?.key === running.key) continue;
      this.#running.delete(name);
      running.stop.abort(new ConsortError("cancelled", "Not measured any more"));
      running.probe?.close();
      this.#outbox.forget(running.plan);
    }
    for (const [name, one] of wanted) {
      if (this.#running.has(name)) continue;
      const running = { ...one, stop: new AbortController() };
      this.#running.set(name, running);
      void this.#measure(running, AbortSignal.any([signal, running.stop.signal]));
      this.#tell(signal);
    }
  }

  /** A host that measures nothing has nothing to wake up for. */
  #tell(signal: AbortSignal): void {
    if (this.#tells) return;
    this.#tells = true;
    void this.#outbox.run(signal).catch((cause: unknown) => {
      if (!signal.aborted) this.#parts.log.error("Measurements are told no more", { cause });
    });
  }

  #wanted(plan: HostPlan): ReadonlyMap<string, Wanted> {
    if (plan.monitors === undefined || plan.monitors.length === 0) return new Map();
    const planned = new Map(plan.appliances.map((one) => [one.id, one]));
    const wanted = new Map<string, Wanted>();
    const seen = this.#look(0);
    for (const monitor of plan.monitors) {
      const one = wantedOn(plan, monitor, planned.get(monitor.appliance), seen.get(monitor.appliance));
      if (one !== undefined) wanted.set(`${monitor.ensemble}/${monitor.name}`, one);
    }
    return wanted;
  }

  async #measure(running: Running, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const everyMs = Math.max(running.plan.everyMs, limits.monitorEveryMsMin);
    let dueMs: number = clock.monotonic();
    try {
      for (;;) {
        // What takes longer than its period is done less often, not twice at once.
        dueMs = Math.max(dueMs + everyMs, clock.monotonic());
        if (this.#mayMeasure(running.plan)) await this.#take(running, signal);
        await clock.sleep(millis(Math.max(0, dueMs - clock.monotonic())), signal);
      }
    } catch (cause) {
      if (!signal.aborted) this.#parts.log.error(`A monitor failed: ${running.plan.name}`, { cause });
    } finally {
      running.probe?.close();
    }
  }

  /** One that is held or has ended has nothing to tell, and that is no problem of its monitor. */
  #mayMeasure({ appliance, everyMs }: MonitorPlan): boolean {
    return this.#look(Math.min(everyMs / 2, sharedMs)).get(appliance)?.state === "running";
  }

  async #take(running: Running, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const { plan, target } = running;
    try {
      running.probe ??= this.#open(plan, target);
      const { probe } = running;
      const limitMs = millis(
        Math.min(limits.monitorReadMsMax, Math.max(plan.everyMs, limits.monitorReadMsMin)),
      );
      const read = (): Promise<readonly Reading[]> =>
        withDeadline(clock, limitMs, (deadline) => probe.read(deadline), signal);
      const readings = await (startsSomething(plan) ? this.#turns.take(read, signal) : read());
      this.#outbox.put(plan, readings, clock.monotonic());
    } catch (cause) {
      signal.throwIfAborted();
      this.#outbox.complain(plan, messageOf(cause));
    }
  }

  #open(plan: MonitorPlan, target: MonitorTarget): Probe {
    if (this.#parts.driver !== undefined) return this.#parts.driver.open(plan, target);
    throw new ConsortError("unsupported", `Cannot measure ${plan.appliance}: this host has no monitors`);
  }

  /** Younger than that; shared by all monitors. */
  #look(ageMsMax: number): ReadonlyMap<ApplianceId, ApplianceObservation> {
    const now = this.#parts.clock.monotonic();
    if (now - this.#seenAtMs < ageMsMax) return this.#seen;
    this.#seen = new Map(this.#parts.appliances.observe().map((one) => [one.id, one]));
    this.#seenAtMs = now;
    return this.#seen;
  }
}

const sharedMs = 100;

/** A process or a connection, of which a host must not be made to have any number. */
const startsSomething = ({ source }: MonitorPlan): boolean =>
  source.kind === "script" || source.kind === "http";

function wantedOn(
  plan: HostPlan,
  monitor: MonitorPlan,
  appliance: AppliancePlan | undefined,
  seen: ApplianceObservation | undefined,
): Wanted | undefined {
  if (appliance === undefined || seen?.generation !== appliance.generation) return undefined;
  const names = namesFor(plan, appliance);
  const key = digest([monitor, seen.netns, seen.generation, [...names]]);
  return { key, plan: monitor, target: { appliance: monitor.appliance, netns: seen.netns, names } };
}
