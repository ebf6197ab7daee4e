import { digest } from "#base/digest.ts";
import type { TunnelDriver } from "#drivers/network/port.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";
import type { TunnelReport } from "#protocol/host-report.ts";
import { whatIsMissing } from "./decide.ts";

/** What a fake gateway remembers over a restart of its manager: give the same one to the next driver. */
export type FakeGatewayState = { plans: readonly TunnelPlan[] };

/** Tunnels in memory: up as soon as they are wanted and have what they need, unless the peer site is unreachable. */
export class FakeTunnelDriver implements TunnelDriver {
  readonly #state: FakeGatewayState;
  readonly #name: string;
  /** Peer sites whose gateway does not answer. */
  readonly unreachable = new Set<string>();

  constructor(name: string, state: FakeGatewayState = { plans: [] }) {
    this.#name = name;
    this.#state = state;
  }

  recover(): Promise<void> {
    return Promise.resolve();
  }

  publicKey(): Promise<string> {
    return Promise.resolve(`${digest(this.#name).padEnd(43, "A").slice(0, 43)}=`);
  }

  converge(tunnels: readonly TunnelPlan[]): Promise<void> {
    this.#state.plans = tunnels;
    return Promise.resolve();
  }

  observe(): readonly TunnelReport[] {
    return this.#state.plans.map((plan) => {
      const about = { peerSite: plan.peerSite, kind: plan.kind };
      const missing = whatIsMissing(plan);
      if (missing !== undefined) return { ...about, up: false, message: missing };
      if (!this.unreachable.has(plan.peerSite)) return { ...about, up: true };
      return { ...about, up: false, message: `nothing heard from ${plan.peerAddress}` };
    });
  }

  /** Its tunnels change only when they are told to. */
  onChange(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
