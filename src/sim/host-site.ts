import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { fakeJobMachine, fakeSpoolDisk } from "#drivers/job/fake.ts";
import type { FakeJobMachine } from "#drivers/job/fake.ts";
import { FakeHostNetwork } from "#drivers/network/fake.ts";
import type { FakeGatewayState } from "#drivers/network/tunnels/fake.ts";
import { noAppliances } from "#drivers/appliance/none.ts";
import { noSegments } from "#drivers/network/none.ts";
import { seededRandom } from "#base/seeded-random.ts";
import type { DispatchRules } from "#model/topology.ts";
import type { HostRecord } from "#cluster/records.ts";
import type { HostIdentity } from "#host/reporter.ts";
import { clusterAddress, hostAddress } from "#protocol/topics.ts";
import { SimulatedApplianceDriver } from "#sim/drivers/appliances.ts";
import type { Buses } from "#sim/drivers/bus.ts";
import { SimulatedBlobs } from "#sim/drivers/blobs.ts";
import { SimulatedCheckpointer } from "#sim/drivers/checkpoints.ts";
import type { SimulatedBook } from "#sim/drivers/checkpoints.ts";
import { noOutside, simulatedBlobStore, SimulatedExchange } from "#sim/drivers/content.ts";
import type { ContentDisk, SimulatedContent } from "#sim/drivers/content.ts";
import { incarnationClock } from "#sim/drivers/clock.ts";
import { simulatedDisk, simulatedKeeper } from "#sim/drivers/disk.ts";
import type { SimulatedDisk } from "#sim/drivers/disk.ts";
import { SimulatedMachine } from "#sim/drivers/machine.ts";
import type { MoveRoads } from "#sim/drivers/moves.ts";
import { simulatedJobs } from "#sim/drivers/jobs.ts";
import { forgetNetwork, simulatedNetwork, simulatedTunnels } from "#sim/drivers/network.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import { tracedLog } from "#sim/kernel/log.ts";
import { PlaceClock } from "#sim/kernel/place-clock.ts";
import { SimulatedProcess } from "#sim/kernel/process.ts";
import type { SimulationSettings } from "#sim/settings.ts";

/** A machine with what is on it, and the process of its manager. */
export class HostSite {
  readonly record: HostRecord;
  readonly machine: SimulatedMachine;
  readonly network = new FakeHostNetwork();
  readonly tunnels: FakeGatewayState | undefined;
  readonly disk: SimulatedDisk = simulatedDisk();
  readonly content: ContentDisk;
  /** What is on record of checkpoints. */
  readonly book: SimulatedBook = new Map();
  readonly jobs: FakeJobMachine;
  readonly #spool = fakeSpoolDisk();
  readonly clock: PlaceClock;
  readonly process: SimulatedProcess;
  readonly #buses: Buses;
  readonly #settings: SimulationSettings;
  readonly #roads: MoveRoads;
  #losesPower = false;

