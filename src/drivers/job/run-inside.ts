import { ConsortError } from "#base/errors.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { RunInside } from "#drivers/job/shell-jobs.ts";
import { runOverSsh } from "#drivers/ssh/run-over-ssh.ts";
import type { SshParts } from "#drivers/ssh/run-over-ssh.ts";

/** Programs of jobs run over SSH where an appliance has a place for that, else as its driver runs programs. */
export function runInside(appliances: Pick<ApplianceDriver, "observe" | "exec">, ssh: SshParts): RunInside {
  return (id, request, signal) => {
    const seen = appliances.observe().find((one) => one.id === id);
    if (seen?.ssh === undefined) return appliances.exec(id, request, signal);
    if (seen.state === "running") return runOverSsh(ssh, id, seen.ssh, request, signal);
    return Promise.reject(
      new ConsortError("conflict", `Cannot run a program in ${id}: it is ${seen.state}, running was wanted`),
    );
  };
}
