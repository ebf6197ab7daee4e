import { closeSync } from "node:fs";
import { parseArgs } from "node:util";
import { codeOf, errorTable, messageOf } from "#base/errors.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { jsonLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { supervise, type Supervision } from "#lab/supervisor.ts";

/** Keeps the managers of one lab running; started, detached, by `consort lab up`. */
if (import.meta.main) await superviseLab();

async function superviseLab(): Promise<void> {
  const clock = systemClock();
  const log = jsonLog({ clock, fd: 2, level: "info" });
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stop.abort());

  try {
    const { values } = parseArgs({
      options: {
        lab: { type: "string", default: "lab" },
        "state-root": { type: "string", default: "/var/lib/consort" },
        "run-root": { type: "string", default: "/run/consort" },
        // An open file that carries the lab's lock: given up when `lab down` could find us without.
        "lock-fd": { type: "string" },
      },
    });
    const place = { name: values.lab, stateRoot: values["state-root"], runRoot: values["run-root"] };
    const machine = {
      clock,
      log,
      random: systemRandom(),
      subprocess: systemSubprocess(),
      cgroups: systemCgroups(clock),
    };
    const lockFd = values["lock-fd"];
    const registered = (): void => {
      if (lockFd !== undefined) closeSync(Number(lockFd));
    };
    let supervision: Supervision | undefined;
    // Before anyone can know of us: unheard, this signal would end us.
    process.on("SIGHUP", () => supervision?.reload());
    supervision = supervise(place, machine, registered, stop.signal);
    if (supervision !== undefined) await supervision.ended;
  } catch (error) {
    log.error(messageOf(error), { error });
    process.exitCode = errorTable[codeOf(error)].exit;
  }
}
