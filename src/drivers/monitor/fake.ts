import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Reading } from "#control/monitor/readings.ts";
import type { MonitorDriver, MonitorTarget, Probe } from "#drivers/monitor/port.ts";
import type { MonitorPlan } from "#protocol/host-plan.ts";

type Answer = readonly Reading[] | Error | Promise<readonly Reading[]>;

/** Monitors of nothing: what they measure is what `measure` says. */
export class FakeMonitorDriver implements MonitorDriver {
  /** What is plugged in now. */
  readonly plugged: Set<MonitorPlan> = new Set();
  /** Appliances that can be looked at; undefined: all. */
  present: ReadonlySet<ApplianceId> | undefined;
  measure: (plan: MonitorPlan, signal: AbortSignal) => Answer = () => [{ metric: "", value: 1 }];

  open(plan: MonitorPlan, target: MonitorTarget): Probe {
    if (this.present?.has(target.appliance) === false)
      throw new ConsortError("driver_failed", `Cannot look into ${target.netns}: it is not there`);
    const own = { ...plan };
    this.plugged.add(own);
    return {
      read: async (signal) => {
        signal.throwIfAborted();
        const answer = this.measure(plan, signal);
        if (answer instanceof Error) throw answer;
        return answer;
      },
      close: () => void this.plugged.delete(own),
    };
  }
}
