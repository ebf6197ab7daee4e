import type { ApplianceId } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { GuestMeter } from "#drivers/usage/port.ts";
import type { GuestUsage } from "#protocol/host-report.ts";
import type { Qmp, RunningVm } from "../vm.ts";
import { guestUsage } from "./guest-usage.ts";

type Metered = Pick<RunningVm, "id" | "qmp" | "plan">;

type GuestMeterParts = {
  /** Of guests that run now, and here. */
  readonly running: () => Iterable<Metered>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

const lookMs = millis(5_000);

/**
 * Asks the QEMUs of guests that run, each by itself, so that nobody waits for one that does not answer. Looks again only
 * after 5 s, however often it is read; what is read is of the look before.
 */
export class QemuGuestMeter implements GuestMeter {
  readonly #parts: GuestMeterParts;
  readonly #known = new Map<ApplianceId, { readonly qmp: Qmp; readonly usage: GuestUsage }>();
  readonly #asked = new Set<Qmp>();
  #lookedAt: Millis | undefined;

  constructor(parts: GuestMeterParts) {
    this.#parts = parts;
  }

  read(): Readonly<Record<ApplianceId, GuestUsage>> {
    const at = this.#parts.clock.monotonic();
    if (this.#lookedAt === undefined || at - this.#lookedAt >= lookMs) {
      this.#lookedAt = at;
      this.#look();
    }
    return Object.fromEntries([...this.#known].map(([id, { usage }]) => [id, usage]));
  }

  #look(): void {
    const running = [...this.#parts.running()];
    const lines = new Map(running.map(({ id, qmp }) => [id, qmp]));
    for (const [id, { qmp }] of this.#known) if (lines.get(id) !== qmp) this.#known.delete(id);
    for (const vm of running) if (!this.#asked.has(vm.qmp)) void this.#ask(vm);
  }

  /** Never rejects: one that tells nothing is not known. */
  async #ask(vm: Metered): Promise<void> {
    const { clock, signal } = this.#parts;
    this.#asked.add(vm.qmp);
    try {
      this.#known.set(vm.id, { qmp: vm.qmp, usage: await guestUsage(vm, clock, signal) });
    } catch {
      this.#known.delete(vm.id);
    } finally {
      this.#asked.delete(vm.qmp);
    }
  }
}
