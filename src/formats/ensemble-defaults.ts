import { millis } from "#base/units.ts";
import type { RestartWord } from "#formats/restart.ts";
import type { RestartPolicy } from "#model/ensemble.ts";

/** What an ensemble file leaves out. The reader fills these in; the writer leaves them out again. */
export const ensembleDefaults = {
  kind: "task",
  replicas: 1,
  fileMode: 0o644,
  network: "lan",
  restart: { when: "always", backoffMsMin: millis(500), backoffMsMax: millis(30_000) } as RestartPolicy,
  /** What `restart` and `onHostLoss` of an appliance are called together. */
  restartWord: "elsewhere" as RestartWord,
  appliancePriority: 5,
  stopGraceMs: millis(5_000),
  linkPriority: 4,
  placementScope: "host",
  teamPolicy: "round-robin",
  serviceClass: "best-effort",
  monitorEveryMs: millis(1_000),
  cooldownMs: millis(5_000),
} as const;
