import type { HostStanding } from "#cluster/records.ts";
import { absent, acknowledgedLost } from "#sim/checks/acknowledged-kept.ts";
import type { Change } from "#sim/checks/acknowledged-kept.ts";
import type { Breach } from "#sim/checks/breach.ts";
import type { Call } from "#sim/client.ts";

type Scheduling = HostStanding["scheduling"];
type Asked = Change & { call: Pick<Call, "state" | "error" | "askedAtMs"> };

/**
 * What operators may find after what they did: a drain ends by itself, a cordon during a drain holds after it, and a
 * host given up is as it was.
 */
const outcomes = {
  cordon: ["cordoned", "draining"],
  uncordon: ["open"],
  drain: ["draining", "cordoned"],
  "cancel-drain": ["open", "cordoned"],
  forget: ["open", "cordoned", "draining"],
} as const satisfies Record<string, readonly Scheduling[]>;

/** A host that nobody did anything to is open. */
const desireOf = (scheduling: Scheduling): string => (scheduling === "open" ? absent : scheduling);
const describe = (desire: string): string => (desire === absent ? "open" : desire);

/** What operators asked for and were told, host by host, in order. */
export class HostLedger {
  readonly #changes = new Map<string, Asked[]>();

  note(host: string, kind: keyof typeof outcomes, call: Asked["call"]): void {
    const changes = this.#changes.get(host) ?? [];
    changes.push({ call, desires: outcomes[kind].map(desireOf) });
    this.#changes.set(host, changes);
  }

  /** Since when an answer about the host is waited for, in virtual ms. */
  waitingSince(host: string): number | undefined {
    return this.#changes.get(host)?.find(({ call }) => call.state === "asked")?.call.askedAtMs;
  }

  /** The operator waits for its answers no longer. */
  giveUp(host: string): void {
    for (const change of this.#changes.get(host) ?? []) {
      if (change.call.state === "asked") change.call = { ...change.call, state: "lost" };
    }
  }

  /** The store has of every host what its operator was told, or was not told yet. */
  lost(schedulingOf: (host: string) => Scheduling): Breach | undefined {
    for (const [host, changes] of this.#changes) {
      const breach = acknowledgedLost(host, changes, desireOf(schedulingOf(host)), describe);
      if (breach !== undefined) return breach;
    }
    return undefined;
  }
}
