import type { ApplianceId } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";
import type { CheckpointPlan } from "#protocol/host-plan.ts";

/**
 * Machines of one host that are to be paused at the same moment, with those of other hosts if it is not the whole group.
 * None goes on before all are paused: what one sends after its checkpoint never arrives in what another's holds.
 */
export class CheckpointGroup {
  readonly #clock: Clock;
  readonly #holdMsMax: Millis;
  readonly #held = new Set<ApplianceId>();
  readonly #over = Promise.withResolvers<string | undefined>();
  #plan: CheckpointPlan;

  constructor(plan: CheckpointPlan, clock: Clock, holdMsMax: Millis) {
    this.#plan = plan;
    this.#clock = clock;
    this.#holdMsMax = holdMsMax;
  }

  follow(plan: CheckpointPlan): void {
    this.#plan = plan;
    this.#look();
  }

  isHeld(appliance: ApplianceId): boolean {
    return this.#held.has(appliance);
  }

  /** It is paused. Resolves when it may go on, with the group's name if all others were paused, too. */
  async hold(appliance: ApplianceId, signal: AbortSignal): Promise<string | undefined> {
    this.#held.add(appliance);
    this.#look();
    const give = (): void => this.#over.resolve(undefined);
    const timer = this.#clock.timer(this.#holdMsMax, give);
    signal.addEventListener("abort", give, { once: true });
    try {
      return await this.#over.promise;
    } finally {
      timer();
      signal.removeEventListener("abort", give);
      this.#held.delete(appliance);
    }
  }

  /** One of them cannot be taken, or nobody wants it any more: the others go on. */
  giveUp(): void {
    this.#over.resolve(undefined);
  }

  #look(): void {
    const { appliances, isWhole, goOn, group } = this.#plan;
    const allHere = appliances.every((id) => this.#held.has(id));
    if (allHere && (isWhole === true || goOn === true)) this.#over.resolve(group);
  }
}
