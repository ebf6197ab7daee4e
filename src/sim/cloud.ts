import type { ApplianceId, HostId } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { keys } from "#cluster/records.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import type { ClusterService } from "#cluster/service.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { ChainRecord } from "#drivers/checkpoint/chain-record.ts";
import type { FakeJobMachine } from "#drivers/job/fake.ts";
import type { FakeHostNetwork } from "#drivers/network/fake.ts";
import type { FakeGatewayState } from "#drivers/network/tunnels/fake.ts";
import type { StoreEntry } from "#drivers/store/port.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import { hostAddress } from "#protocol/topics.ts";
import { SimulatedClient } from "#sim/client.ts";
import type { Call } from "#sim/client.ts";
import { ClusterSite, storePlace } from "#sim/cluster-site.ts";
import { Buses } from "#sim/drivers/bus.ts";
import { SimulatedContent } from "#sim/drivers/content.ts";
import { machineClock } from "#sim/drivers/clock.ts";
import type { SimulatedMachine } from "#sim/drivers/machine.ts";
import type { ApplianceView } from "#sim/drivers/machine-appliance.ts";
import { SimulatedStore } from "#sim/drivers/store.ts";
import type { Fault } from "#sim/fault.ts";
import { hostRecordsOf } from "#sim/host-records.ts";
import { HostSite } from "#sim/host-site.ts";
import { beginFault, lengthOf, unknownPlace } from "#sim/inject.ts";
import type { Injectable } from "#sim/inject.ts";
import { tracedLog } from "#sim/kernel/log.ts";
import { PlaceClock } from "#sim/kernel/place-clock.ts";
import type { SimulatedProcess } from "#sim/kernel/process.ts";
import { VirtualTime } from "#sim/kernel/virtual-time.ts";
import { Wire } from "#sim/kernel/wire.ts";
import { defaultSettings } from "#sim/settings.ts";
import type { CloudDescription, SimulationSettings } from "#sim/settings.ts";

export type { ApplianceView, Call };

/** One event that has just happened; `process` is the one it was for ("host/a1", "cluster/1"), if any. */
export type SimulatedEvent = {
  readonly atMs: number;
  readonly sequence: number;
  readonly process: string | undefined;
  readonly label: string;
};

/** What runs on a machine, whatever its manager believes. */
export type MachineView = {
  readonly host: HostId;
  /** False between a power loss and the return of the power. */
  readonly powered: boolean;
  /** Grows with every change of `appliances`. */
  readonly version: number;
  readonly appliances: Iterable<ApplianceView>;
  /** Those whose live move it has a side of. */
  readonly moving: Iterable<ApplianceId>;
};

export type ProcessView = {
  readonly name: string;
  readonly state: "up" | "paused" | "down";
  /** Counts its starts. */
  readonly incarnation: number;
  /** Of a cluster manager that has been made: for looking, not for asking. */
  readonly service?: ClusterService | undefined;
};

export interface CloudClient {
  readonly calls: readonly Call[];
  /** Asks the newest cluster manager that can be reached: `ask("up", "shop", (service, signal) => service.up(shop, signal))`. */
  ask(
    verb: string,
    subject: string,
    work: (service: ClusterService, signal: AbortSignal) => Promise<unknown>,
  ): Call;
}

/** What lies on the hosts' disks of checkpoints, whatever their managers believe. */
export type CloudContents = {
  /** Grows whenever a host has less than before. */
  readonly removals: () => number;
  readonly stood: ReadonlyMap<string, { readonly fromMs: number; readonly toMs: number }>;
  readonly hosts: ReadonlyMap<
    HostId,
    { readonly blobs: Pick<BlobStore, "has" | "list">; readonly book: ReadonlyMap<ApplianceId, ChainRecord> }
  >;
};

export interface Cloud {
  readonly nowMs: number;
  readonly contents: CloudContents;
  readonly machines: ReadonlyMap<HostId, MachineView>;
  readonly networks: ReadonlyMap<HostId, FakeHostNetwork>;
  readonly gateways: ReadonlyMap<HostId, FakeGatewayState>;
  readonly processes: ReadonlyMap<string, ProcessView>;
  readonly client: CloudClient;
  /** Starts "cluster/1", "cluster/2", …; the newest started is the one hosts look for. Does nothing while it runs. */
  startCluster(name: string): void;
  startHost(host: HostId): void;
  /** Before its time has come. A process or place that does not exist then ends the run with `not_found`. */
  inject(fault: Fault): void;
  at(atMs: number, work: () => void): void;
  /** Called after every event, when all that follows from it has settled. What it throws ends the run. */
  onEvent(listener: (event: SimulatedEvent) => void): void;
  runUntil(atMs: number): Promise<void>;
  /** Runs until `holds`, asked after every event, or until that time; returns whether it held. */
  runUntilTrue(holds: () => boolean, atMs: number): Promise<boolean>;
  /** Runs until nothing has changed for `quietMs` and no fault is pending; false: not by that time. */
  runUntilQuiet(quietMs: number, atMs: number): Promise<boolean>;
  /** The plan that is durable on a host's disk. */
  storedPlan(host: HostId): HostPlan | undefined;
  /** What is durable in the store under the prefix, in key order. */
  stored(prefix: string): readonly StoreEntry[];
  /** Of the newest commit. */
  storeRevision(): number;
  traceFingerprint(): string;
  traceLines(): readonly string[];
}

