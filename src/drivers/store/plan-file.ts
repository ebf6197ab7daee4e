import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { PlanKeeper } from "#drivers/store/port.ts";
import type { HostPlan } from "#protocol/host-plan.ts";

/** Keeps a host's plan in one file, replaced whole: a death at any moment leaves the old one or the new one. */
export function planFile(path: string): PlanKeeper {
  return {
    async load(signal) {
      let text: string;
      try {
        text = await readFile(path, { encoding: "utf8", signal });
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw cause;
      }
      try {
        return JSON.parse(text) as HostPlan;
      } catch (cause) {
        throw new ConsortError("internal", `Cannot read the kept plan: ${path} is not JSON`, { cause });
      }
    },
    async save(plan, signal) {
      signal.throwIfAborted();
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const fresh = `${path}.new`;
      const file = await open(fresh, "w", 0o600);
      try {
        await file.writeFile(JSON.stringify(plan));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(fresh, path);
      const directory = await open(dirname(path), "r");
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    },
  };
}
