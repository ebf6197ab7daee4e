import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import type { JobGroup } from "#drivers/scheduling/port.ts";

const pidMaxFile = "/proc/sys/kernel/pid_max";
/** For whatever else the machine starts meanwhile. */
const pidsToSpare = 20_000;

/**
 * Children of a shell, each stopped before it begins to compute without end; they end with it, and it with whoever started
 * it. Until they are there their session, where the kernel has sessions share alike, comes before what else is done here.
 */
const nursery = `
prefer() { { echo "$1" >/proc/self/autogroup; } 2>/dev/null; }
prefer -20
born=0
while [ $born -lt $1 ]; do
  while :; do :; done &
  kill -STOP $!
  echo $!
  born=$((born + 1))
done
prefer 0
read -r _
kill -KILL 0`;
/**
 * Of one shell: all children of one process share its memory, and for each page that the kernel looks at it goes through
 * all who share it. Forking is ten times slower with some ten thousand of them.
 */
const siblingsMax = 200;

/** Competitors: processes of ordinary priority, in no control group of ours, that want all they can get. */
export function startCompetitors(count: number): Disposable {
  const busy = Array.from({ length: count }, () => spawn("perl", ["-e", "1 while 1"], { stdio: "ignore" }));
  return {
    [Symbol.dispose]: () => {
      for (const each of busy) each.kill("SIGKILL");
    },
  };
}

export type Jobs = { readonly groups: readonly JobGroup[]; end(): Promise<void> };

/**
 * So many jobs that are processes; the kernel's limit on their number is raised meanwhile where it has to be. Whoever
 * dispatches them is to end after them, not before: continued all at once they would be all there is for a while.
 */
export async function startJobs(count: number, undo: AsyncDisposableStack): Promise<Jobs> {
  raisePidMax(count, undo);
  const families: ChildProcess[] = [];
  const end = async (): Promise<void> => void (await Promise.all(families.map(endFamily)));
  undo.defer(end);
  const groups: JobGroup[] = [];
  while (groups.length < count) {
    const wanted = Math.min(count - groups.length, siblingsMax);
    const family = spawn("sh", ["-c", nursery, "sh", String(wanted)], {
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    families.push(family);
    const born = await pidsFrom(family, wanted);
    if (born.length < wanted) throw new Error(`only ${groups.length + born.length} of ${count} jobs`);
    groups.push(...born.map(jobOf));
  }
  return { groups, end };
}

async function pidsFrom({ stdout }: ChildProcess, count: number): Promise<number[]> {
  const pids: number[] = [];
  if (stdout === null) return pids;
  for await (const line of createInterface({ input: stdout })) {
    if (pids.push(Number(line)) === count) break;
  }
  return pids;
}

const jobOf = (pid: number): JobGroup => ({ kind: "process", pid, startTime: readStartTime(pid) ?? "" });

async function endFamily(parent: ChildProcess): Promise<void> {
  if (parent.exitCode !== null || parent.signalCode !== null) return;
  const exit = once(parent, "exit");
  // The whole group of processes: killed, they need not be continued.
  if (parent.pid !== undefined) process.kill(-parent.pid, "SIGKILL");
  await exit;
}

function raisePidMax(count: number, undo: AsyncDisposableStack): void {
  const before = readFileSync(pidMaxFile, "utf8").trim();
  if (Number(before) >= count + pidsToSpare) return;
  writeFileSync(pidMaxFile, String(count + pidsToSpare));
  undo.defer(() => writeFileSync(pidMaxFile, before));
}
