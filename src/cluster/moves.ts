import { ConsortError } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import type { Bytes, Millis } from "#base/units.ts";
import { leavingAfter, unleasedAfter } from "#cluster/leaving.ts";
import type { EnsembleRecord, HostRecord } from "#cluster/records.ts";
import type { LinkPath } from "#planner/mapping.ts";
import type { MovePlan } from "#protocol/host-plan.ts";
import type { MoveReport } from "#protocol/host-report.ts";

/**
 * A live move that is under way. Where the appliance is to be is what its ensemble's placements say, from the moment
 * the move is accepted; that it has to leave the other host is in `leaving`, as with every change of place. The move
 * says how it gets there, and who owns it meanwhile:
 *
 *     state      owner   until
 *     moving     from    the leaving side has said `sent`, or the arriving side that it runs ──► sent
 *       │                the leaving side has said `failed` ──► it stays, the other side leaves; or it follows others
 *       │                by another move, as their rules want it (see moving-together.ts)
 *       │                the leaving host is lost ──► no move any more: begun anew where it was to be, under its lease
 *       ▼
 *     cancelled  from    as above; entered when a user cancels, and when the arriving side fails or is lost
 *     back       from    the arriving side failed before it ran, and the leaving side had sent all: that one goes on
 *     sent       to      the arriving side has its disks (`local`) ──► no move any more, the leaving host is left
 *                        the arriving side has failed before it ran ──► back; with the leaving host lost: begun anew
 *                        the arriving host is lost ──► placed anew, as all that ran there
 *                        the leaving host is lost ──► it waits for its disks there; or, if it may run elsewhere and that
 *                        host is fenced, or is given up, it is placed anew
 *
 * Never two: the leaving side never continues once it has said `sent`, durably; the arriving side never continues before
 * that, and notes that it may have before it does; of an arriving side that failed nothing could. Neither is asked to
 * do otherwise but by `back`, which needs both words.
 */
export type Move = {
  readonly move: string;
  /** Known to both hosts, and to nobody else. */
  readonly token: string;
  readonly from: HostId;
  readonly to: HostId;
  readonly state: "moving" | "cancelled" | "back" | "sent";
  readonly disksPort?: number;
  readonly statePort?: number;
  readonly postcopy?: true;
  readonly bootMemoryBytes?: Bytes;
  readonly processors?: number;
  readonly startedAt?: Millis;
  /** Of the links it had from where it was. */
  readonly pathsBefore: readonly LinkPath[];
};

const tokenBytes = 16;

/** Unguessable: who knows them may take a machine's memory. */
export const newMove = ({ random }: { readonly random: Random }): Pick<Move, "move" | "token"> => ({
  move: random.hex(8),
  token: random.hex(tokenBytes),
});

export type Moves = Readonly<Record<ApplianceId, Move>>;

/** The move of an appliance, as long as it leads to where it is to be. */
export function moveOf(
  record: Pick<EnsembleRecord, "moves" | "placements">,
  id: ApplianceId,
): Move | undefined {
  const move = record.moves?.[id];
  return move !== undefined && record.placements[id] === move.to ? move : undefined;
}

/** Where it runs, or would if it ran at all. */
export function ownerOf(
  record: Pick<EnsembleRecord, "moves" | "placements">,
  id: ApplianceId,
): HostId | undefined {
  const move = moveOf(record, id);
  return move === undefined || move.state === "sent" ? record.placements[id] : move.from;
}

/** All hosts whose plans speak of it, its owner first. */
export function placesOf(
  record: Pick<EnsembleRecord, "moves" | "placements">,
  id: ApplianceId,
): readonly HostId[] {
  const move = moveOf(record, id);
  const host = record.placements[id];
  if (move === undefined) return host === undefined ? [] : [host];
  return move.state === "sent" ? [move.to, move.from] : [move.from, move.to];
}

