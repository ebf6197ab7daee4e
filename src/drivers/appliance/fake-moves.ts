import type { ApplianceId } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import { FakeApplianceDriver } from "#drivers/appliance/fake.ts";
import type { FakeMachine } from "#drivers/appliance/fake.ts";
import type { ApplianceCapability, ApplianceObservation } from "#drivers/appliance/port.ts";
import type { AppliancePlan, MovePlan } from "#protocol/host-plan.ts";
import type { MoveReport } from "#protocol/host-report.ts";

type Side = { readonly move: string; readonly side: MoveReport["side"]; phase: MoveReport["phase"] };

/** What joins the machines of a fake cloud, and what outlives their drivers. */
export type FakeMoves = {
  /** Moves whose state has crossed. */
  readonly sent: Set<string>;
  /** Sending waits. */
  held: boolean;
  /** What is sent arrives nowhere. */
  cut: boolean;
  readonly sides: Map<FakeMachine, Map<ApplianceId, Side>>;
};

export const fakeMoves = (): FakeMoves => ({ sent: new Set(), held: false, cut: false, sides: new Map() });

const fakePorts = { disks: 1, state: 2 } as const;
const beforeRun = new Set<MoveReport["phase"]>(["listening", "receiving", "received"]);

/** Moves machines in steps, one for each pass, by the same rules as the real one: two durable words. */
export class MovingFakeDriver extends FakeApplianceDriver {
  override readonly capabilities: ReadonlySet<ApplianceCapability> = new Set([
    "exec",
    "resize",
    "suspend",
    "migrate",
  ] as const);
  readonly #moves: FakeMoves;
  readonly #sides: Map<ApplianceId, Side>;
  readonly #words = new Set<string>();
  readonly #clock: Clock;
  #changed: () => void = () => {};
  #sent: (id: ApplianceId, move: string) => void = () => {};

  constructor(clock: Clock, machine: FakeMachine, moves: FakeMoves) {
    super(clock, machine);
    this.#clock = clock;
    this.#moves = moves;
    this.#sides = moves.sides.get(machine) ?? new Map<ApplianceId, Side>();
    moves.sides.set(machine, this.#sides);
  }

  override observe(): readonly ApplianceObservation[] {
    return super.observe().map((one) => {
      const side = this.#sides.get(one.id);
      if (side === undefined) return one;
      const port = side.side === "leaving" ? fakePorts.disks : fakePorts.state;
      const vm = {
        machine: "microvm",
        accel: "tcg",
        start: "cold",
        vcpus: 1,
        memoryBytes: one.memoryBytes,
        agent: "none",
        stages: [],
        move: { ...side, port, downtimeMs: millis(0) },
      } as const;
      if (beforeRun.has(side.phase)) return { ...one, state: "starting", vm };
      return { ...one, vm };
    });
  }

  override async start(id: ApplianceId, signal: AbortSignal): Promise<void> {
    const side = this.#sides.get(id);
    if (side?.phase === "sent" || (side !== undefined && beforeRun.has(side.phase))) return;
    await super.start(id, signal);
  }

  override async create(
    plan: AppliancePlan,
    names: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<void> {
    await super.create(plan, names, signal);
    const move = plan.vm?.move;
    if (move?.side !== "arriving" || this.#sides.has(plan.id)) return;
    this.#sides.set(plan.id, { move: move.move, side: "arriving", phase: "listening" });
  }

  override async destroy(id: ApplianceId, signal: AbortSignal): Promise<void> {
    await super.destroy(id, signal);
    this.#sides.delete(id);
  }

  async move(plan: AppliancePlan, signal: AbortSignal): Promise<void> {
    const move = plan.vm?.move;
    const known = this.#sides.get(plan.id);
    if (move === undefined) {
      if (known?.phase === "local" || (known?.side === "leaving" && known.phase === "failed"))
        this.#sides.delete(plan.id);
      return;
    }
    const side: Side =
      known?.move === move.move ? known : { move: move.move, side: move.side, phase: "serving" };
    const before = known === side ? side.phase : undefined;
    this.#sides.set(plan.id, side);
    if (move.side === "leaving") await this.#leave(plan.id, side, move, signal);
    else if (side.phase !== "serving") await this.#arrive(plan.id, side, move, signal);
    if (side.phase !== before) this.#again();
  }

  async #leave(
    id: ApplianceId,
    side: Side,
    { statePort, cancelled, back }: Extract<MovePlan, { side: "leaving" }>,
    signal: AbortSignal,
  ): Promise<void> {
    if (side.phase === "sent" && back === true) {
      side.phase = "failed";
      await super.start(id, signal);
      return;
    }
    if (side.phase === "sent" || side.phase === "failed") return;
    if (cancelled === true) side.phase = "failed";
    else if (statePort !== undefined && side.phase === "serving") side.phase = "sending";
    else if (side.phase === "sending" && this.#moves.cut) side.phase = "failed";
    else if (side.phase === "sending" && !this.#moves.held) {
      await super.stop(id, millis(0), signal);
      side.phase = "sent";
      this.#moves.sent.add(side.move);
      this.#sent(id, side.move);
    }
  }

  async #arrive(
    id: ApplianceId,
    side: Side,
    { go }: Extract<MovePlan, { side: "arriving" }>,
    signal: AbortSignal,
  ): Promise<void> {
    if (side.phase === "running-remote-disks") side.phase = "local";
    if (side.phase === "listening" && this.#moves.sent.has(side.move)) side.phase = "received";
    if (side.phase !== "received" || (go !== true && !this.#words.has(side.move))) return;
    side.phase = "running-remote-disks";
    await super.start(id, signal);
  }

  onSent(listener: (id: ApplianceId, move: string) => void): void {
    this.#sent = listener;
  }

  giveWord(id: ApplianceId, move: string): boolean {
    if (this.#sides.get(id)?.move !== move) return false;
    this.#words.add(move);
    this.#again();
    return true;
  }

  override onChange(listener: () => void): void {
    super.onChange(listener);
    this.#changed = listener;
  }

  /** The next pass comes by itself, a little later. */
  #again(): void {
    this.#clock.timer(millis(1), () => this.#changed());
  }
}
