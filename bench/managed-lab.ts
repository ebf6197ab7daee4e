import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { parseEnsemble } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import { labDown } from "#lab/lab.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import { startRig } from "../test/rig/rig.ts";
import type { Rig } from "../test/rig/rig.ts";

/** A lab with its managers for as long as `use` takes; gone afterwards, whatever happened. */
export async function withManagedLab<Result>(
  name: string,
  topology: Topology,
  signal: AbortSignal,
  use: (rig: Rig) => Promise<Result>,
): Promise<Result> {
  await removeLeftovers(name);
  const rig = await startRig(name, topology, signal);
  try {
    return await use(rig);
  } finally {
    await rig.close();
  }
}

/** A benchmark that was killed could not clean up behind itself. */
async function removeLeftovers(name: string): Promise<void> {
  const clock = systemClock();
  const machine = {
    clock,
    random: systemRandom(),
    log: silentLog,
    subprocess: systemSubprocess(),
    cgroups: systemCgroups(clock),
  };
  const root = mkdtempSync(join(tmpdir(), "consort-bench-"));
  try {
    const place = { name, stateRoot: join(root, "state"), runRoot: join(root, "run") };
    await labDown({ ...place, machine }, new AbortController().signal);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

export function ensembleOf(yaml: string): Ensemble {
  const parsed = parseEnsemble(yaml, { file: "benchmark.yaml" });
  if (parsed.ok) return parsed.value;
  throw new Error(parsed.problems.map(formatProblem).join("\n"));
}
