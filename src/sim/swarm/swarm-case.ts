import type { HostId } from "#base/ids.ts";
import type { Move, Size } from "#cluster/adjusting.ts";
import type { ClusterManagerParts } from "#cluster/manager.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import type { Fault } from "#sim/fault.ts";

/** What a user or an operator does at a moment of a run, in virtual ms. */
export type Step = { readonly atMs: number } & (
  | { readonly kind: "up"; readonly ensemble: Ensemble }
  | { readonly kind: "down" | "cancel"; readonly name: string }
  | {
      readonly kind: "resize";
      readonly name: string;
      readonly sizes: Readonly<Record<string, Size>>;
      readonly moves: readonly Move[];
    }
  | {
      readonly kind: "suspend" | "resume";
      readonly name: string;
      readonly appliances: readonly string[];
    }
  /** Of the newest ensemble of that name: the replicas of these, wherever they are. */
  | {
      readonly kind: "migrate";
      readonly name: string;
      readonly appliances: readonly string[];
      readonly to?: HostId;
    }
  | { readonly kind: "park"; readonly name: string; readonly appliances: readonly string[] }
  | {
      readonly kind: "unpark";
      readonly name: string;
      readonly appliances: readonly string[];
      readonly to?: HostId;
    }
  | {
      readonly kind: "checkpoint";
      readonly name: string;
      readonly appliances: readonly string[];
      /** All at one moment. */
      readonly together: boolean;
    }
  /** To its newest checkpoint. */
  | { readonly kind: "restore"; readonly name: string; readonly appliance: string }
  | {
      readonly kind: "cordon" | "uncordon" | "drain" | "cancel-drain" | "forget";
      readonly host: HostId;
    }
  /** Another cluster manager takes over, whatever the one before does. */
  | { readonly kind: "take-over"; readonly cluster: string }
);

/** All that a run is made of: equal cases give equal runs. Plain data, so that it can be printed and shrunk. */
export type SwarmCase = {
  readonly seed: number;
  readonly topology: Topology;
  readonly steps: readonly Step[];
  readonly faults: readonly Fault[];
  /** How the cluster managers fill hosts; absent: evenly, and nothing moves to make room. */
  readonly policy?: NonNullable<ClusterManagerParts["policy"]>;
};

/** When the last fault of a list is over. */
export function calmFrom(faults: readonly Fault[]): number {
  return Math.max(0, ...faults.map((fault) => fault.atMs + durationOf(fault)));
}

export function durationOf(fault: Fault): number {
  return "downForMs" in fault ? fault.downForMs : fault.forMs;
}
