import { LocalRunner } from "#drivers/profile/local-runner.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";

/** Profiles a program that never ends, and writes that program's pid: it is there to be killed. */
const clock = systemClock();
const cgroups = systemCgroups(clock);
const runner = new LocalRunner({ cgroups, subprocess: systemSubprocess(), clock, pid: process.pid });
const { signal } = new AbortController();
const running = runner.run({ command: ["sleep", "1000"] }, signal);
const group = cgroups.open(`consort-profile/${process.pid}`);
for (;;) {
  await clock.sleep(20 as never, signal);
  const [pid] = group.exists() ? group.pids() : [];
  if (pid === undefined) continue;
  console.log(pid);
  break;
}
await running;
