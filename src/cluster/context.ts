import type { ApplianceId, HostId } from "#base/ids.ts";
import { ConsortError } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { Clock, Log, Random } from "#base/runtime.ts";
import { Wake } from "#base/wake.ts";
import type { AdmissionFacts, Solve } from "#cluster/admission.ts";
import { Dispatcher } from "#cluster/dispatcher.ts";
import { EventLog } from "#cluster/event-log.ts";
import type { DesiredCloud } from "#cluster/host-plans.ts";
import { contentPlans } from "#cluster/content-plans.ts";
import { lookUpImage } from "#cluster/images.ts";
import { parkRequests } from "#cluster/parking.ts";
import { storePlans } from "#cluster/checkpoint-stores.ts";
import { checkpointContent, checkpointPlans } from "#cluster/checkpoints.ts";
import { jobPlans } from "#cluster/jobs.ts";
import { HostsSeen } from "#cluster/hosts-seen.ts";
import type { ImageLookup } from "#cluster/image-names.ts";
import { Leases } from "#cluster/leases.ts";
import { Operations } from "#cluster/operations.ts";
import type { PaceKeeper } from "#cluster/pace-keeper.ts";
import type { Observed } from "#cluster/progress.ts";
import type { HostFates } from "#cluster/recovery.ts";
import { ClusterState, placementOf } from "#cluster/state.ts";
import type { Term } from "#cluster/term.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import type { SecretStore } from "#drivers/secret/port.ts";
import type { Store } from "#drivers/store/port.ts";
import type { Consolidation, ConsolidationProblem } from "#planner/consolidate.ts";
import type { PlacementPolicy } from "#planner/mapping.ts";
import type { Topology } from "#model/topology.ts";

export type ClusterManagerParts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly store: Store;
  readonly messaging: Messaging;
  readonly solve: Solve;
  readonly topology: Topology;
  /** How hosts are filled; absent: evenly, and nothing moves to make room. */
  readonly policy?: { readonly placement: PlacementPolicy; readonly consolidate: boolean };
  /** What images' names stand for; absent: no image is known. */
  readonly images?: ImageLookup;
  /** Absent: none can be kept. */
  readonly secrets?: SecretStore;
  /** Proposes a host to empty; needed where the policy is to consolidate. */
  readonly consolidate?: Consolidate;
};

export type Consolidate = (
  problem: ConsolidationProblem,
  signal: AbortSignal,
) => Promise<Consolidation | undefined>;

/** What all reconcilers of one cluster manager share: what is desired, what is seen, and under which term. */
export class ClusterContext {
  readonly parts: ClusterManagerParts;
  readonly term: Term;
  readonly pace: PaceKeeper;
  readonly state: ClusterState;
  readonly seen: HostsSeen;
  readonly leases: Leases;
  readonly events: EventLog;
  readonly operations: Operations;
  readonly dispatcher: Dispatcher;
  /** Of the reconcilers that follow every change. */
  readonly wake: Wake;
  /** Of the one that places anew what has lost its host. */
  readonly wakeRecovery: Wake;
  /** Live moves that came to nothing: until then the appliance is moved by stopping it. Memory only. */
  readonly moveEnds = new Map<
    ApplianceId,
    { readonly move: string; readonly why: string; readonly until: Millis }
  >();
  /** What hosts ask of each other when they copy content. */
  readonly contentToken: string;
  /** The version of the desired state the host plans were made from. */
  planned = -1;
  #admitting: Promise<unknown> = Promise.resolve();
  /** Put together from all records, so no more often than they change. */
  #desired: { readonly version: number; readonly cloud: DesiredCloud } | undefined;

