import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import type { PutBack } from "./raised.ts";

const stateFile = (tree: string | undefined, tableFile: string): string | undefined =>
  tree === undefined ? undefined : join(tree, basename(tableFile), "freezer.state");

/** Of a table that nobody has any more, or not for long. */
export function removeFrozenGroup({ v1 }: CgroupLayout, tableFile: string): void {
  const file = stateFile(v1.freezer, tableFile);
  try {
    if (file !== undefined) rmdirSync(dirname(file));
  } catch {
    // It is gone already.
  }
}

/**
 * An empty group that stays frozen while there is something to dispatch. Freezers of version 1 make the kernel rewrite
 * its own code when the first group of the machine is frozen and when the last one is thawed, which takes a tenth of a
 * millisecond and interrupts all processors; in between freezing and thawing take a few microseconds.
 */
export class FrozenGroup {
  readonly #file: string | undefined;
  #isThere = false;

  /** Named as the file of the table, so that no two have the same. */
  constructor({ v1 }: CgroupLayout, tableFile: string) {
    this.#file = stateFile(v1.freezer, tableFile);
  }

  /** How it is removed once it is wanted. */
  putBacks(isWanted: boolean): readonly PutBack[] {
    return isWanted && this.#file !== undefined ? [{ kind: "frozen", file: this.#file }] : [];
  }

  keep(isWanted: boolean): void {
    if (this.#file === undefined || isWanted === this.#isThere) return;
    this.#isThere = isWanted;
    try {
      if (!isWanted) {
        rmdirSync(dirname(this.#file));
        return;
      }
      mkdirSync(dirname(this.#file), { recursive: true });
      writeFileSync(this.#file, "FROZEN", { flag: "r+" });
    } catch {
      // It is gone already; or dispatching takes longer, and works.
    }
  }
}
