import * as queueing from "./kernel/queueing.ts";
import type { KernelRequest } from "./kernel/netlink-codec.ts";
import type { KernelSocket } from "./kernel/route-socket.ts";
import { htbMajor } from "./ruleset.ts";
import { rootMinor } from "./shaping.ts";
import type { WantedClass } from "./shaping.ts";

/** The classes of one link as they are in the kernel. */
export type LinkClasses = {
  readonly index: number;
  readonly classes: ReadonlyMap<number, KnownClass>;
};
export type KnownClass = Pick<WantedClass, "rateBytes" | "ceilBytes" | "priority">;

export type ShapingStep =
  | { readonly step: "root"; readonly defaultMinor: number }
  | { readonly step: "set"; readonly minor: number; readonly parent: number; readonly class: WantedClass }
  | { readonly step: "drop"; readonly minor: number }
  | { readonly step: "drop-root" };

/**
 * From what a link has to what it should have; nothing wanted means no hierarchy at all. `drops` wait until no
 * frame is directed to their classes any more.
 */
export function shapingSteps(
  wanted: ReadonlyMap<number, WantedClass> | undefined,
  present: ReadonlyMap<number, KnownClass> | undefined,
  defaultMinor: number,
): { readonly sets: readonly ShapingStep[]; readonly drops: readonly ShapingStep[] } {
  if (wanted === undefined) return { sets: [], drops: present === undefined ? [] : [{ step: "drop-root" }] };
  const sets: ShapingStep[] = present === undefined ? [{ step: "root", defaultMinor }] : [];
  const nestedClasses = wanted.has(rootMinor);
  for (const [minor, each] of wanted) {
    if (isSame(each, present?.get(minor))) continue;
    const parent = nestedClasses && minor !== rootMinor ? rootMinor : 0;
    sets.push({ step: "set", minor, parent, class: each });
  }
  const drops = [...(present?.keys() ?? [])]
    .filter((minor) => !wanted.has(minor))
    .map((minor) => ({ step: "drop" as const, minor }));
  return { sets, drops };
}

function isSame(wanted: WantedClass, present: KnownClass | undefined): boolean {
  return (
    present !== undefined &&
    present.rateBytes === wanted.rateBytes &&
    present.ceilBytes === wanted.ceilBytes &&
    present.priority === wanted.priority
  );
}

/** The messages of one step on the link with this index. */
export function shapingRequests(step: ShapingStep, index: number): readonly KernelRequest[] {
  switch (step.step) {
    case "root":
      return [queueing.makeRoot({ index, major: htbMajor, defaultMinor: step.defaultMinor })];
    case "set": {
      const handle = queueing.handleOf(htbMajor, step.minor);
      const parent = queueing.handleOf(htbMajor, step.parent);
      const set = queueing.setClass({ index, handle, parent, class: step.class });
      if (step.minor === rootMinor) return [set];
      return [set, queueing.setQueue({ index, parent: handle, limitBytes: step.class.queueBytes })];
    }
    case "drop":
      return [queueing.removeClass({ index, handle: queueing.handleOf(htbMajor, step.minor) })];
    case "drop-root":
      return [queueing.removeRoot({ index, major: htbMajor })];
    default:
      return step satisfies never;
  }
}

/** Our hierarchies by link index; other people's are not seen. */
export function readClasses(route: KernelSocket): ReadonlyMap<number, LinkClasses> {
  const found = new Map<number, LinkClasses>();
  for (const message of route.dump(queueing.showQdiscs())) {
    const qdisc = queueing.qdiscOf(message);
    const ours = qdisc.kind === "htb" && qdisc.handle === queueing.handleOf(htbMajor, 0);
    if (!ours || !queueing.isRoot(qdisc)) continue;
    const classes = new Map<number, KnownClass>();
    for (const each of route.dump(queueing.showClasses(qdisc.index))) {
      const known = queueing.classOf(each);
      if (known !== undefined) classes.set(known.handle & 0xffff, known.class);
    }
    found.set(qdisc.index, { index: qdisc.index, classes });
  }
  return found;
}
