import type { HostId } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { Pace } from "#cluster/pace.ts";
import type { ClusterState } from "#cluster/state.ts";
import type { Term } from "#cluster/term.ts";

/**
 * Grants hosts the time in which they may run what could be started elsewhere.
 *
 *   a manager takes over at S  ⇒  the one before had last confirmed its term at C ≤ S, and what it granted ended by
 *   C + lease; the new one takes no host for lost before S + silence, which is later
 *
 *   a host is fenced in a commit that begins at F  ⇒  it was last heard of at F − silence, or before, so its lease has
 *   ended; from F on it is granted none, whether the commit succeeds or not is known or not
 */
export class Leases {
  readonly #parts: { clock: Clock; state: ClusterState; term: Term; pace: () => Pace };
  readonly #beingFenced = new Set<HostId>();

  constructor(parts: { clock: Clock; state: ClusterState; term: Term; pace: () => Pace }) {
    this.#parts = parts;
  }

  /** How long what a host runs may go on from the moment it sent the report that is being answered; 0: no grant. */
  grant(host: HostId): Millis {
    const { clock, state, term, pace } = this.#parts;
    const known = state.hosts().has(host);
    if (!known || state.standing(host).fenced || this.#beingFenced.has(host)) return millis(0);
    const unconfirmedMs = clock.monotonic() - term.confirmedAt;
    return millis(Math.max(0, Math.floor(pace().leaseMs - unconfirmedMs)));
  }

  /** From the moment it is decided until the store has told how it ended, hosts being fenced are granted nothing. */
  hold(hosts: readonly HostId[]): void {
    for (const host of hosts) this.#beingFenced.add(host);
  }

  held(): readonly HostId[] {
    return [...this.#beingFenced];
  }

  release(hosts: readonly HostId[]): void {
    for (const host of hosts) this.#beingFenced.delete(host);
  }
}
