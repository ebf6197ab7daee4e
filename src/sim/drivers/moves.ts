import { ConsortError } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { awaitedMove } from "#drivers/appliance/awaited-move.ts";
import type { AppliancePlan, MovePlan } from "#protocol/host-plan.ts";
import type { MoveReport, VmReport } from "#protocol/host-report.ts";
import { hostAddress } from "#protocol/topics.ts";
import type { SimulatedMachine } from "#sim/drivers/machine.ts";
import { executes, isOver } from "#sim/drivers/machine-appliance.ts";
import type { SimulatedAppliance } from "#sim/drivers/machine-appliance.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { VirtualTime } from "#sim/kernel/virtual-time.ts";
import type { Wire } from "#sim/kernel/wire.ts";
import type { SimulationSettings } from "#sim/settings.ts";

/** One side of a live move on one machine: what is on its disk, and what goes on there whoever watches. */
export type MoveSide = {
  readonly move: string;
  readonly side: MoveReport["side"];
  phase: MoveReport["phase"];
  message?: string;
  /** Leaving: what became of what was sent. It stands still once all of it is sent. */
  transfer?: "under way" | "complete" | "broken";
  /** What a loss of power ends: a transfer, and a machine that waits for one. */
  isUp: boolean;
};

/** What joins the machines of a cloud when one moves from one to another. */
export type MoveRoads = {
  readonly time: VirtualTime;
  readonly wire: Wire;
  readonly settings: SimulationSettings;
  readonly machineOf: (host: HostId) => SimulatedMachine | undefined;
};

type LeavingPlan = Extract<MovePlan, { side: "leaving" }>;
type ArrivingPlan = Extract<MovePlan, { side: "arriving" }>;

const ports = { leaving: 1, arriving: 2 } as const;
const beforeRun = new Set<MoveReport["phase"]>(["listening", "receiving", "received"]);
/** What is sent breaks at its last byte: all of it has arrived, and the leaving side does not know. */
const breaksAtEnd = 0.1;
/** What stands still by another's word is not sent; looked at again after this long. */
const heldMs = 250;

/** It must not run here, whatever else is said: it has left, is about to have, or has not come yet. */
export const isElsewhere = (side: MoveSide | undefined): boolean =>
  side !== undefined &&
  (side.phase === "sent" || hasStopped(side) || (side.side === "arriving" && beforeRun.has(side.phase)));

/** QEMU has sent all of it, and never continues by itself. */
const hasStopped = (side: MoveSide): boolean =>
  side.phase === "sending" && side.transfer === "complete" && side.isUp;

export function vmReport({ plan }: SimulatedAppliance, known: MoveSide | undefined): VmReport | undefined {
  const report = known === undefined ? awaitedMove(plan.vm) : reportOf(known);
  if (report === undefined) return undefined;
  return {
    machine: "microvm",
    accel: "tcg",
    start: "cold",
    vcpus: plan.vm?.vcpus ?? 1,
    memoryBytes: plan.memoryBytes ?? (0 as never),
    agent: "none",
    stages: [],
    move: report,
  };
}

function reportOf({ move, side, phase, message }: MoveSide): MoveReport {
  const told = message === undefined ? {} : { message };
  return { move, side, phase, port: ports[side], downtimeMs: millis(0), ...told };
}

/** What one life of a host manager does about the live moves of its machine's appliances; by the rules of the real one. */
export class SimulatedMoves {
  readonly #machine: SimulatedMachine;
  readonly #life: Incarnation;
  readonly #roads: MoveRoads;
  readonly #isBusy: (id: ApplianceId) => boolean;
  /** Moves whose other side never continues, as far as this process was told. */
  readonly #words = new Set<string>();
  readonly #comingHome = new Set<string>();
  #sent: (id: ApplianceId, move: string) => void = () => {};

  /** `isBusy`: something else is done with it that sending it would disturb. */
  constructor(
    machine: SimulatedMachine,
    life: Incarnation,
    roads: MoveRoads,
    isBusy: (id: ApplianceId) => boolean,
  ) {
    this.#machine = machine;
    this.#life = life;
    this.#roads = roads;
    this.#isBusy = isBusy;
  }

