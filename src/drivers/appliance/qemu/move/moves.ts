import type { ApplianceId } from "#base/ids.ts";
import { bytes, millis } from "#base/units.ts";
import type { MovePlan } from "#protocol/host-plan.ts";
import type { MoveReport } from "#protocol/host-report.ts";
import { ArrivingSide } from "./arriving.ts";
import type { ArrivingStart } from "./arriving.ts";
import { Background } from "./background.ts";
import { LeavingSide } from "./leaving.ts";
import type { MachinePlace, MoveParts } from "./ports.ts";
import { MoveRecords } from "./record.ts";
import { withRemoteDisks } from "./remote-disks.ts";
import type { MachineSpec } from "../command/spec.ts";
import type { RunningVm } from "../vm.ts";

/** Here it runs as if it had never moved. */
const isOver = new Set(["leaving failed", "arriving local"]);

/**
 * Live moves of the machines of one host, both sides.
 *
 *      leaving host                                           arriving host
 *      QEMU ──unix:outgoing──► relay ══ underlay, token ══► relay ──unix:incoming──► QEMU -incoming      (state)
 *      layer file ◄── storage daemon ◄── relay ◄══ underlay, token ══ relay ◄──unix:remote-disks── QEMU  (disks)
 *
 * Guests are in networks from which the underlay network cannot be reached, and so are their QEMUs: relays join the two.
 * Each side follows its MovePlan pass by pass and keeps a record of how far it is; nothing is lost with a manager.
 */
export class VmMoves {
  readonly #records: MoveRecords;
  readonly #background: Background;
  readonly #leaving: LeavingSide;
  readonly #arriving: ArrivingSide;
  /** What is not worth keeping: how far the present phase is, and phases that QEMU can be asked for. */
  readonly #live = new Map<ApplianceId, { phase?: MoveReport["phase"]; progress?: number }>();
  /** Why nothing can be done just now. */
  readonly #waits = new Map<ApplianceId, string>();
  #changed: () => void = () => {};
  #sent: (id: ApplianceId, move: string) => void = () => {};
  #bootable: (id: ApplianceId) => void = () => {};

