import type { Clock } from "#base/runtime.ts";
import { bytes, millis } from "#base/units.ts";
import type { Bytes, Millis } from "#base/units.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";

/** What a machine has used; nothing once its group is just being removed. */
export class GroupUsage {
  readonly #group: Pick<Cgroup, "cpuUsedUs" | "memoryUsed" | "oomKills">;
  readonly #clock: Clock;
  #memory: { readonly at: Millis; readonly used: Bytes } | undefined;

  constructor(group: Pick<Cgroup, "cpuUsedUs" | "memoryUsed" | "oomKills">, clock: Clock) {
    this.#group = group;
    this.#clock = clock;
  }

  cpuUsedMs(): Millis {
    try {
      return millis(this.#group.cpuUsedUs() / 1000);
    } catch {
      return millis(0);
    }
  }

  /** Of so long ago at most. */
  memoryUsed(ageMsMax: Millis): Bytes {
    const at = this.#clock.monotonic();
    if (this.#memory !== undefined && at - this.#memory.at < ageMsMax) return this.#memory.used;
    try {
      this.#memory = { at, used: this.#group.memoryUsed() };
    } catch {
      return bytes(0);
    }
    return this.#memory.used;
  }

  oomKills(): number {
    try {
      return this.#group.oomKills();
    } catch {
      return 0;
    }
  }
}
