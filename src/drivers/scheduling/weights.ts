import { join } from "node:path";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { KeptFile } from "./kept-file.ts";
import type { EnforcementKind } from "./port.ts";

/**
 * Reserved machines come before ordinary load by the weight of their groups. That takes nothing more from the others
 * than was promised, as such machines are stopped outside their slots, or capped by their quota; and it is of use only
 * if the groups above them weigh enough, too, against whatever else the machine runs.
 */
export type WeightScale = {
  readonly tree: string;
  readonly file: string;
  /** What the kernel gives a group of which nobody says anything. */
  readonly usual: number;
  readonly max: number;
};

export function weightScale(layout: CgroupLayout): WeightScale | undefined {
  const v1 = layout.v1.cpu;
  if (v1 !== undefined) return { tree: v1, file: "cpu.shares", usual: 1024, max: 262_144 };
  if (layout.v2 === undefined || !layout.v2Controllers.includes("cpu")) return undefined;
  return { tree: layout.v2, file: "cpu.weight", usual: 100, max: 10_000 };
}

/** Weights in usual ones: 1 is a group of which nobody says anything. */
export type WeightClaim = {
  readonly groups: ReadonlyMap<string, number>;
  /** Of the group that all machines are below, and of those above it. */
  readonly outer: number;
};

/** As heavy as the scale goes. */
export const heaviest = Number.POSITIVE_INFINITY;

export class GroupWeights {
  readonly #scale: WeightScale | undefined;
  readonly #parent: string | undefined;
  readonly #claims = new Map<EnforcementKind, WeightClaim>();
  #written = new Map<string, number>();
  readonly #files = new Map<string, KeptFile>();

  constructor(layout: CgroupLayout, parent: string | undefined) {
    this.#scale = weightScale(layout);
    this.#parent = parent;
  }

  /** In place of what this back end wanted before; what nobody wants any more weighs as usual again. */
  claim(kind: EnforcementKind, claim: WeightClaim): void {
    if (claim.groups.size === 0) this.#claims.delete(kind);
    else this.#claims.set(kind, claim);
    const wanted = this.#wanted();
    for (const path of this.#written.keys()) {
      if (wanted.has(path)) continue;
      this.#write(path, 1);
      this.#files.get(path)?.close();
      this.#files.delete(path);
    }
    for (const [path, weight] of wanted) {
      if (this.#written.get(path) !== weight) this.#write(path, weight);
    }
    this.#written = wanted;
  }

  #wanted(): Map<string, number> {
    const wanted = new Map<string, number>();
    const raise = (path: string, weight: number): void => {
      wanted.set(path, Math.max(wanted.get(path) ?? 0, weight));
    };
    for (const { groups, outer } of this.#claims.values()) {
      for (const [path, weight] of groups) raise(path, weight);
      for (const path of withAncestors(this.#parent)) raise(path, outer);
    }
    return wanted;
  }

  #write(path: string, weight: number): void {
    if (this.#scale === undefined) return;
    const { tree, file, usual, max } = this.#scale;
    const kept = this.#files.get(path) ?? KeptFile.open(join(tree, path, file));
    if (kept === undefined) return;
    this.#files.set(path, kept);
    kept.write(String(Math.min(max, Math.max(2, Math.round(weight * usual)))));
  }
}

/** "consort/lab/host-1" → itself and all above it. */
function withAncestors(path: string | undefined): readonly string[] {
  const names = (path ?? "").split("/").filter((name) => name !== "");
  return names.map((_name, depth) => names.slice(0, depth + 1).join("/"));
}
