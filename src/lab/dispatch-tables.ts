import { globSync, rmSync } from "node:fs";
import { join } from "node:path";
import { tableFile } from "#drivers/scheduling/table/file.ts";

/** Removes what lies in memory for one host below `runDir`, or all of them; the dispatchers that shared it have been killed. */
export function removeDispatchTables(runDir: string, node = "*"): void {
  for (const directory of globSync(`hosts/${node}/scheduling/table`, { cwd: runDir })) {
    rmSync(tableFile(join(runDir, directory)), { force: true });
  }
}