/**
 * The real managers on machines, disks, a store and wires that never were, in virtual time.
 *
 *   users (client) ──► cluster/1, cluster/2, … ──(bus over the wire)── host/a1, host/a2, …
 *                          └──► store                                     └──► machine, network, disk
 *
 * Processes come and go; machines, disks and the store outlive them. Everything that happens is an event of one
 * virtual time, and all chance comes from one seed: the same description gives the same run, to the last event.
 */
export class SimulatedCloud implements Cloud {
  readonly client: SimulatedClient;
  readonly machines: ReadonlyMap<HostId, SimulatedMachine>;
  readonly networks: ReadonlyMap<HostId, FakeHostNetwork>;
  readonly gateways: ReadonlyMap<HostId, FakeGatewayState>;
  readonly contents: CloudContents;
  readonly processes = new Map<string, ProcessView>();
  readonly #processes = new Map<string, SimulatedProcess>();
  readonly #time: VirtualTime;
  readonly #settings: SimulationSettings;
  readonly #store: SimulatedStore;
  readonly #seed: number;
  readonly #description: CloudDescription;
  readonly #content = new SimulatedContent();
  readonly #buses: Buses;
  readonly #storeClock: PlaceClock;
  readonly #hosts = new Map<HostId, HostSite>();
  /** In the order of their first starts. */
  readonly #clusters = new Map<string, ClusterSite>();
  #faultsPending = 0;
  #changedAtMs = 0;

  constructor(description: CloudDescription) {
    this.#description = description;
    this.#seed = description.seed;
    this.#settings = { ...defaultSettings, ...description.settings };
    this.#time = new VirtualTime(this.#settings.traceLinesKept);
    this.#storeClock = new PlaceClock(this.#time);
    this.#store = new SimulatedStore({
      clock: machineClock(this.#time, this.#storeClock),
      log: tracedLog(this.#time, undefined),
      seed: this.#seedFor(storePlace),
    });
    this.#buses = new Buses({
      time: this.#time,
      wire: new Wire(seededRandom(this.#seedFor("wire"))),
      settings: this.#settings,
    });
    this.client = new SimulatedClient({
      buses: this.#buses,
      random: seededRandom(this.#seedFor("client")),
      clusters: () => this.#newestFirst(),
    });
    const { snapshot, topology, hosts } = description;
    const dispatch = new Map(topology.hosts.map((spec) => [spec.id, spec.dispatch]));
    for (const record of hosts ?? snapshot?.hosts ?? hostRecordsOf(topology)) {
      const rules = dispatch.get(record.id);
      const parts = {
        buses: this.#buses,
        settings: this.#settings,
        content: this.#content,
        port: this.#hosts.size + 1,
        machineOf: (id: HostId) => this.#hosts.get(id)?.machine,
        onChange: () => this.#changed(),
        ...(rules === undefined ? {} : { dispatch: rules }),
      };
      const host = new HostSite(record, this.#seedFor(record.id), parts);
      this.#hosts.set(record.id, host);
      this.#processes.set(host.process.name, host.process);
      this.processes.set(host.process.name, host.process);
    }
    const all = [...this.#hosts];
    this.machines = new Map(all.map(([id, host]) => [id, host.machine]));
    const content = this.#content;
    this.contents = {
      removals: () => content.removals,
      stood: content.stood,
      hosts: new Map(all.map(([id, host]) => [id, { blobs: host.content.blobs, book: host.book }])),
    };
    this.networks = new Map(all.map(([id, host]) => [id, host.network]));
    this.gateways = new Map(
      all.flatMap(([id, { tunnels }]) => (tunnels === undefined ? [] : [[id, tunnels]])),
    );
    if (snapshot !== undefined) this.#store.fill(recordsOf(snapshot, this.#seedFor("keys")));
    this.#store.onCommit((changed) => {
      if (changed.some((key) => !key.startsWith(keys.prefix.event))) this.#changed();
    });
  }

  /** Ms since the beginning of the run. */
  get nowMs(): number {
    return this.#time.nowMs;
  }

  /** What runs for jobs on the hosts, whatever their managers believe. */
  jobMachines(): ReadonlyMap<HostId, FakeJobMachine> {
    return new Map([...this.#hosts].map(([id, { jobs }]) => [id, jobs]));
  }

  /** The plan that is durable on a host's disk. */
  storedPlan(host: HostId): HostPlan | undefined {
    return this.#hosts.get(host)?.disk.plan;
  }

  /** What is durable in the store under the prefix. */
  stored(prefix: string): readonly StoreEntry[] {
    return this.#store.entries(prefix);
  }

  /** "cluster/1", "cluster/2", …; the newest to start is the one hosts look for. */
  startCluster(name: string): void {
    const known = this.#clusters.get(name);
    const site =
      known ??
      new ClusterSite(name, this.#seedFor(name), {
        buses: this.#buses,
        settings: this.#settings,
        store: this.#store,
        topology: this.#description.snapshot?.topology ?? this.#description.topology,
        onDead: (life) => this.client.died(life),
      });
    this.#clusters.set(name, site);
    this.#processes.set(name, site.process);
    this.processes.set(name, site);
    site.start();
  }

  startHost(id: HostId): void {
    this.#host(id).process.start();
  }

  /** One cluster manager and all hosts, each a little later than the one before. */
  start(): void {
    this.startCluster("cluster/1");
    for (const host of this.#hosts.values()) host.process.start();
  }

  at(atMs: number, work: () => void): void {
    this.#time.schedule(atMs, undefined, "script", work);
  }

  /** Called after every event, when all that follows from it has settled. What it throws ends the run. */
  onEvent(listener: (event: SimulatedEvent) => void): void {
    this.#time.onEvent(listener);
  }

  /** @throws `not_found` in the run, when its time has come, for a process or place that does not exist then */
  inject(fault: Fault): void {
    this.#faultsPending += 1;
    this.#time.schedule(fault.atMs, undefined, `fault: ${fault.kind}`, () => {
      const end = beginFault(fault, this.#injectable());
      this.#time.schedule(fault.atMs + lengthOf(fault), undefined, `over: ${fault.kind}`, () => {
        end?.();
        this.#faultsPending -= 1;
      });
    });
  }