  constructor(parts: MoveParts) {
    this.#records = new MoveRecords(parts.directory);
    this.#background = new Background(parts.log);
    const changed = (): void => this.#changed();
    const progress = (id: ApplianceId, share: number): void => {
      this.#live.set(id, { ...this.#live.get(id), progress: share });
    };
    const phase = (id: ApplianceId, now: MoveReport["phase"]): void => {
      if (this.#live.get(id)?.phase === now) return;
      this.#live.set(id, { phase: now });
      this.#changed();
    };
    const sent = (id: ApplianceId, move: string): void => {
      this.#live.delete(id);
      this.#sent(id, move);
    };
    this.#leaving = new LeavingSide(parts, this.#records, this.#background, { changed, progress, sent });
    const bootable = (id: ApplianceId): void => this.#bootable(id);
    const news = { changed, progress, phase, bootable };
    this.#arriving = new ArrivingSide(parts, this.#records, this.#background, news);
  }

  /** Called once, first. */
  recover(): void {
    this.#records.load();
  }

  /** Before the QEMU of a machine that has a record of arriving, or is to arrive, is started; see ArrivingSide. */
  beforeStart(
    place: MachinePlace,
    plan: Extract<MovePlan, { side: "arriving" }>,
    hasDisks: boolean,
    signal: AbortSignal,
  ): Promise<ArrivingStart> {
    return this.#arriving.beforeStart(place, plan, hasDisks, signal);
  }

  /** One pass. `vm` absent: no QEMU of it answers. Without a plan, whatever is left of a move that has ended goes. */
  async step(
    vm: RunningVm | undefined,
    place: MachinePlace,
    plan: MovePlan | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const record = this.#records.get(place.id);
    this.waits(place.id, place.isSilent === true ? "its QEMU does not answer" : undefined);
    // What has left, or not arrived, is never continued here: it is destroyed, and with it the record goes.
    if (record !== undefined && record.move !== plan?.move) {
      if (!isOver.has(`${record.side} ${record.phase}`)) return;
      await this.forget(place.id, place, signal);
    }
    if (plan?.side === "leaving") await this.#leaving.step(vm, place, plan, signal);
    if (plan?.side === "arriving") await this.#arriving.step(vm, place, plan, signal);
  }

  /** The leaving side's own word: it never continues there. False: no such move comes here. */
  giveWord(id: ApplianceId, move: string): boolean {
    const record = this.#records.get(id);
    if (record?.move !== move || record.side !== "arriving") return false;
    this.#arriving.giveWord(move);
    return true;
  }

  /** It must not run here (any more), whatever else is said: it has left, or has not arrived. */
  isElsewhere(id: ApplianceId): boolean {
    const record = this.#records.get(id);
    return (record?.side === "leaving" && record.phase === "sent") || this.#arriving.isBeforeRun(id);
  }

  /**
   * What is here of it was to come by another move and never ran, or has left by one, and has not been taken away yet: it
   * comes in no other way than by being made anew.
   */
  isOvertaken(id: ApplianceId, plan: MovePlan | undefined): boolean {
    const record = this.#records.get(id);
    if (record === undefined || plan?.side !== "arriving" || record.move === plan.move) return false;
    return this.isElsewhere(id) || (record.side === "arriving" && record.phase === "failed");
  }

  /** Whether it runs here is its move's to say: it stands still for that, or does not run here at all. */
  isHandedOver(id: ApplianceId): boolean {
    const record = this.#records.get(id);
    return (record?.side === "leaving" && record.phase === "sending") || this.isElsewhere(id);
  }

  /** As it can boot now: disks that have not come yet are read from where they are. */
  bootable(id: ApplianceId, spec: MachineSpec): MachineSpec {
    const record = this.#records.get(id);
    if (record?.side !== "arriving" || record.phase !== "running-remote-disks") return spec;
    return withRemoteDisks(spec, new Set(record.disksHere));
  }

  /** What it can boot from is about to change. */
  onBootable(listener: (id: ApplianceId) => void): void {
    this.#bootable = listener;
  }

  /** What its report says until it is told otherwise; undefined: nothing is waited for. */
  waits(id: ApplianceId, why: string | undefined): void {
    if (this.#waits.get(id) === why) return;
    if (why === undefined) this.#waits.delete(id);
    else this.#waits.set(id, why);
    this.#changed();
  }

  report(id: ApplianceId): MoveReport | undefined {
    const record = this.#records.get(id);
    if (record === undefined) return undefined;
    const live = this.#live.get(id);
    const message = record.message ?? this.#waits.get(id);
    const { move, side, downtimeMs, postcopy, bootMemoryBytes, processors } = record;
    const isEarly = record.phase === "listening";
    const phase = isEarly ? (live?.phase ?? record.phase) : record.phase;
    const port = side === "leaving" ? record.disksRelay?.port : record.stateRelay?.port;
    return {
      move,
      side,
      phase,
      ...(port === undefined ? {} : { port }),
      ...(postcopy === undefined ? {} : { postcopy }),
      ...(live?.progress === undefined ? {} : { progress: live.progress }),
      ...(downtimeMs === undefined ? {} : { downtimeMs: millis(downtimeMs) }),
      ...(bootMemoryBytes === undefined ? {} : { bootMemoryBytes: bytes(bootMemoryBytes) }),
      ...(processors === undefined ? {} : { processors }),
      ...(message === undefined ? {} : { message }),
    };
  }

  /** Its machine is gone from here, or its move is over. */
  async forget(id: ApplianceId, place: MachinePlace | undefined, signal: AbortSignal): Promise<void> {
    const record = this.#records.get(id);
    this.#live.delete(id);
    this.#waits.delete(id);
    if (record === undefined) return;
    if (record.side === "leaving") await this.#leaving.clear(record, place, signal);
    else await this.#arriving.clear(record);
  }

  onChange(listener: () => void): void {
    this.#changed = listener;
  }

  /** A machine never continues here, and may continue there: the other side waits for this word. */
  onSent(listener: (id: ApplianceId, move: string) => void): void {
    this.#sent = listener;
  }

  /** Lets go without ending anything: a later one goes on. */
  async close(): Promise<void> {
    await this.#background.close();
  }
}