  constructor(
    record: HostRecord,
    seed: number,
    parts: {
      buses: Buses;
      settings: SimulationSettings;
      machineOf: (host: HostId) => SimulatedMachine | undefined;
      content: SimulatedContent;
      /** Another one for each host. */
      port: number;
      onChange: () => void;
      dispatch?: DispatchRules;
    },
  ) {
    const { time } = parts.buses;
    this.record = record;
    this.#buses = parts.buses;
    this.#settings = parts.settings;
    const { machineOf, settings } = parts;
    this.#roads = { time, wire: parts.buses.wire, settings, machineOf };
    this.content = {
      host: record.id,
      port: parts.port,
      blobs: new SimulatedBlobs(),
      disk: this.disk,
      cloud: parts.content,
      wire: parts.buses.wire,
    };
    this.clock = new PlaceClock(time);
    this.tunnels = record.role === "gateway" ? { plans: [] } : undefined;
    this.machine = new SimulatedMachine({
      host: record.id,
      time,
      clock: this.clock,
      random: seededRandom(seed ^ 0x2545f491),
      capacityMilli: record.capacity.cpuMilli,
      ...(parts.dispatch === undefined ? {} : { dispatch: parts.dispatch }),
      settings: parts.settings,
      onChange: parts.onChange,
    });
    this.jobs = fakeJobMachine(
      (id) => this.#runOf(id),
      () => this.clock.monotonic(),
    );
    this.process = new SimulatedProcess({
      name: hostAddress(record.id),
      time,
      clock: this.clock,
      seed,
      restartMs: parts.settings.restartMs,
      mayStart: () => this.machine.powered,
      program: (life) => this.#manage(life),
      onDead: (life) => parts.buses.died(life, this.#losesPower),
    });
  }

  /** Of an appliance that executes: another run of it has nothing of the one before. */
  #runOf(id: ApplianceId): string | undefined {
    const one = this.machine.present.get(id);
    if (one === undefined || this.machine.stateOf(one) !== "running") return undefined;
    return `${one.startedAt} ${one.restarts} ${one.plan.generation}`;
  }

  losePower(downForMs: number): void {
    if (!this.machine.powered) return;
    this.#losesPower = true;
    this.process.crash(Number.POSITIVE_INFINITY);
    this.#losesPower = false;
    this.machine.losePower();
    forgetNetwork(this.network, this.tunnels);
    const { time } = this.#buses;
    time.schedule(time.nowMs + downForMs, undefined, `${this.record.id}: power`, () => {
      this.machine.returnPower();
      this.process.start();
    });
  }

  #manage(life: Incarnation): Promise<void> {
    const settings = this.#settings;
    const clock = incarnationClock(life);
    const log = tracedLog(this.#buses.time, life);
    const { capabilities: _capabilities, id: host, tunnelPublicKey: _key, ...about } = this.record;
    const identity: HostIdentity = { host, ...about };
    const holding =
      settings.takesCheckpoints && this.tunnels === undefined ? this.#holding(life, clock, log) : undefined;
    const manager = settings.hostManager({
      identity,
      clock,
      log,
      messaging: this.#buses.connect(life, hostAddress(host), log, [clusterAddress]),
      keeper: simulatedKeeper(this.disk, life, settings.diskMs),
      ...(this.tunnels === undefined
        ? {
            appliances: new SimulatedApplianceDriver({
              machine: this.machine,
              life,
              clock,
              settings,
              roads: this.#roads,
              checkpoints: holding?.checkpoints.checkpointer,
            }),
            network: simulatedNetwork(this.network, life, settings),
            jobs: simulatedJobs({ machine: this.jobs, spool: this.#spool, disk: this.disk }, life, settings),
            ...holding,
          }
        : {
            appliances: noAppliances,
            network: noSegments,
            tunnels: simulatedTunnels(host, this.tunnels, life, settings),
          }),
    });
    return manager.run(new AbortController().signal);
  }
  /** What holds content and takes checkpoints here. */
  #holding(life: Incarnation, clock: Clock, log: Log) {
    const { machine, disk, book } = this;
    const settings = this.#settings;
    const uses = { on: this.content, life, settings };
    const store = simulatedBlobStore(uses);
    const exchange = new SimulatedExchange(uses);
    const blobs = { blobs: store, exchange };
    const checkpointer = new SimulatedCheckpointer({
      ...blobs,
      machine,
      life,
      clock,
      log,
      settings,
      disk,
      book,
      nowMs: () => this.#buses.time.nowMs,
      onStood: (appliance, checkpoint, fromMs) =>
        this.content.cloud.stood.set(`${appliance} ${checkpoint}`, {
          fromMs,
          toMs: this.#buses.time.nowMs,
        }),
    });
    return {
      content: { store, exchange, images: noOutside },
      checkpoints: { checkpointer, random: life.random },
    };
  }
}
