import type { Millis } from "#base/units.ts";
import type { VmPlan } from "#protocol/host-plan.ts";

export type LayerKind = "root" | "home" | "swap";

/** Two layers of one shape are worth the same until somebody writes into them. */
export type LayerShape = {
  /** root: empty, to lie on a base image; home: an ext4 file system; swap: swap space. */
  readonly kind: LayerKind;
  readonly sizeBytes: number;
};

/** A writable disk of one machine: qcow2 without a backing file of its own; what lies below is named by who opens it. */
export type MachineLayer = LayerShape & { readonly file: string };

/** spool: it was ready and had to be renamed only; made: it was made now. */
export type LayerStage = {
  readonly kind: LayerKind;
  readonly from: "there" | "spool" | "made";
  readonly tookMs: Millis;
};

/** The writable disks of machines. What they lie on (base and software images) is blobs and never copied. */
export interface DiskLayers {
  /** Clears away what was half made. Called once, first. */
  recover(signal: AbortSignal): Promise<void>;
  /**
   * Those a machine needs, as `<kind>.qcow2` in its directory, which is on the same file system. Those that are there
   * stay as they are, so it may be called again after a death at any moment.
   */
  create(
    vm: Pick<VmPlan, "base" | "homeBytes" | "swapBytes">,
    directory: string,
    onStage: (stage: LayerStage) => void,
    signal: AbortSignal,
  ): Promise<readonly MachineLayer[]>;
  /** Takes them out of a machine's directory at once; the space is given back in the background. */
  remove(directory: string, signal: AbortSignal): Promise<void>;
  /** Such a machine will be wanted: its layers are made ready in the background. */
  expect(vm: Pick<VmPlan, "base" | "homeBytes" | "swapBytes">): void;
  /** Resolves when everything that is to be ready is. */
  settled(signal: AbortSignal): Promise<void>;
  /** Ends the work in the background; what is ready stays for the next start. */
  close(): Promise<void>;
}
