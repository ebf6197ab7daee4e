import type { Clock } from "#base/runtime.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import { HttpProbe } from "#drivers/monitor/http-probe.ts";
import type { MonitorDriver, MonitorTarget, Probe } from "#drivers/monitor/port.ts";
import { Observed } from "#drivers/monitor/observed.ts";
import { RtpProbe } from "#drivers/monitor/rtp-probe.ts";
import { SchedulingProbe } from "#drivers/monitor/scheduling-probe.ts";
import { ScriptProbe } from "#drivers/monitor/script-probe.ts";
import type { MonitorPlan } from "#protocol/host-plan.ts";

/** Measures appliances of this machine, each kind of source by its own probe. */
export function systemMonitors(parts: {
  readonly appliances: Pick<ApplianceDriver, "exec" | "observe">;
  readonly clock: Clock;
}): MonitorDriver {
  const { appliances, clock } = parts;
  const observed = new Observed(appliances, clock);
  return {
    open({ source, everyMs }: MonitorPlan, target: MonitorTarget): Probe {
      switch (source.kind) {
        case "rtp":
          return new RtpProbe(source.port, everyMs, target, clock);
        case "script":
          return new ScriptProbe(source, target, appliances);
        case "http":
          return new HttpProbe(source.url, source.metrics, target);
        case "scheduling":
          return new SchedulingProbe(everyMs, target, observed);
        default:
          return source satisfies never;
      }
    },
  };
}
