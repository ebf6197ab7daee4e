import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import type { ApplianceReport, HostReport } from "#protocol/host-report.ts";

/** What a report tells beside appliances and measurements, as far as it may change while a host manager lives. */
export type Standing = Pick<
  HostReport,
  | "capabilities"
  | "epoch"
  | "acceptedRevision"
  | "convergedRevision"
  | "problems"
  | "tunnels"
  | "tunnelPublicKey"
  | "jobs"
  | "checkpoints"
  | "checkpointRequests"
  | "stores"
  | "blobPort"
  | "blobs"
  | "transfers"
  | "imports"
>;

/**
 * A report that was sent: asked at every heartbeat whether it still holds. What drivers may change in place is
 * remembered as text.
 */
export class Told {
  readonly #standing: Standing;
  readonly #lists: string;
  readonly #observed: readonly ApplianceObservation[];
  readonly #appliances: readonly ApplianceReport[];
  /** Of each appliance, as text. */
  readonly #details: readonly string[];

  constructor(
    standing: Standing,
    {
      observed,
      appliances,
    }: {
      readonly observed: readonly ApplianceObservation[];
      readonly appliances: readonly ApplianceReport[];
    },
  ) {
    this.#standing = standing;
    this.#lists = listsOf(standing);
    this.#observed = observed;
    this.#appliances = appliances;
    this.#details = appliances.map(detailsOf);
  }

  /** Nothing is other than it told, but measurements. */
  holds(standing: Standing, observed: readonly ApplianceObservation[]): boolean {
    const told = this.#standing;
    return (
      standing.epoch === told.epoch &&
      standing.acceptedRevision === told.acceptedRevision &&
      standing.convergedRevision === told.convergedRevision &&
      standing.tunnelPublicKey === told.tunnelPublicKey &&
      standing.blobPort === told.blobPort &&
      (observed === this.#observed || this.#areAsTold(observed)) &&
      sameTexts(standing.capabilities, told.capabilities) &&
      listsOf(standing) === this.#lists
    );
  }

  #areAsTold(observed: readonly ApplianceObservation[]): boolean {
    return (
      observed.length === this.#appliances.length &&
      observed.every((one, at) => isAsTold(one, this.#appliances[at]!, this.#details[at]!))
    );
  }
}

/** Mostly they are empty: then there is no text to make. */
function listsOf(standing: Standing): string {
  const { problems, tunnels, jobs, checkpoints, checkpointRequests } = standing;
  const { stores, blobs, transfers, imports } = standing;
  const lists = [problems, tunnels, jobs, checkpoints, checkpointRequests, stores, blobs, transfers, imports];
  return lists.every((list) => list === undefined || list.length === 0) ? "" : JSON.stringify(lists);
}

const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((text, at) => text === b[at]));

function isAsTold(now: ApplianceObservation, told: ApplianceReport, details: string): boolean {
  return (
    now.id === told.id &&
    now.generation === told.generation &&
    now.state === told.state &&
    now.restarts === told.restarts &&
    now.startedAt === told.startedAt &&
    now.exitCode === told.exitCode &&
    now.message === told.message &&
    now.leased === told.leased &&
    detailsOf(now) === details
  );
}

/** Most have none. */
function detailsOf({ scheduling, vm }: Pick<ApplianceReport, "scheduling" | "vm">): string {
  return scheduling === undefined && vm === undefined ? "" : JSON.stringify([scheduling, vm]);
}
