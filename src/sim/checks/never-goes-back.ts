import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Breach } from "#sim/checks/breach.ts";

type Machine = {
  readonly host: HostId;
  readonly appliances: Iterable<{
    readonly id: ApplianceId;
    readonly executes: boolean;
    /** When what executes began; a live move takes it along. */
    readonly begunAtMs?: number | undefined;
  }>;
};

/**
 * Remembers of every appliance the newest beginning that has executed: once it has begun anew, from a checkpoint or from
 * its images, what began before never executes again, at whichever host it is and however much later.
 */
export class Beginnings {
  readonly #newest = new Map<ApplianceId, { readonly begunAtMs: number; readonly host: HostId }>();

  wentBack(machines: Iterable<Machine>): Breach | undefined {
    for (const { host, appliances } of machines) {
      for (const { id, executes, begunAtMs } of appliances) {
        if (!executes || begunAtMs === undefined) continue;
        const newest = this.#newest.get(id);
        if (newest !== undefined && newest.begunAtMs > begunAtMs) {
          return {
            invariant: "never-goes-back",
            message: `${id} goes on at ${host} as it was before it began anew at ${newest.host}`,
          };
        }
        if (newest?.begunAtMs !== begunAtMs) this.#newest.set(id, { begunAtMs, host });
      }
    }
    return undefined;
  }
}
