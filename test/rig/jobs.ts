import assert from "node:assert/strict";
import { jobDocument } from "#formats/job-document.ts";
import { parseJob } from "#formats/job.ts";
import { isOver } from "#model/job.ts";
import type { JobOutput, JobStatus } from "#protocol/http/job.ts";
import { eventually } from "./rig.ts";
import type { Rig } from "./rig.ts";

export async function submit(rig: Rig, yaml: string, signal: AbortSignal): Promise<JobStatus> {
  const job = parseJob(yaml, { file: "job.yaml" });
  assert.ok(job.ok, JSON.stringify(job));
  return rig.client().request("POST", "/v1/jobs", signal, jobDocument(job.value));
}

export const statusOf = (rig: Rig, id: string, signal: AbortSignal): Promise<JobStatus> =>
  rig.client().request("GET", `/v1/jobs/${id}`, signal);

export async function ended(rig: Rig, id: string, signal: AbortSignal): Promise<JobStatus> {
  await eventually(`the end of ${id}`, signal, async () => isOver((await statusOf(rig, id, signal)).state));
  return statusOf(rig, id, signal);
}

export async function written(rig: Rig, id: string, signal: AbortSignal): Promise<string> {
  const piece = await rig.client().request<JobOutput>("GET", `/v1/jobs/${id}/output`, signal);
  return Buffer.from(piece.dataBase64, "base64").toString();
}

/** Of a job that runs in that appliance until a file is there; resolves when it runs. */
export async function waitingJob(
  rig: Rig,
  appliance: string,
  file: string,
  signal: AbortSignal,
): Promise<string> {
  const text = `job: waits
appliance: ${appliance}
command: [sh, -c, "echo begun; until test -e ${file}; do sleep 0.1; done; echo heard; exit 3"]`;
  const { id } = await submit(rig, text, signal);
  await eventually("its job has begun", signal, async () => {
    const { state } = await statusOf(rig, id, signal);
    return state === "running" && (await written(rig, id, signal)) === "begun\n";
  });
  return id;
}

/** Its file is there: it ends as it was begun, once, and all it wrote is here. */
export async function assertHeard(rig: Rig, id: string, signal: AbortSignal): Promise<void> {
  const job = await ended(rig, id, signal);
  assert.deepEqual([job.state, job.exitCode, job.attempt], ["failed", 3, 1], JSON.stringify(job));
  assert.equal(await written(rig, id, signal), "begun\nheard\n");
}
