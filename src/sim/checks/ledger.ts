import { digest } from "#base/digest.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { renewed } from "#cluster/adjusting.ts";
import type { Adjustment, Ensemble } from "#model/ensemble.ts";
import type { Operation } from "#protocol/http/operation.ts";
import { absent, acknowledgedLost, acknowledgedTooEarly } from "#sim/checks/acknowledged-kept.ts";
import type { Change, Desire } from "#sim/checks/acknowledged-kept.ts";
import { HostLedger } from "#sim/checks/host-ledger.ts";
import type { Breach } from "#sim/checks/breach.ts";
import type { Call } from "#sim/client.ts";

type Open<One> = One extends unknown ? Omit<One, "call"> & { call: Pick<Call, "state" | "error"> } : never;
type Noted = {
  readonly subject: string;
  call: Call;
  readonly change: Open<Change>;
  told: boolean;
  /** Its operation was in the store when it was told; later it may have been forgotten with other old ones. */
  stored: boolean;
};

/** What users asked for and were told, ensemble by ensemble, in order. */
export class Ledger {
  readonly hosts = new HostLedger();
  readonly #changes = new Map<string, Change[]>();
  readonly #calls: Noted[] = [];
  /** Ensembles whose changes begin with one that nobody asked for here. */
  readonly #brought = new Set<string>();

  /** `brought`: what the cloud has from the beginning, such as a snapshot's; its users were told of it before. */
  constructor(brought: readonly EnsembleRecord[] = []) {
    for (const record of brought) {
      const { name } = record.ensemble;
      this.#brought.add(name);
      this.#changes.set(name, [{ call: { state: "answered" }, desires: [desiredBy(record)] }]);
    }
  }

  /** What was adjusted before stays, as far as it is not declared anew. */
  up(ensemble: Ensemble, call: Call): void {
    const becomes = remembered((before) => renewed(before, ensemble));
    this.#note(ensemble.name, call, { call, becomes });
  }

  /** Something of what runs is changed: `adjusted` tells how, and throws where it cannot be. */
  adjust(name: string, call: Call, adjusted: (before: Ensemble) => Ensemble): void {
    const becomes = remembered((before) => {
      if (before === undefined) return undefined;
      try {
        return adjusted(before);
      } catch {
        return undefined;
      }
    });
    this.#note(name, call, { call, becomes });
  }

  /** As `adjust`; or nothing was declared otherwise by it, which only who did it knows. */
  adjustOrNot(name: string, call: Call, adjusted: (before: Ensemble) => Ensemble): void {
    const changes = remembered((before) => {
      try {
        return before === undefined ? undefined : adjusted(before);
      } catch {
        return before;
      }
    });
    const hasMachines = (before: Desire): boolean =>
      forms.get(before)?.appliances.some(({ kind }) => kind === "vm") === true;
    const becomes = (before: Desire): readonly Desire[] => [
      ...(hasMachines(before) ? [before] : []),
      ...[changes(before) ?? []].flat(),
    ];
    this.#note(name, call, { call, becomes });
  }

  down(name: string, call: Call): void {
    this.#note(name, call, { call, desires: [absent] });
  }

  /** Goes back to what was desired after so many of its changes asked for here. */
  cancel(name: string, call: Call, goesBackTo: number): void {
    this.#note(name, call, { call, goesBackTo: goesBackTo + (this.#brought.has(name) ? 1 : 0) });
  }

  /**
   * The newest change of an ensemble that was answered with an operation, and the place of what a cancel of it goes back
   * to: before it; a `down` that nobody waits for goes on.
   */
  newestOperation(name: string): { readonly id: string; readonly goesBackTo: number } | undefined {
    const calls = this.#calls.filter((noted) => noted.subject === name).map((noted) => noted.call);
    const at = calls.findLastIndex(({ verb, state }) => verb !== "cancel" && state === "answered");
    const answer = calls[at]?.answer as Operation | undefined;
    if (answer === undefined) return undefined;
    return { id: answer.id, goesBackTo: answer.kind === "down" ? at + 1 : at };
  }

  /** Since when an answer about the ensemble is waited for, in virtual ms. */
  waitingSince(name: string): number | undefined {
    return this.#calls.find(({ subject, call }) => subject === name && call.state === "asked")?.call
      .askedAtMs;
  }

  /** The user waits for its answers no longer: what was asked for may be made or not, before anything asked for next. */
  giveUp(name: string): void {
    for (const noted of this.#calls) {
      if (noted.subject !== name || noted.call.state !== "asked") continue;
      noted.call = { ...noted.call, state: "lost" };
      noted.change.call = noted.call;
    }
  }

  isWaiting(): boolean {
    return this.#calls.some(({ call }) => call.state === "asked");
  }

  /** Whether anybody was told anything since the last time this was asked. */
  hasNews(): boolean {
    let news = false;
    for (const noted of this.#calls) {
      if (noted.told || noted.call.state === "asked") continue;
      noted.told = true;
      news = true;
    }
    return news;
  }

  /** What was acknowledged must be in the store. */
  tooEarly(isStored: (operation: string) => boolean): Breach | undefined {
    for (const noted of this.#calls) {
      if (noted.call.state !== "answered" || noted.stored) continue;
      const { id } = noted.call.answer as Operation;
      const breach = acknowledgedTooEarly(noted.subject, id, isStored(id));
      if (breach !== undefined) return breach;
      noted.stored = true;
    }
    return undefined;
  }

  /** The store desires of every ensemble what its user was told, or was not told yet. */
  lost(records: readonly EnsembleRecord[]): Breach | undefined {
    const stored = new Map(records.map((record) => [record.ensemble.name as string, record]));
    for (const [name, changes] of this.#changes) {
      const record = stored.get(name);
      const breach = acknowledgedLost(name, changes, desiredBy(record), describe);
      if (breach !== undefined) return breach;
    }
    return undefined;
  }

  #note(subject: string, call: Call, change: Open<Change>): void {
    this.#calls.push({ subject, call, change, told: false, stored: false });
    const changes = this.#changes.get(subject) ?? [];
    changes.push(change);
    this.#changes.set(subject, changes);
  }
}

const known = new WeakMap<Ensemble, Desire>();
const forms = new Map<Desire, Ensemble>();

/** No adjustments and an empty list of them are the same. */
function desireOf(ensemble: Ensemble): Desire {
  const told = known.get(ensemble);
  if (told !== undefined) return told;
  const { adjustments = [], ...declared } = ensemble;
  const desire = digest(
    adjustments.length === 0 ? declared : { ...declared, adjustments: inOrder(adjustments) },
  );
  known.set(ensemble, desire);
  forms.set(desire, ensemble);
  return desire;
}

const inOrder = (adjustments: readonly Adjustment[]): Adjustment[] =>
  adjustments.toSorted((a, b) => a.appliance.localeCompare(b.appliance, "en"));

/** A change of what is desired, worked out once for each form it may have had. */
function remembered(
  change: (before: Ensemble | undefined) => Ensemble | undefined,
): (before: Desire) => Desire | undefined {
  const outcomes = new Map<Desire, Desire | undefined>();
  return (before) => {
    if (!outcomes.has(before)) {
      const after = change(forms.get(before));
      outcomes.set(before, after === undefined ? undefined : desireOf(after));
    }
    return outcomes.get(before);
  };
}

const desiredBy = (record: EnsembleRecord | undefined): Desire =>
  record?.state === "present" ? desireOf(record.ensemble) : absent;

const shownLength = 6;
const describe = (desire: Desire): string =>
  desire === absent ? "that it is gone" : `form ${desire.slice(0, shownLength)}`;
