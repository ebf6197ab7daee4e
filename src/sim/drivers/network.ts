import { fakeNetworkDriver } from "#drivers/network/fake.ts";
import type { FakeHostNetwork } from "#drivers/network/fake.ts";
import type { NetworkDriver, TunnelDriver } from "#drivers/network/port.ts";
import { FakeTunnelDriver } from "#drivers/network/tunnels/fake.ts";
import type { FakeGatewayState } from "#drivers/network/tunnels/fake.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { SimulationSettings } from "#sim/settings.ts";

/** A host's kernel, as one life of its manager uses it. */
export function simulatedNetwork(
  kernel: FakeHostNetwork,
  life: Incarnation,
  settings: SimulationSettings,
): NetworkDriver {
  const inner = fakeNetworkDriver(kernel);
  return {
    recover: (signal) => life.call("network, recover", settings.networkMs, () => inner.recover(signal)),
    converge: (plan, signal) =>
      life.call("network, converge", settings.networkMs, () => inner.converge(plan, signal)),
    counters: () => life.read("network, count", settings.callMs, () => [...kernel.counters.values()]),
    segments: () => inner.segments(),
    close: () => inner.close(),
  };
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
