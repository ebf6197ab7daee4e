import type { Millis } from "#base/units.ts";
import type { Path } from "#formats/problem.ts";
import type { DemandRule } from "#formats/scenario-demand.ts";
import type { Expectation } from "#formats/scenario-expect.ts";
import type { ScenarioFault } from "#formats/scenario-fault.ts";
import type { reportParts } from "#formats/scenario-schema.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";

/** What a scenario file means. Paths of other files stay as they were written: whoever reads the file reads them. */
export type Scenario = {
  readonly name: string;
  readonly description?: string;
  readonly durationMs: Millis;
  readonly seed: number;
  readonly cloud: CloudSource;
  readonly policy: { readonly placement: "pack" | "spread"; readonly consolidate: boolean };
  /** In order of time; those of one moment in the order of the file. */
  readonly steps: readonly ScenarioStep[];
  readonly load: readonly LoadSource[];
  readonly demand: readonly DemandRule[];
  readonly report: readonly ReportPart[];
};

export type CloudSource =
  | { readonly kind: "topology"; readonly topology: Topology }
  | { readonly kind: "topology-file"; readonly file: string }
  | { readonly kind: "snapshot-file"; readonly file: string };

export type EnsembleSource =
  | { readonly kind: "inline"; readonly ensemble: Ensemble }
  | { readonly kind: "file"; readonly file: string };

export const hostVerbs = ["cordon", "uncordon", "drain", "forget"] as const;
export type HostVerb = (typeof hostVerbs)[number];

/** A step, with the place of its word in the file. */
export type ScenarioStep = { readonly path: Path } & TimedAct;

export type TimedAct = {
  readonly atMs: Millis;
  /** Of what is asked of the managers: that they refuse it. */
  readonly expectRefused?: boolean;
} & (
  | { readonly kind: "up"; readonly ensemble: EnsembleSource }
  | { readonly kind: "down"; readonly ensemble: string }
  /** The newest operation that runs on this ensemble or host. */
  | { readonly kind: "cancel"; readonly subject: string }
  | { readonly kind: "host"; readonly verb: HostVerb; readonly host: string }
  | { readonly kind: "fault"; readonly fault: ScenarioFault }
  | { readonly kind: "expect"; readonly expectation: Expectation }
  | { readonly kind: "note"; readonly text: string }
);

/** Ensembles made from a template, arriving by chance and leaving again. */
export type LoadSource = {
  readonly ensemble: EnsembleSource;
  readonly perMs: number;
  readonly lifetime: LoadLifetime;
  readonly fromMs: Millis;
  /** Absent: as long as the run takes. */
  readonly untilMs?: Millis;
  readonly most: number;
};

export type LoadLifetime =
  | { readonly kind: "for-ever" }
  | { readonly kind: "fixed"; readonly ms: Millis }
  | { readonly kind: "exponential"; readonly meanMs: Millis };

export type ReportPart = (typeof reportParts)[number];