  constructor(parts: ClusterManagerParts, term: Term, pace: PaceKeeper, contentToken: string) {
    const { clock, log, messaging, store } = parts;
    this.parts = parts;
    this.term = term;
    this.pace = pace;
    this.contentToken = contentToken;
    this.state = new ClusterState(store, term);
    this.seen = new HostsSeen(clock, () => pace.current().silenceMs);
    this.leases = new Leases({ clock, term, state: this.state, pace: () => pace.current() });
    this.events = new EventLog({ store, clock, log, term });
    this.operations = new Operations(parts, this.state, this.events);
    this.wake = new Wake(clock);
    this.wakeRecovery = new Wake(clock);
    term.onSuperseded(() => {
      this.wake.now();
      this.wakeRecovery.now();
    });
    this.dispatcher = new Dispatcher({ messaging, clock, log, term, onDelivered: () => this.wake.now() });
  }

  /** Between two looks at everything: in a large cloud news comes in batches, and each look takes its time. */
  async pauseBetweenLooks(signal: AbortSignal): Promise<void> {
    const pauseMs = Math.floor((this.state.hosts().size * limits.passPauseUsPerHost) / 1000);
    if (pauseMs > 0) await this.parts.clock.sleep(millis(pauseMs), signal);
  }

  /** Changes are decided one after the other, each seeing what the one before reserved. */
  admitInTurn<Result>(work: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    const turn = this.#admitting.then(async () => {
      await this.state.settle(signal);
      return work();
    });
    this.#admitting = turn.catch(() => {});
    return turn;
  }

  /** Throws `unavailable` once another cluster manager has taken over. */
  checkInCharge(): void {
    if (this.term.supersededBy !== undefined) {
      throw new ConsortError("unavailable", "Cannot act: another cluster manager has taken over");
    }
  }

  desired(): DesiredCloud {
    const version = this.state.version();
    if (this.#desired?.version !== version) this.#desired = { version, cloud: this.#putTogether() };
    return this.#desired.cloud;
  }

  #putTogether(): DesiredCloud {
    const machines = this.state.whereabouts().machinesKept();
    return {
      ensembles: this.state.ensembles(),
      hosts: this.state.hosts(),
      tunnels: this.state.tunnels(),
      topology: this.parts.topology,
      jobs: jobPlans(this.state.jobs().values()),
      checkpoints: checkpointPlans(
        [...this.state.checkpointRequests().values(), ...parkRequests(machines)],
        (id) => placementOf(this.state, id),
      ),
      stores: storePlans(this.state.stores().values(), (id) => this.state.checkpoints().get(id)),
      content: contentPlans({
        images: this.state.images(),
        ensembles: this.state.ensembles(),
        hosts: this.state.hosts(),
        standing: (host) => this.state.standing(host),
        token: this.contentToken,
        checkpoints: checkpointContent(this.state.checkpoints().values(), machines),
      }),
    };
  }

  /** The host plans that hosts are measured by are those of what is desired now. */
  isPlanned(): boolean {
    return this.planned === this.state.version();
  }

  readonly facts = (): AdmissionFacts => {
    return {
      topology: this.parts.topology,
      hosts: this.state.hosts(),
      records: this.state.ensembles(),
      isThere: (host: HostId) => this.seen.isThere(host),
      isLost: (host: HostId) => this.seen.isLost(host),
      standing: (host: HostId) => this.state.standing(host),
      policy: this.parts.policy?.placement,
      image: (name) => this.parts.images?.(name) ?? lookUpImage(this.state.images(), name),
    };
  };

  /** What is known to have become of hosts, and of what runs there. */
  readonly fates = (): HostFates => ({
    isLost: (host) => this.seen.isLost(host),
    isDraining: (host) => this.state.standing(host).scheduling === "draining",
    hasEnded: (id, host) => {
      const last = this.seen.report(host)?.appliances.find((one) => one.id === id);
      return last?.state === "exited" || last?.state === "failed";
    },
  });

  readonly observed: Omit<Observed, "unguarded"> = {
    body: (host) => this.dispatcher.body(host),
    bodies: () => this.dispatcher.bodies(),
    report: (host) => this.seen.freshReport(host),
    holders: (ensemble) => this.seen.holders(ensemble),
    matches: (host, concerns) =>
      this.isPlanned() && this.dispatcher.matches(this.seen.freshReport(host), concerns),
    isFenced: (host) => this.state.standing(host).fenced,
  };
}
