import { millis } from "#base/units.ts";
import type { HostLossPolicy, RestartPolicy } from "#model/ensemble.ts";

/** What an ensemble file leaves out. The reader fills these in; the writer leaves them out again. */
export const ensembleDefaults = {
  kind: "task",
  replicas: 1,
  fileMode: 0o644,
  network: "lan",
  restart: { when: "always", backoffMsMin: millis(500), backoffMsMax: millis(30_000) } as RestartPolicy,
  onHostLoss: "elsewhere" as HostLossPolicy,
  appliancePriority: 5,
  stopGraceMs: millis(5_000),
  linkPriority: 4,
  placementScope: "host",
} as const;
