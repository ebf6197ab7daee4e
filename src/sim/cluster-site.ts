import type { ClusterService } from "#cluster/service.ts";
import { sampleImage } from "#model/sample-vm.ts";
import type { Topology } from "#model/topology.ts";
import { proposeConsolidation } from "#planner/consolidate.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { Buses } from "#sim/drivers/bus.ts";
import { incarnationClock } from "#sim/drivers/clock.ts";
import type { SimulatedStore } from "#sim/drivers/store.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import { tracedLog } from "#sim/kernel/log.ts";
import { PlaceClock } from "#sim/kernel/place-clock.ts";
import { SimulatedProcess } from "#sim/kernel/process.ts";
import type { SimulationSettings } from "#sim/settings.ts";

/** What cuts between a cluster manager and the store are named after. */
export const storePlace = "store";

type ClusterSiteParts = {
  readonly buses: Buses;
  readonly settings: SimulationSettings;
  readonly store: SimulatedStore;
  readonly topology: Topology;
  /** A life of it is over. */
  readonly onDead: (life: Incarnation) => void;
};

/** The process of one cluster manager, with its bus. */
export class ClusterSite {
  readonly clock: PlaceClock;
  readonly process: SimulatedProcess;
  readonly #parts: ClusterSiteParts;
  #takesOver = false;
  #serving: { readonly life: Incarnation; readonly service: ClusterService } | undefined;

  constructor(name: string, seed: number, parts: ClusterSiteParts) {
    this.#parts = parts;
    this.clock = new PlaceClock(parts.buses.time);
    this.process = new SimulatedProcess({
      name,
      time: parts.buses.time,
      clock: this.clock,
      seed,
      restartMs: parts.settings.restartMs,
      mayStart: () => true,
      program: (life) => this.#manage(life),
      onDead: (life) => {
        this.#serving = undefined;
        parts.buses.died(life, false);
        parts.onDead(life);
      },
    });
  }

  /** Whoever else serves: an operator, or a supervisor elsewhere, is certain that it should. */
  start(): void {
    this.#takesOver = true;
    this.process.start();
  }

  get name(): string {
    return this.process.name;
  }

  get state(): "up" | "paused" | "down" {
    return this.process.state;
  }

  get incarnation(): number {
    return this.process.incarnation;
  }

  get service(): ClusterService | undefined {
    return this.#serving?.service;
  }

  /** Of the life that lives, once its manager has been made. */
  get serving(): { readonly life: Incarnation; readonly service: ClusterService } | undefined {
    return this.#serving;
  }

  async #manage(life: Incarnation): Promise<void> {
    const { buses, settings, store, topology } = this.#parts;
    const log = tracedLog(buses.time, life);
    const takesOver = this.#takesOver;
    this.#takesOver = false;
    const manager = settings.clusterManager({
      clock: incarnationClock(life),
      random: life.random,
      log,
      store: store.openFor(life, settings.storeMs, () => !buses.wire.isBroken(life.process, storePlace)),
      messaging: buses.open(life, log, takesOver),
      images: (name) => sampleImage(name),
      solve: (problem, signal) => {
        signal.throwIfAborted();
        const options = { seed: life.chance.integer(2 ** 31), effort: settings.mapperEffort };
        return life.call("mapper, solve", settings.solveMs, () => solveMapping(problem, options));
      },
      consolidate: (problem, signal) => {
        signal.throwIfAborted();
        const options = { seed: life.chance.integer(2 ** 31), effort: settings.mapperEffort };
        return life.call("mapper, consolidate", settings.solveMs, () =>
          proposeConsolidation(problem, options),
        );
      },
      topology,
    });
    this.#serving = { life, service: manager };
    const { signal } = new AbortController();
    await manager.start(signal);
    await manager.run(signal);
  }
}
