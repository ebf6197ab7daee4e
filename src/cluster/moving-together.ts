import type { ApplianceId, HostId } from "#base/ids.ts";
import { afterStep, moveOf, withoutMove, withoutPlace } from "#cluster/moves.ts";
import type { Move, MoveStep, Reroute } from "#cluster/moves.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { unroutedLinks } from "#cluster/rerouting.ts";
import type { ApplianceLink } from "#model/appliances.ts";
import type { PlacementRule } from "#model/ensemble.ts";
import { coveredBy } from "#planner/demand.ts";

/**
 * Live moves and placement rules. A move ends by itself, there or here, and nobody can take it back; several of one
 * ensemble, decided together, would end anyhow, and a group that was to be together be torn apart. So what follows for
 * each (see moves.ts) is agreed among those that share a rule:
 *
 *   before any is sent    none of a group is, until all of them can be; and nobody is sent to where one is that it has
 *                         to be apart from, before that one has left
 *   one has failed        those that could not be where they go while it is where it was are called off, and until the
 *                         last of them is decided it runs on, with its room on both hosts
 *   all have failed       they stay, in one commit
 *   some have arrived     the others follow: they are moved again, a little later; or, where their host is being emptied,
 *                         are begun anew there, as whatever does not move live from such a host
 *
 * So what is desired keeps every rule at every moment, and what runs does but while some of a group are on their way. One
 * whose host is lost, and that may run elsewhere, keeps nobody: it is placed anew, with those that stayed.
 */
export type MovingFacts = {
  readonly siteOf: (host: HostId) => string | undefined;
  readonly isLost: (host: HostId) => boolean;
  readonly isDraining: (host: HostId) => boolean;
  readonly hasEnded: (id: ApplianceId, host: HostId) => boolean;
  /** Its host is lost, and it may run elsewhere. */
  readonly mayBePlacedAnew: (id: ApplianceId, host: HostId) => boolean;
  /** It has failed to move a moment ago. */
  readonly hasToWait: (id: ApplianceId) => boolean;
  readonly secrets: (id: ApplianceId) => Pick<Move, "move" | "token">;
};

type Steps = ReadonlyMap<ApplianceId, MoveStep>;

type Agreed = {
  readonly steps: Steps;
  /** They have lost their host, and are placed anew with those that stay where they were. */
  readonly displaced: readonly ApplianceId[];
};

type Failed = Extract<MoveStep, { readonly kind: "stays" | "begins anew" }>;
type Rule = Pick<PlacementRule, "rule" | "scope"> & { readonly covered: ReadonlySet<ApplianceId> };

/**
 * The record after what is agreed on. `alone`: what would follow for each of its moves that is under way, if there were
 * no other. A link that would have no way were one of its ends to stay holds its ends together as a rule does.
 */
export function afterMoves(
  record: EnsembleRecord,
  alone: Steps,
  facts: MovingFacts,
  reroute: Reroute,
): { readonly after: EnsembleRecord; readonly steps: Steps } {
  const known = new Set(unroutedLinks(record).map(linkKey));
  const torn: ApplianceLink[] = [];
  for (;;) {
    const { steps, displaced } = agreed(record, alone, facts, torn);
    let after = record;
    for (const [id, step] of steps) after = afterStep(after, id, step, reroute);
    for (const id of displaced) after = withoutPlace(withoutMove(after, id), id);
    const stays = (id: ApplianceId): boolean => steps.get(id)?.kind === "stays";
    const news = unroutedLinks(after).filter(
      (link) => !known.has(linkKey(link)) && (stays(link.from) || stays(link.to)),
    );
    if (news.length === 0) return { after, steps };
    for (const link of news) known.add(linkKey(link));
    torn.push(...news);
  }
}

const linkKey = ({ from, to, network }: ApplianceLink): string => `${from} ${to} ${network}`;

/** `torn`: links whose ends cannot be on different hosts. */
function agreed(
  record: EnsembleRecord,
  steps: Steps,
  facts: MovingFacts,
  torn: readonly ApplianceLink[] = [],
): Agreed {
  const { ensemble } = record;
  const rules: readonly Rule[] = [
    ...ensemble.placement.map((rule) => ({ ...rule, covered: coveredBy(rule, ensemble) })),
    ...torn.map(({ from, to }) => ({
      rule: "together" as const,
      scope: "host" as const,
      covered: new Set([from, to]),
    })),
  ];
  const waiting = new Map([...steps].map(([id, step]) => [id, waitsABit(record, id, step, facts)]));
  if (rules.length === 0) return { steps: waiting, displaced: [] };
  const group = new Group(record, waiting, rules, facts);
  return group.agree();
}

