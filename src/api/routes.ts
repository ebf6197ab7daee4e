import { aboutRoutes } from "#api/about.ts";
import { adaptationRoutes } from "#api/adaptation.ts";
import { applianceRoutes } from "#api/appliances.ts";
import { consoleRoutes } from "#api/console.ts";
import { ensembleRoutes } from "#api/ensembles.ts";
import { eventRoutes } from "#api/events.ts";
import { hostRoutes } from "#api/hosts.ts";
import { imageRoutes } from "#api/images.ts";
import { checkpointRoutes } from "#api/checkpoints.ts";
import { jobRoutes } from "#api/jobs.ts";
import { metricsRoutes } from "#api/metrics.ts";
import { operationRoutes } from "#api/operations.ts";
import { planRoutes } from "#api/plans.ts";
import type { Route } from "#api/route.ts";
import { secretRoutes } from "#api/secrets.ts";
import { snapshotRoutes } from "#api/snapshot.ts";

/** Everything the API answers. */
export const apiRoutes: readonly Route[] = [
  ...aboutRoutes,
  ...ensembleRoutes,
  ...adaptationRoutes,
  ...planRoutes,
  ...applianceRoutes,
  ...consoleRoutes,
  ...hostRoutes,
  ...imageRoutes,
  ...jobRoutes,
  ...checkpointRoutes,
  ...secretRoutes,
  ...operationRoutes,
  ...snapshotRoutes,
  ...eventRoutes,
  ...metricsRoutes,
];