/** What a host is told of it; undefined: nothing, as it has no side in it. */
export function movePlan(
  move: Move,
  host: HostId,
  hosts: ReadonlyMap<HostId, HostRecord>,
): MovePlan | undefined {
  const { from, to, token, disksPort, statePort, postcopy, state } = move;
  const { bootMemoryBytes, processors, startedAt } = move;
  const [fromAddress, toAddress] = [hosts.get(from)?.address, hosts.get(to)?.address];
  if (fromAddress === undefined || toAddress === undefined) return undefined;
  if (host === to) {
    return {
      side: "arriving",
      move: move.move,
      token,
      from,
      fromAddress,
      ...(disksPort === undefined ? {} : { disksPort }),
      ...(bootMemoryBytes === undefined ? {} : { bootMemoryBytes }),
      ...(processors === undefined ? {} : { processors }),
      ...(startedAt === undefined ? {} : { startedAt }),
      ...(state === "sent" ? { go: true } : {}),
    };
  }
  if (host !== from) return undefined;
  return {
    side: "leaving",
    move: move.move,
    token,
    to,
    toAddress,
    ...(statePort === undefined ? {} : { statePort }),
    ...(postcopy === undefined ? {} : { postcopy }),
    ...(state === "cancelled" || state === "back" ? { cancelled: true } : {}),
    ...(state === "back" ? { back: true } : {}),
  };
}

/** What both sides have told of it lately, and which of the two hosts is lost. */
export type MoveSeen = {
  readonly leaving: MoveReport | undefined;
  readonly arriving: MoveReport | undefined;
  /** Where it leaves. */
  readonly startedAt?: Millis | undefined;
  readonly isFromLost: boolean;
  readonly isToLost: boolean;
  /** The host it left will not serve its disks again, or is not waited for: it is to run elsewhere rather than wait. */
  readonly areDisksLost?: boolean;
};

/**
 * stays: where it was. lost: with the host it was leaving; settled: all of it is there. diskless: it runs where it was to
 * go, with disks that are lost with the host it left. follows, begins anew: it has failed, and goes all the same, live or
 * not, as it is to be with others (see moving-together.ts).
 */
export type MoveStep =
  | { readonly kind: "goes on"; readonly move: Move }
  | { readonly kind: "stays" | "begins anew"; readonly why: string }
  | { readonly kind: "follows"; readonly why: string; readonly move: Move }
  | { readonly kind: "lost" }
  | { readonly kind: "diskless" }
  | { readonly kind: "settled" };

const runs = new Set<MoveReport["phase"] | undefined>(["running-remote-disks", "local"]);

/** What follows for it from what is seen. The same move when nothing does. */
export function nextStep(move: Move, seen: MoveSeen): MoveStep {
  const { leaving, arriving } = seen;
  const becomes = (change: Partial<Move>): MoveStep => ({ kind: "goes on", move: { ...move, ...change } });
  if (move.state === "sent") {
    if (arriving?.phase === "local") return { kind: "settled" };
    // It was told to go on there when it had just lost what it was to go on with.
    if (arriving?.phase === "failed") {
      if (leaving?.phase === "sent") return becomes({ state: "back" });
      return seen.isFromLost ? { kind: "lost" } : { kind: "goes on", move };
    }
    if (seen.areDisksLost === true && arriving?.phase === "running-remote-disks") return { kind: "diskless" };
    return { kind: "goes on", move };
  }
  if (runs.has(arriving?.phase)) return becomes({ state: "sent" });
  if (leaving?.phase === "failed") return { kind: "stays", why: leaving.message ?? "it failed" };
  if (leaving?.phase === "sent") {
    if (move.state === "back") return { kind: "goes on", move };
    return becomes({ state: arriving?.phase === "failed" ? "back" : "sent" });
  }
  if (seen.isFromLost) return { kind: "lost" };
  const isHopeless = arriving?.phase === "failed" || seen.isToLost;
  if (isHopeless && move.state === "moving") return becomes({ state: "cancelled" });
  const disksPort = move.disksPort ?? leaving?.port;
  const statePort = move.statePort ?? arriving?.port;
  const postcopy = move.postcopy ?? arriving?.postcopy;
  const bootMemoryBytes = move.bootMemoryBytes ?? leaving?.bootMemoryBytes;
  const processors = move.processors ?? leaving?.processors;
  const startedAt = move.startedAt ?? seen.startedAt;
  if (disksPort === move.disksPort && statePort === move.statePort) return { kind: "goes on", move };
  return becomes({
    ...(disksPort === undefined ? {} : { disksPort }),
    ...(statePort === undefined ? {} : { statePort }),
    ...(postcopy === undefined ? {} : { postcopy }),
    ...(bootMemoryBytes === undefined ? {} : { bootMemoryBytes }),
    ...(processors === undefined ? {} : { processors }),
    ...(startedAt === undefined ? {} : { startedAt }),
  });
}

