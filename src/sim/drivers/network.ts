import { fakeNetworkDriver } from "#drivers/network/fake.ts";
import type { FakeHostNetwork } from "#drivers/network/fake.ts";
import type { NetworkDriver, NetworkPlan, TunnelDriver } from "#drivers/network/port.ts";
import { FakeTunnelDriver } from "#drivers/network/tunnels/fake.ts";
import type { FakeGatewayState } from "#drivers/network/tunnels/fake.ts";
import type { PairCounter } from "#protocol/host-report.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { SimulationSettings } from "#sim/settings.ts";

const noCounters: readonly PairCounter[] = [];

/** A host's kernel, as one life of its manager uses it. */
export function simulatedNetwork(
  kernel: FakeHostNetwork,
  life: Incarnation,
  settings: SimulationSettings,
): NetworkDriver {
  const inner = fakeNetworkDriver(kernel);
  const converge = async (plan: NetworkPlan, signal: AbortSignal): Promise<void> => {
    if (isAlready(kernel.plan, plan)) return;
    if (settings.permitsPairs) return inner.converge(plan, signal);
    kernel.plan = plan;
  };
  return {
    recover: (signal) => life.call("network, recover", settings.networkMs, () => inner.recover(signal)),
    converge: (plan, signal) =>
      life.call("network, converge", settings.networkMs, () => converge(plan, signal)),
    // Where nobody works out who may talk to whom, nobody counts what they say.
    counters: () =>
      settings.permitsPairs
        ? life.read("network, count", settings.callMs, () => [...kernel.counters.values()])
        : Promise.resolve(noCounters),
    segments: () => kernel.plan.segments.map((segment) => segment.network),
    close: () => inner.close(),
  };
}

/** Made from the same host plan, with the same ports: what would be found out by comparing all of it. */
function isAlready(now: NetworkPlan, wanted: NetworkPlan): boolean {
  return (
    now.segments === wanted.segments &&
    now.shapedPairs === wanted.shapedPairs &&
    now.ports.length === wanted.ports.length &&
    now.ports.every((port, index) => port.interface === wanted.ports[index]?.interface)
  );
}

/** A gateway's tunnels, as one life of its manager uses them. */
export function simulatedTunnels(
  gateway: string,
  state: FakeGatewayState,
  life: Incarnation,
  settings: SimulationSettings,
): TunnelDriver {
  const inner = new FakeTunnelDriver(gateway, state);
  return {
    recover: () => life.call("tunnels, recover", settings.networkMs, () => inner.recover()),
    publicKey: () => life.call("tunnels, key", settings.callMs, () => inner.publicKey()),
    converge: (tunnels) => life.call("tunnels, converge", settings.networkMs, () => inner.converge(tunnels)),
    observe: () => inner.observe(),
    onChange: () => inner.onChange(),
    close: () => inner.close(),
  };
}

/** The power went: nothing of it was on disk. */
export function forgetNetwork(kernel: FakeHostNetwork, tunnels: FakeGatewayState | undefined): void {
  kernel.plan = { segments: [], ports: [], shapedPairs: [] };
  kernel.book = new Map();
  kernel.counters.clear();
  if (tunnels !== undefined) tunnels.plans = [];
}
