import type { ApplianceId, HostId } from "#base/ids.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { isBoundByLease, stillLeaving, stillUnleased } from "#cluster/leaving.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import type { StoreWrite } from "#drivers/store/port.ts";

/** Notes which hosts appliances have left, and where they have come to obey a lease. */
export async function stepLeaving(context: ClusterContext, signal: AbortSignal): Promise<void> {
  const { state, wake } = context;
  if (!context.isPlanned() || stepsOf(context).length === 0) return;
  await state.change(() => {
    const writes = context.isPlanned() ? stepsOf(context) : [];
    return { writes, result: undefined };
  }, signal);
  wake.now();
}

function stepsOf(context: ClusterContext): StoreWrite[] {
  const whereabouts = context.state.whereabouts();
  return [...new Set([...whereabouts.unsettled(), ...whereabouts.unleased()])].flatMap((record) => {
    const leaving = stillLeaving(record.leaving, (id, host) => hasLeft(context, record, id, host));
    const unleased = stillUnleased(record, (id, host) => obeysLease(context, id, host));
    if (leaving === record.leaving && unleased === record.unleased) return [];
    return [{ put: keys.ensemble(record.ensemble.name), value: { ...record, leaving, unleased } }];
  });
}

/** It is told to be gone from there, or what runs there only with a lease will get none. */
function hasLeft(context: ClusterContext, record: EnsembleRecord, id: ApplianceId, host: HostId): boolean {
  const { seen, state } = context;
  if (record.moves?.[id] !== undefined) return false;
  if (!seen.isThere(host) && state.standing(host).fenced && isBoundByLease(record, id, host)) return true;
  const report = seen.freshReport(host);
  return isDone(context, id, host) && report?.appliances.some((one) => one.id === id) === false;
}

/** The host has its newest plan, and runs it under a lease or not at all. */
function obeysLease(context: ClusterContext, id: ApplianceId, host: HostId): boolean {
  if (!isDone(context, id, host)) return false;
  const appliance = context.seen.freshReport(host)?.appliances.find((one) => one.id === id);
  return appliance === undefined || appliance.leased === true;
}

function isDone({ dispatcher, seen }: ClusterContext, id: ApplianceId, host: HostId): boolean {
  return dispatcher.matches(
    seen.freshReport(host),
    ({ appliance }) => appliance === undefined || appliance === id,
  );
}
