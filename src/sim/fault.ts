/**
 * What can go wrong in a simulated cloud. Plain data: a run is its scenario, its seed and its list of faults, and a
 * failing list is shrunk by leaving faults out. Times are virtual, in ms from the beginning of the run.
 *
 * Processes are named "cluster/1", "cluster/2", … and "host/<id>"; places with a disk are hosts and "store".
 */
export type Fault = { readonly atMs: number } & (
  | { readonly kind: "crash"; readonly process: string; readonly downForMs: number }
  /**
   * The process dies at its n-th call of a driver, clock, store or message from `atMs` on, right before or right after
   * that call had its effect.
   */
  | {
      readonly kind: "crash-at-call";
      readonly process: string;
      readonly call: number;
      readonly effect: "none" | "done";
      readonly downForMs: number;
    }
  /** It stands still, and goes on believing what it believed: its timers and messages come late, in order. */
  | { readonly kind: "pause"; readonly process: string; readonly forMs: number }
  /** The host and all that runs on it; what was not durable on its disk is lost. */
  | { readonly kind: "power-loss"; readonly host: string; readonly downForMs: number }
  /** Nothing gets from one process to the other, in this direction only. "*" stands for all. */
  | { readonly kind: "cut"; readonly from: string; readonly to: string; readonly forMs: number }
  /** Messages are lost, come twice, late, or in another order. Shares are in [0, 1]. */
  | {
      readonly kind: "noise";
      readonly forMs: number;
      readonly lost: number;
      readonly doubled: number;
      readonly delayMsMax: number;
    }
  | { readonly kind: "slow-disk"; readonly place: string; readonly delayMs: number; readonly forMs: number }
  | { readonly kind: "full-disk"; readonly place: string; readonly forMs: number }
  | { readonly kind: "store-down"; readonly forMs: number }
  /** The wall clock jumps; the monotonic clock runs this much too fast (too slow if negative), in parts per million. */
  | {
      readonly kind: "clock-skew";
      readonly place: string;
      readonly jumpMs: number;
      readonly driftPpm: number;
      readonly forMs: number;
    }
);
