import { dirname, join } from "node:path";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { labStatus } from "#lab/lab.ts";
import type { LabMachine } from "#lab/machine.ts";
import { pauseManager, powerOff, powerOn, resumeManager } from "#lab/power.ts";
import type { Rig } from "../rig/rig.ts";

/** A way to lose a host of a lab, and to get it back. */
export type Loss = {
  readonly name: string;
  lose(rig: Rig, host: string, signal: AbortSignal): Promise<void>;
  giveBack(rig: Rig, host: string, signal: AbortSignal): Promise<void>;
};

const clock = systemClock();
const machine: LabMachine = {
  clock,
  random: systemRandom(),
  log: silentLog,
  subprocess: systemSubprocess(),
  cgroups: systemCgroups(clock),
};

function placeOf(rig: Rig) {
  const root = (directory: string): string => dirname(dirname(directory));
  return { name: rig.lab, stateRoot: root(rig.stateDir), runRoot: root(rig.runDir), machine };
}

/** The one who would start a manager again, as an init system does. */
function supervisorPid(rig: Rig): number {
  const pid = labStatus(placeOf(rig)).supervisor?.pid;
  if (pid === undefined)
    throw new Error(`lab ${rig.lab} has no supervisor; logs: ${join(rig.stateDir, "logs")}`);
  return pid;
}

export const losses: readonly Loss[] = [
  {
    name: "host powered off",
    lose: (rig, node, signal) => powerOff({ ...placeOf(rig), node }, signal),
    giveBack: (rig, node, signal) => powerOn({ ...placeOf(rig), node }, signal),
  },
  {
    name: "host manager killed and not started again, its appliances left alive",
    async lose(rig, host) {
      process.kill(supervisorPid(rig), "SIGSTOP");
      const pid = rig.managerPid(`host-${host}`);
      if (pid === undefined) throw new Error(`the manager of ${host} does not run`);
      process.kill(pid, "SIGKILL");
    },
    async giveBack(rig) {
      process.kill(supervisorPid(rig), "SIGCONT");
    },
  },
  {
    name: "host manager paused, waking up in the belief that it is still in charge",
    lose: (rig, node, signal) => pauseManager({ ...placeOf(rig), node }, signal),
    giveBack: (rig, node, signal) => resumeManager({ ...placeOf(rig), node }, signal),
  },
];
