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

/** Children of one program, each stopped by itself before it begins to compute without end. */
const nursery = `
$SIG{CHLD} = "IGNORE"; $| = 1;
for (1 .. $ARGV[0]) {
  my $child = fork;
  if (!defined $child) { print "failed $!\\n"; exit 1 }
  if (!$child) { kill "STOP", $$; 1 while 1 }
  print "$child\\n";
}
sleep 1 while 1;`;

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
  const parent = spawn("perl", ["-e", nursery, String(count)], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const end = (): Promise<void> => endFamily(parent);
  undo.defer(end);
  const jobs: JobGroup[] = [];
  for await (const line of createInterface({ input: parent.stdout })) {
    if (line.startsWith("failed")) throw new Error(`only ${jobs.length} of ${count} jobs: ${line}`);
    const pid = Number(line);
    jobs.push({ kind: "process", pid, startTime: readStartTime(pid) ?? "" });
    if (jobs.length === count) break;
  }
  return { groups: jobs, end };
}

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