  onSent(listener: (id: ApplianceId, move: string) => void): void {
    this.#sent = listener;
  }

  giveWord(id: ApplianceId, move: string): boolean {
    const side = this.#machine.sides.get(id);
    if (side?.move !== move || side.side !== "arriving") return false;
    this.#words.add(move);
    this.#machine.sidesChanged();
    return true;
  }

  /** Before it is begun; false: it is not to run, only to listen or to stay as it is. */
  mayBegin(one: SimulatedAppliance): boolean {
    const { id } = one.plan;
    const side = this.#machine.sides.get(id);
    const move = one.plan.vm?.move;
    if (side === undefined && move?.side === "arriving") {
      if (move.disksPort === undefined) {
        throw new ConsortError("unavailable", `Cannot start ${id}: ${move.from} is not ready to send it yet`);
      }
      this.#machine.sides.set(id, {
        move: move.move,
        side: "arriving",
        phase: "listening",
        isUp: true,
      });
      this.#machine.sidesChanged();
      return false;
    }
    if (side?.side === "arriving" && side.phase === "failed") {
      throw new ConsortError("conflict", `Cannot start ${id}: its move has failed, and has to begin anew`);
    }
    return !isElsewhere(side);
  }

  /** What is here of it is left of another move, and is no use to this one. */
  isOvertaken({ id, vm }: AppliancePlan): boolean {
    const side = this.#machine.sides.get(id);
    if (side === undefined || vm?.move?.side !== "arriving" || side.move === vm.move.move) return false;
    return (
      side.phase === "sent" ||
      (side.side === "arriving" && (side.phase === "failed" || beforeRun.has(side.phase)))
    );
  }

  /** One pass. */
  async step(plan: AppliancePlan): Promise<void> {
    const { id } = plan;
    const move = plan.vm?.move;
    const side = this.#machine.sides.get(id);
    const one = this.#machine.present.get(id);
    if (one === undefined) return;
    this.#notePlan(one, move);
    if (move === undefined && side === undefined) return;
    if (side !== undefined && side.move !== move?.move) {
      const isDone = side.phase === "local" || (side.side === "leaving" && side.phase === "failed");
      if (!isDone) return;
      await this.#does(id, "forget", () => void this.#machine.sides.delete(id));
    }
    if (move?.side === "leaving") await this.#leave(one, move);
    else if (move !== undefined) await this.#arrive(one, move);
  }

  #notePlan(one: SimulatedAppliance, move: MovePlan | undefined): void {
    const { vm } = one.plan;
    if (vm === undefined || vm.move === move) return;
    const { move: _past, ...others } = vm;
    one.plan = { ...one.plan, vm: move === undefined ? others : { ...vm, move } };
  }

  async #leave(one: SimulatedAppliance, plan: LeavingPlan): Promise<void> {
    const { id } = one.plan;
    const { sides } = this.#machine;
    const side = sides.get(id);
    if (side === undefined) {
      const begun: MoveSide = { move: plan.move, side: "leaving", phase: "serving", isUp: true };
      return this.#does(id, "serve", () => void sides.set(id, begun));
    }
    if (side.phase === "failed") return;
    if (side.phase === "sent") {
      if (plan.back !== true) return;
      return this.#does(id, "go back", () => {
        side.phase = "failed";
        side.message = "it did not arrive";
        this.#machine.begin(one, one.begunAtMs);
      });
    }
    if (hasStopped(side)) {
      return this.#does(id, "sent", () => {
        // Durable before anybody is told.
        if (!hasStopped(side)) return;
        side.phase = "sent";
        this.#sent(id, side.move);
      });
    }
    const why = this.#whyNot(one, side, plan);
    if (why !== undefined) {
      return this.#does(id, "fail", () => {
        if (hasStopped(side)) return;
        side.phase = "failed";
        side.message = why;
        delete side.transfer;
      });
    }
    if (side.phase === "serving" && plan.statePort !== undefined && !this.#isBusy(id)) {
      await this.#does(id, "send", () => {
        side.phase = "sending";
        side.transfer = "under way";
        this.#send(one, side, plan);
      });
    }
  }

  #whyNot(one: SimulatedAppliance, side: MoveSide, plan: LeavingPlan): string | undefined {
    if (plan.cancelled === true) return "it was cancelled";
    if (side.transfer === "broken") return "the connection broke";
    if (!side.isUp || isOver(one)) return "its QEMU has ended";
    return undefined;
  }

  /** Goes on whatever becomes of the managers. */
  #send(one: SimulatedAppliance, side: MoveSide, plan: LeavingPlan): void {
    const { time, settings } = this.#roads;
    const { id } = one.plan;
    const machine = this.#machine;
    const look = (afterMs: number): void =>
      void time.schedule(time.nowMs + afterMs, undefined, `${id} has sent its state`, () => {
        if (machine.sides.get(id) !== side || side.transfer !== "under way") return;
        if (side.isUp && !isOver(one) && !executes(one)) return look(heldMs);
        this.#arrives(one, side, plan);
      });
    look(machine.draw(settings.moveMs));
  }

  #arrives(one: SimulatedAppliance, side: MoveSide, { to, move }: LeavingPlan): void {
    const machine = this.#machine;
    const other = this.#roads.machineOf(to);
    const there = other?.sides.get(one.plan.id);
    const isHeard = this.#isOpen(to) && there?.move === move && there.isUp && there.phase === "listening";
    side.transfer = "broken";
    const copy = other?.present.get(one.plan.id);
    if (isHeard && side.isUp && !isOver(one) && copy !== undefined) {
      there.phase = "received";
      copy.begunAtMs = one.begunAtMs;
      copy.beganFrom = one.beganFrom;
      copy.cameByMove = true;
      if (machine.draw([0, 1]) >= breaksAtEnd) {
        side.transfer = "complete";
        machine.depart(one);
      }
      other?.sidesChanged();
    }
    machine.sidesChanged();
  }

  /** The underlay network between the two machines, whose managers have the same way. */
  #isOpen(host: HostId): boolean {
    const { wire, machineOf } = this.#roads;
    const [here, there] = [hostAddress(this.#machine.host), hostAddress(host)];
    return machineOf(host)?.powered === true && !wire.isBroken(here, there);
  }

  async #arrive(one: SimulatedAppliance, plan: ArrivingPlan): Promise<void> {
    const { id } = one.plan;
    const side = this.#machine.sides.get(id);
    if (plan.go === true) this.#words.add(plan.move);
    if (side === undefined || side.phase === "failed" || side.phase === "local") return;
    if (beforeRun.has(side.phase) && !side.isUp) {
      return this.#does(id, "fail", () => {
        side.phase = "failed";
        side.message = "its QEMU has ended";
      });
    }
    if (side.phase === "received" && this.#words.has(plan.move)) {
      // What is durable before it runs is that it may.
      await this.#does(id, "may run", () => {
        if (side.isUp && side.phase === "received") side.phase = "running-remote-disks";
      });
      await this.#does(id, "goes on", () => {
        if (side.phase === "running-remote-disks" && one.phase === "created")
          this.#machine.begin(one, one.begunAtMs);
      });
    }
    if (side.phase === "running-remote-disks") this.#bringHome(id, side, plan);
  }

  #bringHome(id: ApplianceId, side: MoveSide, plan: ArrivingPlan): void {
    if (this.#comingHome.has(plan.move)) return;
    this.#comingHome.add(plan.move);
    const look = (): void => {
      this.#life.later(this.#life.draw(this.#roads.settings.moveMs), `${id}'s disks come home`, () => {
        if (this.#machine.sides.get(id) !== side) return;
        const there = this.#roads.machineOf(plan.from)?.sides.get(id);
        const areServed = there?.move === plan.move && there.phase === "sent" && this.#isOpen(plan.from);
        if (!areServed) return look();
        void this.#does(id, "local", () => void (side.phase = "local"));
      });
    };
    look();
  }

  async #does(id: ApplianceId, what: string, effect: () => void): Promise<void> {
    await this.#life.call(`moves, ${id}: ${what}`, this.#roads.settings.diskMs, () => {
      effect();
      this.#machine.sidesChanged();
    });
  }
}
