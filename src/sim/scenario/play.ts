import type { CloudSnapshot } from "#cluster/snapshot.ts";
import type { Trace } from "#formats/planetlab.ts";
import type { LoadSource, Scenario, TimedAct } from "#formats/scenario-content.ts";
import type { DemandCurve } from "#formats/scenario-demand.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";

/** A scenario with every file it names read: all that a run depends on. */
export type Play = Pick<Scenario, "name" | "durationMs" | "seed" | "policy"> & {
  readonly topology: Topology;
  readonly snapshot?: CloudSnapshot;
  readonly steps: readonly PlayStep[];
  readonly load: readonly PlayLoad[];
  readonly demand: readonly PlayDemand[];
};

export type PlayStep = {
  /** An arrival or what follows from it: that it is refused is no mistake of the scenario. */
  readonly byChance?: boolean;
} & (
  | Exclude<TimedAct, { kind: "up" }>
  | (Omit<Extract<TimedAct, { kind: "up" }>, "ensemble"> & { readonly ensemble: Ensemble })
);

export type PlayLoad = Omit<LoadSource, "ensemble"> & { readonly ensemble: Ensemble };

export type PlayCurve =
  | Exclude<DemandCurve, { kind: "trace" }>
  | (Omit<Extract<DemandCurve, { kind: "trace" }>, "from"> & { readonly traces: readonly Trace[] });

export type PlayDemand = { readonly of: string; readonly curve: PlayCurve };
