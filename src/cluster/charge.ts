import type { ApplianceId } from "#base/ids.ts";
import { adaptProgress } from "#cluster/adapt-progress.ts";
import { Changes } from "#cluster/changes.ts";
import { ClusterContext } from "#cluster/context.ts";
import type { ClusterManagerParts } from "#cluster/context.ts";
import { Hearing } from "#cluster/hearing.ts";
import { contentToken } from "#cluster/image-requests.ts";
import { isBoundByLease } from "#cluster/leaving.ts";
import { migrateProgress } from "#cluster/migrating.ts";
import { PaceKeeper } from "#cluster/pace-keeper.ts";
import { downProgress, upProgress } from "#cluster/progress.ts";
import type { Progress } from "#cluster/progress.ts";
import { CheckpointStoreReconciler } from "#cluster/reconcilers/checkpoint-stores.ts";
import { CheckpointReconciler } from "#cluster/reconcilers/checkpoints.ts";
import { ConsolidationReconciler } from "#cluster/reconcilers/consolidation.ts";
import { HostReconciler } from "#cluster/reconcilers/hosts.ts";
import { ImageReconciler } from "#cluster/reconcilers/images.ts";
import { JobReconciler } from "#cluster/reconcilers/jobs.ts";
import { LinkReconciler } from "#cluster/reconcilers/links.ts";
import { RecoveryReconciler } from "#cluster/reconcilers/recovery.ts";
import { StrategyReconciler } from "#cluster/reconcilers/strategies.ts";
import { TunnelReconciler } from "#cluster/reconcilers/tunnels.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { Term } from "#cluster/term.ts";
import { unguardedPairs } from "#cluster/tunnels.ts";

/** What a manager that is in charge works with. */
export type Charge = {
  readonly context: ClusterContext;
  readonly changes: Changes;
  readonly hearing: Hearing;
  readonly hosts: HostReconciler;
  readonly tunnels: TunnelReconciler;
  readonly recovery: RecoveryReconciler;
  readonly links: LinkReconciler;
  readonly consolidation: ConsolidationReconciler;
  readonly strategies: StrategyReconciler;
  readonly jobs: JobReconciler;
  readonly images: ImageReconciler;
  readonly checkpoints: CheckpointReconciler;
  readonly stores: CheckpointStoreReconciler;
};

/** Loads what is desired and takes a new epoch. */
export async function takeCharge(parts: ClusterManagerParts, signal: AbortSignal): Promise<Charge> {
  const { store, clock } = parts;
  const term = await Term.take(store, clock, signal);
  const pace = await PaceKeeper.load(store, clock, term, signal);
  const context = new ClusterContext(parts, term, pace, await contentToken(parts, signal));
  await context.state.load(signal);
  await context.events.load(signal);
  await pace.follow(context.state.hosts().size, signal);
  context.seen.expect(context.state.hosts().keys(), pace.inherited().silenceMs);
  const changes = new Changes(context, signal);
  const listeners = {
    jobs: new JobReconciler(context, changes),
    images: new ImageReconciler(context),
    checkpoints: new CheckpointReconciler(context),
    stores: new CheckpointStoreReconciler(context),
    hosts: new HostReconciler(context),
  };
  return {
    context,
    changes,
    ...listeners,
    hearing: new Hearing(context, listeners, signal),
    tunnels: new TunnelReconciler(context),
    recovery: new RecoveryReconciler(context),
    links: new LinkReconciler(context),
    consolidation: new ConsolidationReconciler(context),
    strategies: new StrategyReconciler(context),
  };
}

/** How far an ensemble is from what is desired of it. */
export function progressOf({ context, recovery }: Charge, record: EnsembleRecord): Progress {
  const unguarded = unguardedPairs(record, context.desired());
  const recovers = context.operations.kindOf(record) === "recover";
  const excused = (id: ApplianceId): boolean => {
    const host = record.placements[id];
    return recovers && host !== undefined && context.seen.isLost(host) && !isBoundByLease(record, id, host);
  };
  const all = { ...context.observed, unguarded, excused, stranded: recovery.stuck() };
  const about = context.operations.aboutOf(record);
  const destinations = context.operations.destinationsOf(record);
  if (record.state === "removing") return downProgress(record, all);
  if (destinations !== undefined) return migrateProgress(context, record, destinations);
  return about === undefined ? upProgress(record, all) : adaptProgress(record, about, all);
}
