import { readFileSync, readdirSync } from "node:fs";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { guestCache, subprocess } from "../test/vm/guest-machine.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchRow } from "./harness.ts";
import { openMachineBench } from "./machine-bench.ts";

const machines = 20;
const aims = { answersMs: 8000, memoryMiB: 60 };

export const benchmark: Benchmark = {
  name: "vm-many",
  about:
    "Twenty tiny guests at once from one snapshot: when all of them answer SSH, and memory of each while idle",
  async run({ signal, progress }) {
    const guest = await buildTinyGuest(guestCache, progress, subprocess, signal);
    await using bench = await openMachineBench(guest, signal);
    await bench.prepareWarm();
    const beganAt = performance.now();
    const begun = await Promise.all(
      Array.from({ length: machines }, (_, index) => bench.begin(`m${index}`, index + 1, "warm")),
    );
    const allMs = performance.now() - beganAt;
    progress(`${machines} answer after ${Math.round(allMs)} ms`);
    const memory = begun.map(({ plan }) => shareMiB(plan.vm?.hostname ?? ""));
    for (const { plan } of begun) await bench.end(plan);
    const row = (metric: string, unit: string, values: readonly number[], aim: number): BenchRow => {
      const figures = range(values);
      const name = `${machines} tiny guests, resumed, on one machine`;
      return {
        case: name,
        metric,
        unit,
        reference: "-",
        aim: `<= ${aim}`,
        ...figures,
        ok: figures.value <= aim,
      };
    };
    return [
      row("request → all answer SSH", "ms", [allMs], aims.answersMs),
      row("memory of each, proportional set size", "MiB", memory, aims.memoryMiB),
    ];
  },
};

/** Of the QEMU of the guest with this name; what several map counts for each of them in part. */
function shareMiB(hostname: string): number {
  const pid = readdirSync("/proc").find(
    (name) => /^\d+$/.test(name) && commandOf(name).includes(`guest=${hostname},`),
  );
  const [, kilobytes] = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}
