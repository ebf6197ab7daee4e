import { allOf, bestEffortMinor, slotOf } from "./class-numbers.ts";
import { leafClass } from "./class-tree.ts";
import type { LinkTree, WantedClass } from "./class-tree.ts";
import * as queueing from "./kernel/queueing.ts";
import type { KernelRequest } from "./kernel/netlink-codec.ts";

/** From the classes a link has to those it should have. Pure. */

/** A class as it is in the kernel. `queueBytes` is missing when it was read back. */
export type KnownClass = Pick<WantedClass, "rateBytes" | "ceilBytes" | "priority" | "parent" | "queueBytes">;
export type KnownTree = ReadonlyMap<number, KnownClass>;

export type ShapingStep =
  | { readonly step: "root"; readonly defaultMinor: number }
  | {
      readonly step: "set";
      readonly minor: number;
      readonly class: WantedClass;
      /** Whether what may wait in it changes. */
      readonly queue: boolean;
      /** What it was; absent for a new one. */
      readonly before?: KnownClass;
    }
  | { readonly step: "drop"; readonly minor: number }
  | { readonly step: "drop-root" };

/** `shrinks` come before `grows`, so that at no moment more is promised than before or after. */
export type ChangeSteps = {
  readonly shrinks: readonly ShapingStep[];
  readonly grows: readonly ShapingStep[];
};

/** What makes classes as wanted; others stay. Frames without a class go to that of best effort, or straight out. */
export function changeSteps(wanted: LinkTree, present: KnownTree | undefined): ChangeSteps {
  const shrinks: ShapingStep[] = [];
  const grows: ShapingStep[] =
    present === undefined
      ? [{ step: "root", defaultMinor: wanted.has(bestEffortMinor) ? bestEffortMinor : 0 }]
      : [];
  for (const [minor, each] of wanted) {
    const before = present?.get(minor);
    if (before === undefined) {
      grows.push({ step: "set", minor, class: each, queue: true });
      continue;
    }
    if (before.parent !== each.parent) {
      // What a killed manager left, before anything was directed to it: the kernel cannot move a class.
      grows.push({ step: "drop", minor }, { step: "set", minor, class: each, queue: true });
      continue;
    }
    if (isSame(each, before)) continue;
    const queue = each.queueBytes !== before.queueBytes;
    const isLess =
      each.rateBytes < before.rateBytes ||
      (each.rateBytes === before.rateBytes && each.ceilBytes < before.ceilBytes);
    (isLess ? shrinks : grows).push({ step: "set", minor, class: each, queue, before });
  }
  // Children shrink before their parents, and grow after them.
  return { shrinks: shrinks.toReversed(), grows };
}

/**
 * What takes away classes nobody wants, children before their parents; nothing wanted means no hierarchy at all. To be
 * done when no frame is directed to them any more.
 */
export function dropSteps(
  wanted: LinkTree | undefined,
  present: KnownTree | undefined,
): readonly ShapingStep[] {
  if (wanted === undefined) return present === undefined ? [] : [{ step: "drop-root" }];
  const gone = [...(present ?? [])].filter(([minor]) => !wanted.has(minor));
  const isParent = (minor: number): boolean => minor === allOf(slotOf(minor) ?? -1);
  return gone
    .map(([minor]) => minor)
    .toSorted((a, b) => Number(isParent(a)) - Number(isParent(b)))
    .map((minor) => ({ step: "drop", minor }));
}

function isSame(wanted: WantedClass, present: KnownClass): boolean {
  return (
    present.rateBytes === wanted.rateBytes &&
    present.ceilBytes === wanted.ceilBytes &&
    present.priority === wanted.priority
  );
}

/** What takes back the change of a class that was there before; new ones stay until the next plan. */
export function undoStep(step: ShapingStep): ShapingStep | undefined {
  if (step.step !== "set" || step.before === undefined) return undefined;
  const { rateBytes, ceilBytes, priority, parent } = step.before;
  const before = leafClass(rateBytes * 8, ceilBytes * 8, priority, parent);
  return {
    step: "set",
    minor: step.minor,
    class: before,
    queue: step.queue && step.class.queueBytes !== undefined,
  };
}

/** The messages of one step on the link with this index. */
export function shapingRequests(step: ShapingStep, index: number, major: number): readonly KernelRequest[] {
  switch (step.step) {
    case "root":
      return [queueing.makeRoot({ index, major, defaultMinor: step.defaultMinor })];
    case "set": {
      const handle = queueing.handleOf(major, step.minor);
      const parent = queueing.handleOf(major, step.class.parent);
      const set = queueing.setClass({ index, handle, parent, class: step.class });
      if (!step.queue || step.class.queueBytes === undefined) return [set];
      return [set, queueing.setQueue({ index, parent: handle, limitBytes: step.class.queueBytes })];
    }
    case "drop":
      return [queueing.removeClass({ index, handle: queueing.handleOf(major, step.minor) })];
    case "drop-root":
      return [queueing.removeRoot({ index, major })];
    default:
      return step satisfies never;
  }
}
