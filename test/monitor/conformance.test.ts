import { micros } from "#base/units.ts";
import { conformanceId, conformancePlan } from "#drivers/appliance/conformance.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import { monitorConformance } from "#drivers/monitor/conformance.ts";
import type { MonitorSubject } from "#drivers/monitor/conformance.ts";
import { systemMonitors } from "#drivers/monitor/system-monitors.ts";
import type { MonitorSource } from "#model/ensemble.ts";
import { clock, signal, taskHost } from "../task/host.ts";
import { Namespace } from "./namespace.ts";

const noAppliances: Pick<ApplianceDriver, "exec" | "observe"> = {
  exec: () => Promise.reject(new Error("nothing runs here")),
  observe: () => [],
};

function inNamespace(source: MonitorSource, namespace: Namespace): MonitorSubject {
  return {
    driver: systemMonitors({ appliances: noAppliances, clock }),
    source,
    target: namespace.target,
    [Symbol.asyncDispose]: () => namespace[Symbol.asyncDispose](),
  };
}

async function inTask(source: MonitorSource): Promise<MonitorSubject> {
  const host = await taskHost();
  const cpu = { kind: "reservation", periodUs: micros(40_000), executionUs: micros(10_000) } as const;
  await host.driver.create(conformancePlan({ command: host.programs.stays(), cpu }), new Map(), signal);
  await host.driver.start(conformanceId, signal);
  const { netns = "" } = host.driver.observe()[0] ?? {};
  return {
    driver: systemMonitors({ appliances: host.driver, clock }),
    source,
    target: { appliance: conformanceId, netns, names: new Map() },
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  };
}

monitorConformance("rtp", async () => {
  const namespace = new Namespace();
  await namespace.node("rtp-sender.child.ts", "5004", "1000", "10");
  return inNamespace({ kind: "rtp", port: 5004 }, namespace);
});
monitorConformance("http", async () => {
  const namespace = new Namespace();
  const { firstLine } = await namespace.node("page.child.ts");
  return inNamespace({ kind: "http", url: `http://127.0.0.1:${firstLine}/metrics` }, namespace);
});
monitorConformance("script", () => inTask({ kind: "script", command: ["echo", "queue 7"] }));
monitorConformance("scheduling", () => inTask({ kind: "scheduling" }));