/** What has failed and follows others does not begin to be sent at once. */
function waitsABit(record: EnsembleRecord, id: ApplianceId, step: MoveStep, facts: MovingFacts): MoveStep {
  const before = moveOf(record, id);
  if (step.kind !== "goes on" || step.move.state !== "moving" || before === undefined) return step;
  if (before.disksPort !== undefined || !facts.hasToWait(id)) return step;
  return { kind: "goes on", move: before };
}

class Group {
  readonly #record: EnsembleRecord;
  readonly #steps: Steps;
  readonly #rules: readonly Rule[];
  readonly #facts: MovingFacts;
  readonly #follows = new Set<ApplianceId>();
  readonly #waits = new Set<ApplianceId>();

  constructor(record: EnsembleRecord, steps: Steps, rules: readonly Rule[], facts: MovingFacts) {
    this.#record = record;
    this.#steps = steps;
    this.#rules = rules;
    this.#facts = facts;
  }

  agree(): Agreed {
    this.#decideFollowers();
    this.#decideWaiting();
    const displaced = new Set<ApplianceId>();
    const steps = new Map(
      [...this.#steps].map(([id, step]): [ApplianceId, MoveStep] => {
        if (step.kind === "stays") return [id, this.#ofFailed(id, step, displaced)];
        return [id, this.#ofOngoing(id, step)];
      }),
    );
    return {
      steps: withHeldBack(steps, this.#record, (id, other) => this.#waitsFor(id, other)),
      displaced: [...displaced],
    };
  }

  #ofFailed(id: ApplianceId, step: Failed, displaced: Set<ApplianceId>): MoveStep {
    const move = this.#moveOf(id);
    const { isLost, isDraining, secrets } = this.#facts;
    if (this.#waits.has(id)) return { kind: "goes on", move };
    if (!this.#follows.has(id)) {
      for (const { other } of this.#conflicts(id, (one) => this.#record.placements[one])) {
        if (this.#isFree(other)) displaced.add(other);
      }
      return step;
    }
    if (isLost(move.to)) return { kind: "goes on", move };
    if (isDraining(move.from)) return { kind: "begins anew", why: step.why };
    const { from, to, pathsBefore } = move;
    return {
      kind: "follows",
      why: step.why,
      move: { ...secrets(id), from, to, state: "moving", pathsBefore },
    };
  }

  /** Called off, if it goes where it could not be with one that has failed. */
  #ofOngoing(id: ApplianceId, step: MoveStep): MoveStep {
    if (step.kind !== "goes on" || step.move.state !== "moving") return step;
    const failed = (one: ApplianceId): HostId | undefined =>
      this.#isFailed(one) && !this.#follows.has(one) ? this.#moveOf(one).from : undefined;
    const isTornApart = this.#conflicts(id, failed, step.move.to).length > 0;
    return isTornApart ? { kind: "goes on", move: { ...step.move, state: "cancelled" } } : step;
  }

  /** Those that cannot stay where they are as others are elsewhere for good. */
  #decideFollowers(): void {
    for (let before = -1; before !== this.#follows.size;) {
      before = this.#follows.size;
      for (const id of this.#steps.keys()) {
        if (!this.#isFailed(id) || this.#follows.has(id)) continue;
        if (this.#facts.hasEnded(id, this.#moveOf(id).from)) continue;
        if (this.#conflicts(id, (other) => this.#placeForGood(other)).length > 0) this.#follows.add(id);
      }
    }
  }

  /** Those of which it is not known yet whether they stay: of another that is on its way, or waits itself. */
  #decideWaiting(): void {
    const mayComeTo = (other: ApplianceId): HostId | undefined =>
      this.#isUndecided(other) || this.#waits.has(other) ? this.#moveOf(other).to : undefined;
    for (let before = -1; before !== this.#waits.size;) {
      before = this.#waits.size;
      for (const id of this.#steps.keys()) {
        if (!this.#isFailed(id) || this.#follows.has(id) || this.#waits.has(id)) continue;
        if (this.#conflicts(id, mayComeTo).length > 0) this.#waits.add(id);
      }
    }
  }

  /** With whom it could not be on `host`, or where it was, given where those are; undefined: anywhere. */
  #conflicts(
    id: ApplianceId,
    placeOf: (other: ApplianceId) => HostId | undefined,
    host = this.#moveOf(id).from,
  ): readonly { readonly rule: Rule; readonly other: ApplianceId }[] {
    return this.#rules.flatMap((rule) =>
      rule.covered.has(id)
        ? [...rule.covered].flatMap((other) => {
            const place = other === id ? undefined : placeOf(other);
            return place === undefined || this.#agree(rule, host, place) ? [] : [{ rule, other }];
          })
        : [],
    );
  }

  #agree({ rule, scope }: Rule, one: HostId, other: HostId): boolean {
    const { siteOf } = this.#facts;
    const isSame = scope === "host" ? one === other : siteOf(one) === siteOf(other);
    return rule === "together" ? isSame : !isSame;
  }

  /** Undefined: it has none, or it is not known yet. */
  #placeForGood(id: ApplianceId): HostId | undefined {
    if (this.#isUndecided(id) || this.#isFree(id)) return undefined;
    if (this.#isFailed(id) && !this.#follows.has(id)) return undefined;
    return this.#steps.get(id)?.kind === "diskless" ? undefined : this.#record.placements[id];
  }

  /** Its host is lost, and it can be placed wherever the others are. */
  #isFree(id: ApplianceId): boolean {
    const host = this.#record.placements[id];
    if (host === undefined || this.#isUndecided(id) || this.#isFailed(id)) return false;
    return this.#facts.mayBePlacedAnew(id, host);
  }

  #isFailed(id: ApplianceId): boolean {
    return this.#steps.get(id)?.kind === "stays";
  }

  #isUndecided(id: ApplianceId): boolean {
    const step = this.#steps.get(id);
    return step?.kind === "goes on" && step.move.state !== "sent";
  }

  #moveOf(id: ApplianceId): Move {
    const move = moveOf(this.#record, id);
    if (move === undefined) throw new Error(`${id} moves nowhere`);
    return move;
  }

  /** It is not to be sent before the other is ready to be sent as well ("ready"), or has gone ("gone"). */
  #waitsFor(id: ApplianceId, other: ApplianceId): "ready" | "gone" | undefined {
    const [mine, its] = [this.#moveOf(id), this.#moveOf(other)];
    const shared = this.#rules.filter(({ covered }) => covered.has(id) && covered.has(other));
    if (shared.some((rule) => rule.rule === "apart" && !this.#agree(rule, mine.to, its.from))) return "gone";
    return shared.some(({ rule }) => rule === "together") ? "ready" : undefined;
  }
}

/** The steps without the last thing that some hosts need to send what has to wait for others. */
function withHeldBack(
  steps: Steps,
  record: EnsembleRecord,
  waitsFor: (id: ApplianceId, other: ApplianceId) => "ready" | "gone" | undefined,
): Steps {
  const isReady = (move: Move): boolean => move.state === "moving" && move.statePort !== undefined;
  const onTheirWay = [...steps].flatMap(([id, step]) =>
    step.kind === "goes on" && step.move.state !== "sent" ? [{ id, move: step.move }] : [],
  );
  const held = onTheirWay.filter(
    ({ id, move }) =>
      isReady(move) &&
      moveOf(record, id)?.statePort === undefined &&
      onTheirWay.some((other) => {
        const until = other.id === id ? undefined : waitsFor(id, other.id);
        return until === "gone" || (until === "ready" && !isReady(other.move));
      }),
  );
  // All of them wait for each other: they change places.
  if (held.length === onTheirWay.length) return steps;
  const after = new Map(steps);
  for (const { id, move } of held) {
    const before = moveOf(record, id);
    const { statePort: _notYet, ...others } = move;
    const isSame =
      before !== undefined && others.state === before.state && others.disksPort === before.disksPort;
    after.set(id, { kind: "goes on", move: isSame ? before : others });
  }
  return after;
}
