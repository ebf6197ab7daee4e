import { applianceConformance } from "#drivers/appliance/conformance.ts";
import { taskHost } from "./host.ts";

applianceConformance("task, made when asked for", () => taskHost());
applianceConformance("task, from a pool", async () => {
  const host = await taskHost({ poolSize: 2 });
  await host.driver.poolFilled();
  return host;
});
