import { spawn } from "node:child_process";
import { constants } from "node:os";
import { ConsortError } from "#base/errors.ts";
import type { ExecRequest } from "#drivers/appliance/port.ts";
import { perl, supervisorProgram } from "#drivers/appliance/task/factory.ts";
import { programSpec } from "#drivers/appliance/task/spec.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";

/**
 * Runs a program beside an appliance's command: same namespaces, group, user and confinement. Resolves with its exit
 * code, 128 + signal number if it was killed. Aborted, it is killed with all it started in its session.
 */
export function runInside(
  machine: {
    pid: number;
    uid: number;
    /** Where the program that waits for it goes, and where it goes itself. */
    entrances: { procsFiles: readonly string[]; mainFiles: readonly string[] };
    leaseFile: string;
  },
  plan: AppliancePlan,
  request: ExecRequest,
  signal: AbortSignal,
): Promise<number> {
  const { pid, uid, entrances, leaseFile } = machine;
  const spec = programSpec({
    command: request.command,
    env: { ...plan.env, ...request.env },
    ...(plan.directory === undefined ? {} : { directory: plan.directory }),
  });
  const [own, program] = [entrances.procsFiles, entrances.mainFiles].map((files) =>
    encodeURIComponent(files.join(",")),
  );
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  if (signal.aborted) return Promise.reject(signal.reason);
  const lease = plan.leased === true ? leaseFile : "";
  const child = spawn(
    perl,
    [supervisorProgram, "exec", String(pid), String(uid), own ?? "", program ?? "", spec, lease],
    { stdio: ["pipe", "pipe", "pipe"], cwd: "/" },
  );
  const abort = (): void => {
    child.kill("SIGTERM");
  };
  signal.addEventListener("abort", abort, { once: true });
  child.stdout.on("data", (chunk: Uint8Array) => request.onOutput("stdout", chunk));
  child.stderr.on("data", (chunk: Uint8Array) => request.onOutput("stderr", chunk));
  // A program that does not read its input closes the pipe early; its exit code tells the story.
  child.stdin.on("error", () => {});
  child.once("error", (cause) => {
    reject(
      new ConsortError("driver_failed", `Cannot run a program in ${plan.id}: ${cause.message}`, { cause }),
    );
  });
  child.once("close", (code, killedBy) => {
    signal.removeEventListener("abort", abort);
    if (signal.aborted) reject(signal.reason);
    else resolve(code ?? 128 + (killedBy === null ? 0 : constants.signals[killedBy]));
  });
  child.stdin.end(request.stdin ?? "");
  return promise;
}