  storeRevision(): number {
    return this.#store.revision();
  }

  traceFingerprint(): string {
    return this.#time.trace.fingerprint();
  }

  traceLines(): readonly string[] {
    return this.#time.trace.lines();
  }

  async runUntil(atMs: number): Promise<void> {
    await this.#time.run(atMs);
  }

  /** Until `holds`, asked after every event, or until that time; whether it held. */
  runUntilTrue(holds: () => boolean, atMs: number): Promise<boolean> {
    return this.#time.run(atMs, holds);
  }

  /** Until no fault is pending and nothing has changed in the store or on the machines for so long; false: not by then. */
  runUntilQuiet(quietMs: number, atMs: number): Promise<boolean> {
    this.#changedAtMs = this.nowMs;
    return this.#time.run(atMs, () => {
      return this.#faultsPending === 0 && this.nowMs - this.#changedAtMs >= quietMs;
    });
  }

  #changed(): void {
    this.#changedAtMs = this.nowMs;
  }

  #newestFirst(): readonly ClusterSite[] {
    const { servers } = this.#buses;
    const sites = [...this.#clusters.values()];
    return servers.flatMap((server) => sites.filter(({ serving }) => serving?.life === server.life));
  }

  #host(id: string): HostSite {
    const host = this.#hosts.get(id as HostId);
    if (host === undefined) throw unknownPlace(id);
    return host;
  }

  #injectable(): Injectable {
    const bare = (place: string): string =>
      place.startsWith(hostAddress("")) ? place.slice(hostAddress("").length) : place;
    return {
      buses: this.#buses,
      store: this.#store,
      process: (name) => {
        const process = this.#processes.get(name);
        if (process === undefined) throw unknownPlace(name);
        return process;
      },
      host: (id) => this.#host(bare(id)),
      disk: (place) => (place === storePlace ? this.#store.disk : this.#host(bare(place)).disk),
      clock: (place) => {
        if (place === storePlace) return this.#storeClock;
        return this.#clusters.get(place)?.clock ?? this.#host(bare(place)).clock;
      },
    };
  }

  /** Chance of its own for everything with a name, so that one more of them changes nothing for the others. */
  #seedFor(name: string): number {
    let seed = this.#seed;
    for (let index = 0; index < name.length; index += 1) {
      seed = Math.imul(seed ^ name.charCodeAt(index), 0x01000193);
      seed ^= seed >>> 15;
    }
    return seed | 0;
  }
}

/** What a store would hold of it. Secrets are not in a snapshot: tunnels get others. */
function recordsOf(snapshot: CloudSnapshot, seed: number): ReadonlyMap<string, unknown> {
  const random = seededRandom(seed);
  return new Map<string, unknown>([
    ...snapshot.hosts.map((host) => [keys.host(host.id), host] as const),
    ...Object.entries(snapshot.standings).map(([id, one]) => [keys.standing(id), one] as const),
    ...snapshot.ensembles.map((one) => [keys.ensemble(one.ensemble.name), one] as const),
    ...Object.entries(snapshot.tunnels).map(
      ([pair, one]) => [keys.tunnel(pair), { ...one, sharedKey: random.hex(32) }] as const,
    ),
  ]);
}
