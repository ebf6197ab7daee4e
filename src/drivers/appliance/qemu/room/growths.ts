import type { ApplianceId } from "#base/ids.ts";
import type { Bytes, Millis } from "#base/units.ts";
import type { Growth } from "./who-is-held.ts";

/** One large write is no flood: what was taken counts for this long, less and less. */
const fadesMs = 10_000;

type Seen = Growth & { readonly size: Bytes };

/** How disks grow, from looks at how much room they take. */
export class Growths {
  #seen: ReadonlyMap<ApplianceId, Seen> = new Map();
  #seenAt: Millis | undefined;

  look(sizes: ReadonlyMap<ApplianceId, Bytes>, now: Millis): ReadonlyMap<ApplianceId, Growth> {
    const tookMs = now - (this.#seenAt ?? now);
    const weight = 1 - Math.exp(-tookMs / fadesMs);
    const seen = new Map<ApplianceId, Seen>();
    for (const [id, size] of sizes) {
      const before = this.#seen.get(id);
      const grown = Math.max(0, size - (before?.size ?? size));
      const was = before?.bytesPerSecond ?? 0;
      const is = tookMs > 0 ? (grown * 1000) / tookMs : 0;
      seen.set(id, { size, isGrowing: grown > 0, bytesPerSecond: was + (is - was) * weight });
    }
    this.#seen = seen;
    this.#seenAt = now;
    return seen;
  }

  /** Nobody looks while it does not matter. */
  forget(): void {
    this.#seen = new Map();
    this.#seenAt = undefined;
  }
}
