import { z } from "zod";
import { ConsortError } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import { done, jsonAnswer, ok, route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { jobDocument } from "#formats/job-document.ts";
import { jobSchema } from "#formats/job-schema.ts";
import { parseJobDocument } from "#formats/job.ts";
import type { JobSpec } from "#model/job.ts";
import { jobOutputSchema, jobStatusSchema, jobStreams } from "#protocol/http/job.ts";

const withId = z.object({ id: z.string() });

/** @throws `bad_input` with all problems of the document. */
function jobIn(body: unknown): JobSpec {
  const parsed = parseJobDocument(body, "request");
  if (parsed.ok) return parsed.value;
  const [first] = parsed.problems;
  const more = parsed.problems.length > 1 ? ` (and ${parsed.problems.length - 1} more)` : "";
  const place = first === undefined || first.path === "" ? "" : `${first.path}: `;
  throw new ConsortError("bad_input", `Cannot read the job: ${place}${first?.message ?? ""}${more}`, {
    details: { problems: parsed.problems },
  });
}

export const jobRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/jobs",
    id: "listJobs",
    summary: "All jobs, newest first",
    answer: jsonAnswer("Every job that is kept.", z.array(jobStatusSchema)),
    handle: async ({ signal }, { service }) => ok(await service.jobs.list(signal)),
  }),
  route({
    method: "POST",
    path: "/v1/jobs",
    id: "submitJob",
    summary: "Run a program in an appliance, once it runs",
    body: jobSchema,
    rawBody: true,
    answer: jsonAnswer("The job, durable and queued.", jobStatusSchema),
    handle: async ({ body, signal }, { service }) => ok(await service.jobs.submit(jobIn(body), signal)),
  }),
  route({
    method: "GET",
    path: "/v1/jobs/{id}",
    id: "getJob",
    summary: "One job as it is now",
    params: withId,
    answer: jsonAnswer("The job.", jobStatusSchema),
    handle: async ({ params, signal }, { service }) => ok(await service.jobs.get(params.id, signal)),
  }),
  route({
    method: "GET",
    path: "/v1/jobs/{id}/declared",
    id: "getDeclaredJob",
    summary: "One job as it was submitted",
    params: withId,
    answer: jsonAnswer("The job's file.", jobSchema),
    handle: async ({ params, signal }, { service }) =>
      ok(jobDocument(await service.jobs.declared(params.id, signal))),
  }),
  route({
    method: "POST",
    path: "/v1/jobs/{id}/cancel",
    id: "cancelJob",
    summary: "End a job; 409 when it is over",
    params: withId,
    answer: jsonAnswer("The job, which is to end.", jobStatusSchema),
    handle: async ({ params, signal }, { service }) => ok(await service.jobs.cancel(params.id, signal)),
  }),
  route({
    method: "DELETE",
    path: "/v1/jobs/{id}",
    id: "removeJob",
    summary: "Forget a job that is over, and what it wrote; 409 unless it is",
    params: withId,
    answer: { status: 204, about: "Forgotten." },
    handle: async ({ params, signal }, { service }) => {
      await service.jobs.remove(params.id, signal);
      return done;
    },
  }),
  route({
    method: "GET",
    path: "/v1/jobs/{id}/output",
    id: "getJobOutput",
    summary: "A piece of what a job's newest attempt wrote",
    params: withId,
    query: z.object({
      stream: z.enum(jobStreams).default("stdout"),
      fromByte: z.coerce.number().int().min(0).default(0).meta({ description: "Where to begin." }),
      maxBytes: z.coerce
        .number()
        .int()
        .min(1)
        .max(limits.jobOutputBytesPerAnswer)
        .default(limits.jobOutputBytesPerAnswer)
        .meta({ description: "The longest piece." }),
    }),
    answer: jsonAnswer("The piece, and where to go on.", jobOutputSchema),
    handle: async ({ params, query, signal }, { service }) =>
      ok(await service.jobs.output(params.id, query, signal)),
  }),
];