/** The paths of a record, given those of the links of one of it from where that stays. */
export type Reroute = (record: EnsembleRecord, before: readonly LinkPath[]) => readonly LinkPath[];

/** The record with what follows for one of its moves. */
export function afterStep(
  record: EnsembleRecord,
  id: ApplianceId,
  step: MoveStep,
  reroute: Reroute,
): EnsembleRecord {
  const move = record.moves?.[id];
  if (move === undefined) return record;
  if (step.kind === "goes on" || step.kind === "follows") {
    return step.move === move ? record : { ...record, moves: { ...record.moves, [id]: step.move } };
  }
  const without = withoutMove(record, id);
  if (step.kind === "diskless") return withoutPlace(without, id);
  if (step.kind !== "stays" || record.placements[id] !== move.to) return without;
  const placements = { ...record.placements, [id]: move.from };
  const leaving = leavingAfter(record, placements);
  const stayed = { ...without, placements, leaving };
  // Others may be elsewhere by now than when these were its paths.
  const after = { ...stayed, paths: reroute(stayed, move.pathsBefore) };
  return { ...after, unleased: unleasedAfter(record, after) };
}

/** It is to leave where it is, and is placed anew as what has lost its host. */
export function withoutPlace(record: EnsembleRecord, id: ApplianceId): EnsembleRecord {
  const others = Object.entries<HostId>(record.placements).filter(([one]) => one !== id);
  const placements = Object.fromEntries(others) as EnsembleRecord["placements"];
  const paths = record.paths.filter(({ link }) => link.from !== id && link.to !== id);
  const after = { ...record, placements, paths, leaving: leavingAfter(record, placements) };
  return { ...after, unleased: unleasedAfter(record, after) };
}

/**
 * Throws `conflict` while one of them moves: it has two hosts then, and may have to go back, so neither its size nor
 * whether it is held can change.
 */
export function checkNotMoving(
  { moves = {} }: Pick<EnsembleRecord, "moves">,
  ids: readonly ApplianceId[],
  what: string,
): void {
  const moving = ids.find((id) => moves[id] !== undefined);
  if (moving === undefined) return;
  throw new ConsortError("conflict", `Cannot ${what}: ${moving} is being moved, wait until it is settled`);
}

export function withoutMove(record: EnsembleRecord, id: ApplianceId): EnsembleRecord {
  const { moves = {}, ...others } = record;
  const left = Object.entries<Move>(moves).filter(([one]) => one !== id);
  return left.length === 0 ? others : { ...others, moves: Object.fromEntries(left) as Moves };
}

/** Before: where it is; after: where it is to be, as it was placed. Those of `ids` that change their host move there. */
export function withMoves(
  before: EnsembleRecord,
  after: EnsembleRecord,
  ids: readonly ApplianceId[],
  secrets: (id: ApplianceId) => Pick<Move, "move" | "token">,
): EnsembleRecord {
  const begun = ids.flatMap((id): [ApplianceId, Move][] => {
    const [from, to] = [before.placements[id], after.placements[id]];
    if (from === undefined || to === undefined || from === to) return [];
    const pathsBefore = before.paths.filter(({ link }) => link.from === id || link.to === id);
    return [[id, { ...secrets(id), from, to, state: "moving", pathsBefore }]];
  });
  if (begun.length === 0) return after;
  return { ...after, moves: { ...after.moves, ...Object.fromEntries(begun) } };
}

/** Those that can still be called off are. */
export function withCancelledMoves(record: EnsembleRecord, ids: readonly ApplianceId[]): EnsembleRecord {
  const moves = Object.entries<Move>(record.moves ?? {}).map(([id, move]): [string, Move] => [
    id,
    ids.includes(id as ApplianceId) && move.state === "moving" ? { ...move, state: "cancelled" } : move,
  ]);
  return moves.length === 0 ? record : { ...record, moves: Object.fromEntries(moves) as Moves };
}
