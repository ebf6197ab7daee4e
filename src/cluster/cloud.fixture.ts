import { ConsortError } from "#base/errors.ts";
import { hostId, operationId } from "#base/ids.ts";
import { ClusterManager } from "#cluster/manager.ts";
import { sampleHosts, sampleTopology } from "#cluster/sample.ts";
import { sampleImage } from "#model/sample-vm.ts";
import { fakeMoves, MovingFakeDriver } from "#drivers/appliance/fake-moves.ts";
import { fakeMachine } from "#drivers/appliance/fake.ts";
import type { FakeMachine } from "#drivers/appliance/fake.ts";
import { noAppliances } from "#drivers/appliance/none.ts";
import { FakeCheckpointer } from "#drivers/checkpoint/fake.ts";
import type { StorePlace } from "#drivers/checkpoint/port.ts";
import type { KeptInPlace } from "#model/checkpoint-chain.ts";
import { fakeBus } from "#drivers/messaging/fake.ts";
import { noSegments } from "#drivers/network/none.ts";
import type { NetworkPlan } from "#drivers/network/port.ts";
import { fakeStore } from "#drivers/store/fake.ts";
import type { PlanKeeper } from "#drivers/store/port.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { HostManager } from "#host/manager.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import type { Operation } from "#protocol/http/operation.ts";
import { hostAddress } from "#protocol/topics.ts";

const clock = systemClock();
const random = systemRandom();
const never = new AbortController().signal;

/** A cluster manager and the host managers of the sample topology, real but for their drivers. */
export class Cloud {
  readonly bus = fakeBus(silentLog);
  readonly store = fakeStore({ clock, random, log: silentLog });
  readonly topology = sampleTopology("vxlan");
  readonly machines = new Map<string, FakeMachine>();
  readonly moves = fakeMoves();
  readonly checkpointers = new Map<string, FakeCheckpointer>();
  /** What is in places of stores outside the cloud: names of checkpoints. */
  readonly stored = new Map<string, Set<string>>();
  storeAnswers = true;
  readonly networks = new Map<string, NetworkPlan>();
  readonly plans = new Map<string, HostPlan>();
  readonly #lives = new Map<string, AbortController>();
  cluster!: ClusterManager;

  async startCluster(): Promise<void> {
    const life = this.#begin("cluster");
    const messaging = this.bus.connect("cluster");
    const solve = async (problem: Parameters<typeof solveMapping>[0]) => solveMapping(problem, { seed: 1 });
    this.cluster = new ClusterManager({
      clock,
      random,
      log: silentLog,
      store: this.store,
      messaging,
      solve,
      topology: this.topology,
      images: (name) => (name === "tiny" ? sampleImage(name) : undefined),
    });
    await this.cluster.start(life.signal);
    void this.cluster.run(life.signal).catch(() => {});
  }

  startHost(id: string): void {
    const life = this.#begin(id);
    const record = sampleHosts().get(hostId(id));
    if (record === undefined) throw new RangeError(`Cannot start ${id}: no such host in the sample`);
    const machine = this.machines.get(id) ?? fakeMachine();
    this.machines.set(id, machine);
    const checkpointer = this.checkpointers.get(id) ?? new FakeCheckpointer(clock);
    this.checkpointers.set(id, checkpointer);
    checkpointer.onStored = (place, checkpoint) => {
      this.stored.set(place, new Set([...(this.stored.get(place) ?? []), checkpoint]));
    };
    const keeper: PlanKeeper = {
      load: async () => this.plans.get(id),
      save: async (plan) => void this.plans.set(id, plan),
    };
    const { capabilities: _capabilities, id: host, ...identity } = record;
    const manager = new HostManager({
      identity: { host, ...identity },
      clock,
      log: silentLog,
      messaging: this.bus.connect(hostAddress(id)),
      appliances: record.role === "gateway" ? noAppliances : new MovingFakeDriver(clock, machine, this.moves),
      network: { ...noSegments, converge: async (plan) => void this.networks.set(id, plan) },
      keeper,
      checkpoints: { checkpointer, random, sweeper: { sweep: (at, keep) => this.#sweep(at, keep) } },
    });
    void manager.run(life.signal).catch(() => {});
  }

  async start(): Promise<void> {
    await this.startCluster();
    for (const id of sampleHosts().keys()) this.startHost(id);
    for (;;) {
      const hosts = await this.cluster.hosts(never);
      if (hosts.filter((host) => host.state === "ready").length === sampleHosts().size) return;
      await clock.sleep(1 as never, never);
    }
  }

  /** As kill -9 does: nothing is told, nothing is tidied. */
  kill(name: string): void {
    this.#lives.get(name)?.abort(new Error("killed"));
    this.bus.cut(name === "cluster" ? name : hostAddress(name));
  }

  stop(): void {
    for (const life of this.#lives.values()) life.abort(new Error("the test has ended"));
  }

  async ended(operation: Operation): Promise<Operation> {
    for (;;) {
      const now = await this.cluster.operation(operationId(operation.id), never);
      if (now.state !== "running") return now;
      await clock.sleep(1 as never, never);
    }
  }

  /** For tests that look until something is so. */
  turn(): Promise<void> {
    return clock.sleep(1 as never, never);
  }

  async up(ensemble: Ensemble): Promise<Operation> {
    return this.ended(await this.cluster.up(ensemble, never));
  }

  /** Ids of what runs anywhere, with what they were started as. */
  running(): string[] {
    return [...this.machines]
      .flatMap(([host, machine]) => [...machine.appliances.keys()].map((id) => `${id}@${host}`))
      .sort();
  }

  async #sweep({ place }: StorePlace, { records }: KeptInPlace): Promise<void> {
    if (!this.storeAnswers) throw new ConsortError("unavailable", "Cannot reach the store");
    for (const one of this.stored.get(place) ?? []) {
      if (!records.includes(one)) this.stored.get(place)?.delete(one);
    }
    if (this.stored.get(place)?.size === 0) this.stored.delete(place);
  }

  #begin(name: string): AbortController {
    const life = new AbortController();
    this.#lives.set(name, life);
    return life;
  }
}
