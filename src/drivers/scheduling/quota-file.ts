import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { Micros } from "#base/units.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import { acceptableQuota } from "#drivers/system/cgroups/dialect.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { KeptFile } from "./kept-file.ts";

/** The quota of one group, behind files kept open: a change of execution time alone is one write. */
export class QuotaFile {
  readonly #quota: KeptFile;
  /** Absent where both are in one file (v2). */
  readonly #period: KeptFile | undefined;
  #periodUs: Micros | undefined;

  /** Undefined: the group is gone. @throws unsupported where nothing limits CPU time */
  static open(layout: CgroupLayout, path: string): QuotaFile | undefined {
    const v1 = layout.v1.cpu;
    if (v1 !== undefined) {
      const quota = KeptFile.open(join(v1, path, "cpu.cfs_quota_us"));
      const period = KeptFile.open(join(v1, path, "cpu.cfs_period_us"));
      return quota === undefined || period === undefined ? undefined : new QuotaFile(quota, period);
    }
    if (layout.v2 === undefined || !layout.v2Controllers.includes("cpu")) {
      throw new ConsortError(
        "unsupported",
        `Cannot limit CPU time of ${path}: no control group hierarchy here carries the cpu controller`,
      );
    }
    const quota = KeptFile.open(join(layout.v2, path, "cpu.max"));
    return quota === undefined ? undefined : new QuotaFile(quota, undefined);
  }

  private constructor(quota: KeptFile, period: KeptFile | undefined) {
    this.#quota = quota;
    this.#period = period;
  }

  /** What the kernel cannot take as it is keeps its ratio: see `acceptableQuota`. */
  set({ executionUs, periodUs }: Reservation): void {
    const limit = acceptableQuota({ quotaUs: executionUs, periodUs });
    if (this.#period === undefined) {
      this.#quota.write(`${limit.quotaUs} ${limit.periodUs}`);
      return;
    }
    if (limit.periodUs !== this.#periodUs) {
      // A new period with the old quota may exceed what the group above has, which the kernel refuses.
      this.#quota.write("-1");
      this.#periodUs = undefined;
      this.#period.write(String(limit.periodUs));
    }
    this.#quota.write(String(limit.quotaUs));
    this.#periodUs = limit.periodUs;
  }

  /** As `set`, where the group above does not have less anyway, which the kernel may refuse to exceed (v1). */
  setUnlessLess(reservation: Reservation): void {
    try {
      this.set(reservation);
    } catch {
      this.lift();
    }
  }

  lift(): void {
    const { value } = this.lifting;
    this.#quota.write(value);
  }

  /** What lifts it, for whoever has to do it without us. */
  get lifting(): { readonly file: string; readonly value: string } {
    return { file: this.#quota.path, value: this.#period === undefined ? "max" : "-1" };
  }

  close(): void {
    this.#quota.close();
    this.#period?.close();
  }
}
