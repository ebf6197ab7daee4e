import type { ApplianceId, NetworkId } from "#base/ids.ts";
import type { InterfacePlan, SegmentPlan, ShapedPair, TrafficPlan, TunnelPlan } from "#protocol/host-plan.ts";
import type { PairCounter, TunnelReport } from "#protocol/host-report.ts";

/** An appliance's interface that must exist, and the namespace it lives in. */
export type PortPlan = {
  readonly appliance: ApplianceId;
  /** Path of the appliance's network namespace ("/run/netns/…"). */
  readonly netns: string;
  readonly interface: InterfacePlan;
  /**
   * MAC and address are those of a guest behind a bridge in the namespace: the interface there has neither, and is up.
   * Whoever makes the bridge puts it in, where it is left, and names the bridge's alias after it: one that has to be made
   * anew is put in there.
   */
  readonly guest?: true;
  /** It is on its way here from another host: frames for it go to both. */
  readonly coming?: true;
};

/** All the network of one host. */
export type NetworkPlan = {
  readonly segments: readonly SegmentPlan[];
  readonly ports: readonly PortPlan[];
  readonly shapedPairs: readonly ShapedPair[];
  readonly traffic?: readonly TrafficPlan[];
};

/**
 * Makes a host's segments, ports, isolation and shaping match a plan. One kernel transaction each for rules and
 * classes per converge; what already matches is not touched, so established traffic never stutters. Changed rates are
 * changed together: first what gives, then what takes, or, where the kernel refuses one, none.
 */
export interface NetworkDriver {
  /** Read back from the kernel what carries our mark, so that the next converge changes only the difference. */
  recover(signal: AbortSignal): Promise<void>;
  converge(plan: NetworkPlan, signal: AbortSignal): Promise<void>;
  /** Counters per permitted pair that has carried a frame. */
  counters(signal: AbortSignal): Promise<readonly PairCounter[]>;
  /** Networks that have a segment here now. */
  segments(): readonly NetworkId[];
  /** Let go of sockets and helper processes; what is in the kernel stays. */
  close(): Promise<void>;
}

/** Inter-site tunnels at a site's gateway. */
export interface TunnelDriver {
  /** Adopt tunnels (and their user-space processes) that carry our mark. */
  recover(signal: AbortSignal): Promise<void>;
  /** The WireGuard public key of this gateway, made and kept on first use. */
  publicKey(signal: AbortSignal): Promise<string>;
  /** Tunnels not in the list are taken down. */
  converge(tunnels: readonly TunnelPlan[], signal: AbortSignal): Promise<void>;
  observe(): readonly TunnelReport[];
  /** Called when a tunnel came up or went down by itself. */
  onChange(listener: () => void): void;
  close(): Promise<void>;
}
