import { existsSync } from "node:fs";
import { dirname } from "node:path";
import type { DoctorResult } from "#cli/command.ts";
import { runDoctor } from "#drivers/system/doctor/doctor.ts";
import { formatDoctor } from "#drivers/system/doctor/format.ts";
import { summarise } from "#drivers/system/doctor/report.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";

/** This machine, for `consort doctor`; `stateRoot` need not exist yet. */
export async function examineMachine(stateRoot: string, signal: AbortSignal): Promise<DoctorResult> {
  let directory = stateRoot;
  while (!existsSync(directory)) directory = dirname(directory);
  const report = await runDoctor(
    {
      subprocess: systemSubprocess(),
      directory,
      nodeVersion: process.version,
      nodePath: process.execPath,
      arch: process.arch,
      uid: process.getuid?.(),
      pid: process.pid,
    },
    signal,
  );
  const summary = summarise(report);
  return { report: { ...report, summary }, text: formatDoctor(report), ok: summary.exitCode === 0 };
}
