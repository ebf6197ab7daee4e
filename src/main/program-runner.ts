import type { Clock } from "#base/runtime.ts";
import { LocalRunner } from "#drivers/profile/local-runner.ts";
import type { ProgramRunner } from "#drivers/profile/port.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";

/** This machine, for programs to be profiled on. */
export function programRunner(clock: Clock): ProgramRunner {
  return new LocalRunner({
    cgroups: systemCgroups(clock),
    subprocess: systemSubprocess(),
    clock,
    pid: process.pid,
  });
}
