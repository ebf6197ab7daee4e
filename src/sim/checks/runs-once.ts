import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Breach } from "#sim/checks/breach.ts";

/** What is on a machine, whatever its manager believes. */
type Machine = {
  readonly host: HostId;
  readonly appliances: Iterable<{ readonly id: ApplianceId; readonly executes: boolean }>;
};

/** An appliance whose instructions are carried out on two machines at this moment. */
export function runningTwice(machines: Iterable<Machine>): Breach | undefined {
  const places = new Map<ApplianceId, HostId>();
  for (const { host, appliances } of machines) {
    for (const { id, executes } of appliances) {
      if (!executes) continue;
      const other = places.get(id);
      if (other !== undefined)
        return { invariant: "runs-once", message: `${id} runs on ${other} and on ${host} at once` };
      places.set(id, host);
    }
  }
  return undefined;
}
