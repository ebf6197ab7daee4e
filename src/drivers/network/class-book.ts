import type { LinkTree } from "./class-tree.ts";
import * as queueing from "./kernel/queueing.ts";
import type { KernelRequest } from "./kernel/netlink-codec.ts";
import type { KernelSocket } from "./kernel/route-socket.ts";
import { changeSteps, dropSteps, shapingRequests, undoStep } from "./shaping-steps.ts";
import type { KnownClass, KnownTree, ShapingStep } from "./shaping-steps.ts";

const parentIsRoot = 0xffffffff;

/** What one link should have; `undefined`: no hierarchy. */
export type LinkChange = {
  readonly index: number;
  readonly wanted: LinkTree | undefined;
  /** Classes that are not wanted stay as they are. */
  readonly part?: boolean;
};
/** Takes classes away; to be called when no frame is directed to them any more. */
export type LaterDrops = readonly KernelRequest[];

type IndexedStep = { readonly index: number; readonly step: ShapingStep };

/** The class hierarchies with our handle on the links of this namespace; other people's are not seen. */
export class ClassBook {
  readonly #route: Pick<KernelSocket, "do">;
  readonly #major: number;
  readonly #trees: Map<number, Map<number, KnownClass>>;

  constructor(route: Pick<KernelSocket, "do">, major: number, trees: ReadonlyMap<number, KnownTree>) {
    this.#route = route;
    this.#major = major;
    this.#trees = new Map([...trees].map(([index, tree]) => [index, new Map(tree)]));
  }

  /** Takes away one class that no frame is directed to. */
  drop(index: number, minor: number): void {
    this.#route.do(shapingRequests({ step: "drop", minor }, index, this.#major));
    this.#trees.get(index)?.delete(minor);
  }

  /** Indices of links that are gone took their classes along. */
  forgetAllBut(indices: ReadonlySet<number>): void {
    for (const index of this.#trees.keys()) if (!indices.has(index)) this.#trees.delete(index);
  }

  /**
   * Changes the links together: first what shrinks, acknowledged, then what grows; what is gone from them is returned.
   * When the kernel refuses any of it, classes that were there have the rates they had, and the refusal is thrown.
   */
  change(changes: readonly LinkChange[]): LaterDrops {
    const shrinks: IndexedStep[] = [];
    const grows: IndexedStep[] = [];
    const drops: IndexedStep[] = [];
    for (const { index, wanted, part } of changes) {
      const present = this.#trees.get(index);
      if (wanted !== undefined) {
        const steps = changeSteps(wanted, present);
        shrinks.push(...steps.shrinks.map((step) => ({ index, step })));
        grows.push(...steps.grows.map((step) => ({ index, step })));
      }
      if (part !== true) drops.push(...dropSteps(wanted, present).map((step) => ({ index, step })));
    }
    try {
      this.#carryOut(shrinks);
      this.#carryOut(grows);
    } catch (cause) {
      this.#undo(shrinks, grows);
      throw cause;
    }
    for (const { index, wanted, part } of changes) {
      const present = this.#trees.get(index);
      if (wanted === undefined) this.#trees.delete(index);
      else if (part !== true || present === undefined) this.#trees.set(index, new Map(wanted));
      else for (const [minor, each] of wanted) present.set(minor, each);
    }
    return drops.flatMap(({ index, step }) => shapingRequests(step, index, this.#major));
  }

  #carryOut(steps: readonly IndexedStep[]): void {
    if (steps.length === 0) return;
    this.#route.do(steps.flatMap(({ index, step }) => shapingRequests(step, index, this.#major)));
  }

  #undo(shrinks: readonly IndexedStep[], grows: readonly IndexedStep[]): void {
    for (const { index, step } of [...grows.toReversed(), ...shrinks.toReversed()]) {
      const undo = undoStep(step);
      if (undo === undefined) continue;
      try {
        this.#carryOut([{ index, step: undo }]);
      } catch {
        // The same refusal as the one that is being thrown, most likely; whoever gets that reads the kernel again.
      }
    }
  }
}

/** Our hierarchies by link index. */
export function readTrees(route: Pick<KernelSocket, "dump">, major: number): ReadonlyMap<number, KnownTree> {
  const found = new Map<number, KnownTree>();
  for (const message of route.dump(queueing.showQdiscs())) {
    const qdisc = queueing.qdiscOf(message);
    const ours = qdisc.kind === "htb" && qdisc.handle === queueing.handleOf(major, 0);
    if (!ours || !queueing.isRoot(qdisc)) continue;
    const classes = new Map<number, KnownClass>();
    for (const each of route.dump(queueing.showClasses(qdisc.index))) {
      const known = queueing.classOf(each);
      if (known === undefined) continue;
      const parent = known.parent === parentIsRoot ? 0 : known.parent & 0xffff;
      classes.set(known.handle & 0xffff, { ...known.class, parent });
    }
    found.set(qdisc.index, classes);
  }
  return found;
}
