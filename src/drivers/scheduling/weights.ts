import { readFileSync, readdirSync } from "node:fs";
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

/** weigh: of several owners, as heavy as the heaviest in it, `usual` at least. */
export type WeightPutBack =
  | { readonly kind: "write"; readonly file: string; readonly value: string }
  | { readonly kind: "weigh"; readonly file: string; readonly usual: number };

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
    // An earlier owner may have raised it: then it counts as raised until somebody claims it again.
    const left = parent === undefined ? 1 : this.#read(parent);
    if (parent !== undefined && left !== 1) this.#written.set(parent, left);
  }

  /** In place of what this back end wanted before; what nobody wants any more weighs as usual again. */
  claim(kind: EnforcementKind, claim: WeightClaim): void {
    if (claim.groups.size === 0) this.#claims.delete(kind);
    else this.#claims.set(kind, claim);
    const wanted = this.#wanted();
    const outer = this.#parent === undefined ? undefined : this.#written.get(this.#parent);
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
    if (this.#parent !== undefined && wanted.get(this.#parent) !== outer) this.#weighAncestors(this.#parent);
  }

  /** How to put back what a claim changes, in this order. */
  putBacks(claim: WeightClaim): readonly WeightPutBack[] {
    if (this.#scale === undefined || claim.groups.size === 0) return [];
    const { tree, file, usual } = this.#scale;
    const paths = [...claim.groups.keys(), ...(this.#parent === undefined ? [] : [this.#parent])];
    return [
      ...paths.map(
        (path) => ({ kind: "write", file: join(tree, path, file), value: String(usual) }) as const,
      ),
      ...groupsAbove(this.#parent ?? "").map(
        (path) => ({ kind: "weigh", file: join(tree, path, file), usual }) as const,
      ),
    ];
  }

  #wanted(): Map<string, number> {
    const wanted = new Map<string, number>();
    const raise = (path: string, weight: number): void => {
      wanted.set(path, Math.max(wanted.get(path) ?? 0, weight));
    };
    for (const { groups, outer } of this.#claims.values()) {
      for (const [path, weight] of groups) raise(path, weight);
      if (this.#parent !== undefined) raise(this.#parent, outer);
    }
    return wanted;
  }

  /**
   * Groups above the parent may be those of other owners, too: each weighs as much as the heaviest directly in it, and
   * so comes down when the last one does.
   */
  #weighAncestors(path: string): void {
    const above = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (above === "" || this.#scale === undefined) return;
    const siblings = groupsIn(join(this.#scale.tree, above)).map((name) => this.#read(`${above}/${name}`));
    this.#write(above, Math.max(1, ...siblings));
    this.#files.get(above)?.close();
    this.#files.delete(above);
    this.#weighAncestors(above);
  }

  /** In usual weights; 1 where it cannot be told. */
  #read(path: string): number {
    if (this.#scale === undefined) return 1;
    try {
      return Number(readFileSync(join(this.#scale.tree, path, this.#scale.file), "utf8")) / this.#scale.usual;
    } catch {
      return 1;
    }
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

/** Inner ones first. */
function groupsAbove(path: string): readonly string[] {
  const above = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  return above === "" ? [] : [above, ...groupsAbove(above)];
}

function groupsIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}
