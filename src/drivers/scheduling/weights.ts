import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";

/**
 * Reserved machines come before ordinary load by the weight of their groups. That is safe for them, as they are
 * stopped outside their slots, or capped by their quota; and it is of use only if the groups above them weigh enough,
 * too, against whatever else the machine runs.
 */
type Scale = { readonly tree: string; readonly file: string; readonly base: number; readonly max: number };

/** Of a machine: `base` is what the kernel gives a group that nobody asked for. */
export function weightScale(layout: CgroupLayout): Scale | undefined {
  const v1 = layout.v1.cpu;
  if (v1 !== undefined) return { tree: v1, file: "cpu.shares", base: 1024, max: 262_144 };
  if (layout.v2 === undefined || !layout.v2Controllers.includes("cpu")) return undefined;
  return { tree: layout.v2, file: "cpu.weight", base: 100, max: 10_000 };
}

/** "consort/lab/host-1" → itself and all above it. */
export function withAncestors(path: string): readonly string[] {
  const names = path.split("/").filter((name) => name !== "");
  return names.map((_name, depth) => names.slice(0, depth + 1).join("/"));
}

export class GroupWeights {
  readonly #scale: Scale | undefined;
  readonly #parent: string | undefined;
  #raised = new Set<string>();

  /** `parent`: the group all machines are below; it and those above it are raised with them. */
  constructor(layout: CgroupLayout, parent: string | undefined) {
    this.#scale = weightScale(layout);
    this.#parent = parent;
  }

  /** Those of `groups` weigh as much as the kernel allows, and whatever is not among them any more as usual. */
  keep(groups: readonly string[]): void {
    const outer = groups.length === 0 || this.#parent === undefined ? [] : withAncestors(this.#parent);
    const wanted = new Set([...outer, ...groups]);
    for (const path of this.#raised) if (!wanted.has(path)) this.#write(path, this.#scale?.base);
    for (const path of wanted) if (!this.#raised.has(path)) this.#write(path, this.#scale?.max);
    this.#raised = wanted;
  }

  #write(path: string, weight: number | undefined): void {
    if (this.#scale === undefined || weight === undefined) return;
    const file = join(this.#scale.tree, path, this.#scale.file);
    try {
      if (existsSync(file)) writeFileSync(file, String(weight));
    } catch {
      // A group that is going needs no weight.
    }
  }
}
