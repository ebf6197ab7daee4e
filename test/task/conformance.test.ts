import { applianceConformance } from "#drivers/appliance/conformance.ts";
import { leaseConformance } from "#drivers/appliance/lease-conformance.ts";
import { clock, taskHost } from "./host.ts";
import type { TaskSubject } from "./host.ts";

const fromPool = async (): Promise<TaskSubject> => {
  const host = await taskHost({ poolSize: 2 });
  await host.driver.poolFilled();
  return host;
};

applianceConformance("task, made when asked for", () => taskHost());
applianceConformance("task, from a pool", fromPool);
leaseConformance("task, made when asked for", clock, () => taskHost());
leaseConformance("task, from a pool", clock, fromPool);
