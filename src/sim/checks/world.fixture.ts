import { hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { megabitsPerSecond } from "#base/units.ts";
import { sampleRecord, sampleTopology } from "#cluster/sample.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import type { MachineState, World } from "#sim/checks/world.ts";

/** "web" on a1 and "db" on b1, of two sites with a tunnel between them, and a promise of 5 Mbit/s: all as desired. */
export function sampleWorld(): World {
  const ensemble = sampleEnsemble("shop", {
    appliances: [sampleAppliance("web"), sampleAppliance("db")],
    links: [sampleLink("web", "db", { bandwidthBps: megabitsPerSecond(5) })],
  });
  const record = sampleRecord(ensemble, { web: "a1", db: "b1" });
  const mac = (name: string): never => record.interfaces[`shop/${name}` as never]?.[0]?.mac as never;
  const holds = (host: string, name: string, peer: string): MachineState => ({
    ...emptyMachine(hostId(host)),
    appliances: [{ id: `shop/${name}` as never, state: "running" }],
    network: {
      segments: [{ network: "shop/lan" as never }],
      ports: [
        { appliance: `shop/${name}` as never, interface: { network: "shop/lan" as never, mac: mac(name) } },
      ],
      shapedPairs: [{ fromMac: mac(name), toMac: mac(peer), rateBps: megabitsPerSecond(5) }],
      permitted: ["shop/lan"],
    },
    planned: [`shop/${name}` as never],
  });
  return {
    topology: sampleTopology("wireguard"),
    records: [record],
    standings: new Map(),
    operations: [],
    checkpoints: [],
    checkpointRequests: [],
    machines: [
      holds("a1", "web", "db"),
      holds("b1", "db", "web"),
      { ...emptyMachine(hostId("gw-alpha")), tunnels: ["beta"] },
      { ...emptyMachine(hostId("gw-beta")), tunnels: ["alpha"] },
    ],
  };
}

export const emptyMachine = (host: HostId): MachineState => ({
  host,
  appliances: [],
  network: { segments: [], ports: [], shapedPairs: [], permitted: [] },
  tunnels: [],
  moving: [],
  saved: [],
  blobs: 0,
  restores: new Map(),
  planned: [],
});

/** The world with one of its machines changed. */
export const changed = (world: World, host: string, fields: Partial<MachineState>): World => ({
  ...world,
  machines: world.machines.map((one) => (one.host === host ? { ...one, ...fields } : one)),
});
