import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { VmSpec } from "#model/vm.ts";

/** Whether machines on this host are accelerated. */
export interface Acceleration {
  /** A guest has really run in it; false also while that is not known yet. */
  readonly kvm: boolean;
  /** Rejects with `unsupported` when KVM was asked for and no guest runs in it here. */
  choose(id: ApplianceId, wanted: VmSpec["accel"], signal: AbortSignal): Promise<"kvm" | "tcg">;
}

/** `probe` is asked once, by whoever needs it first; what it says lasts as long as this. */
export class ProbedAcceleration implements Acceleration {
  kvm = false;
  readonly #probe: () => Promise<boolean>;
  #probed: Promise<boolean> | undefined;

  constructor(probe: () => Promise<boolean>) {
    this.#probe = probe;
  }

  /** Resolves when it is known. */
  async known(): Promise<void> {
    this.#probed ??= this.#probe();
    this.kvm = await this.#probed;
  }

  async choose(id: ApplianceId, wanted: VmSpec["accel"]): Promise<"kvm" | "tcg"> {
    if (wanted === "tcg") return "tcg";
    await this.known();
    if (this.kvm) return "kvm";
    if (wanted === "auto") return "tcg";
    throw new ConsortError(
      "unsupported",
      `Cannot create ${id}: no guest runs in KVM on this host, accel auto or tcg was wanted`,
    );
  }
}
