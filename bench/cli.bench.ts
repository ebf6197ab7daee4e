import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { range } from "./harness.ts";
import type { Benchmark, BenchRow } from "./harness.ts";

const root = join(import.meta.dirname, "..");
const runs = 15;
const aimMs = 300;

/** Calls that need no manager; each is a whole process, shell starter included. */
const calls: readonly (readonly string[])[] = [
  ["help"],
  ["up", "--help"],
  ["ps", "--lab", "none_such"],
  ["validate", join(root, "examples/hello.yaml")],
];

export const benchmark: Benchmark = {
  name: "cli",
  about: "a call of the command line, from exec to exit",
  run: ({ signal, progress }) => {
    const rows: BenchRow[] = [];
    for (const call of calls) {
      progress(call.join(" "));
      const times: number[] = [];
      for (let run = 0; run <= runs; run += 1) {
        signal.throwIfAborted();
        const startedAtMs = performance.now();
        spawnSync(join(root, "bin/consort"), call, { stdio: "ignore" });
        // The first fills the compile cache.
        if (run > 0) times.push(performance.now() - startedAtMs);
      }
      const figures = range(times);
      rows.push({
        case: `consort ${call.slice(0, 2).join(" ").replace(root, ".")}`,
        metric: "exec to exit",
        unit: "ms",
        reference: "-",
        aim: `< ${aimMs}`,
        ...figures,
        ok: figures.value < aimMs,
      });
    }
    return Promise.resolve(rows);
  },
};
