/**
 * Keeps one busy machine by one back end for a moment, and tells what it got: `probe.worker.ts KIND DIRECTORY` prints
 * "share PARTS_OF_1000 REAL_TIME" or why it does not work, and leaves nothing. A process of its own, as it must end
 * whatever happens to it.
 */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { messageOf } from "#base/errors.ts";
import { micros, millis } from "#base/units.ts";
import { machineLayout, systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { groupName } from "#drivers/system/doctor/abandoned-groups.ts";
import { silentLog } from "#drivers/system/log.ts";
import { createCpuScheduler } from "./create.ts";
import type { EnforcementKind } from "./port.ts";
import { tableFile } from "./table/file.ts";
import { TableMemory, realTime, word } from "./table/memory.ts";

const readyMsMax = 5000;
const windowMs = millis(400);
const reservation = { periodUs: micros(40_000), executionUs: micros(10_000) };
const clock = systemClock();
const never = new AbortController().signal;

async function tryOut(kind: EnforcementKind, directory: string): Promise<string> {
  await using undo = new AsyncDisposableStack();
  const layout = machineLayout();
  const mark = groupName(process.pid);
  const cgroups = systemCgroups(clock, layout);
  const group = cgroups.open(`${mark}/machine/job`);
  undo.defer(() => cgroups.open(mark).remove(never));
  group.create();
  // It goes with this process, also when that is killed as it takes too long.
  const busy = spawn("setpriv", ["--pdeathsig", "KILL", "perl", "-e", "1 while 1"], { stdio: "ignore" });
  undo.defer(() => void busy.kill("SIGKILL"));
  group.attach(busy.pid ?? 0);
  const scheduler = createCpuScheduler({
    directory,
    layout,
    cgroupParent: mark,
    processors: Array.from({ length: availableParallelism() }, () => ({ milli: 1000 })),
    endsWithOwner: true,
    log: silentLog,
  });
  undo.defer(() => scheduler.close());
  scheduler.recover([]);
  scheduler.reserve({
    id: "machine",
    reservation,
    policy: "together",
    jobs: [{ kind: "cgroup", path: group.path }],
    teams: [],
    cgroup: `${mark}/machine`,
    enforcement: kind,
  });
  const late = clock
    .sleep(millis(readyMsMax), never)
    .then(() => Promise.reject(new Error("its dispatcher does not come up: is this machine very busy?")));
  await Promise.race([scheduler.ready(), late]);
  late.catch(() => {});
  const before = group.usage().cpuUs;
  const from = clock.monotonic();
  await clock.sleep(windowMs, never);
  const share = (group.usage().cpuUs - before) / (clock.monotonic() - from);
  return `share ${Math.round(share)} ${kind === "dispatch-table" ? hasRealTime(directory) : "yes"}`;
}

function hasRealTime(directory: string): "yes" | "no" {
  const memory = TableMemory.open(tableFile(join(directory, "table")));
  const granted = memory.header[word.realTime] === realTime.granted;
  memory.close();
  return granted ? "yes" : "no";
}

const [, , kind = "", directory = ""] = process.argv;
let answer: string;
try {
  answer = await tryOut(kind as EnforcementKind, directory);
} catch (cause) {
  answer = messageOf(cause);
}
process.stdout.write(answer, () => process.exit(0));
