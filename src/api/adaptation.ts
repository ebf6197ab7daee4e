import { z } from "zod";
import { ConsortError } from "#base/errors.ts";
import { accept, accepted } from "#api/accepted.ts";
import { route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { formatLimits } from "#formats/limits.ts";
import { parseResize, resizeSchema } from "#formats/resize-document.ts";

const named = z.object({ name: z.string() });

const held = z.strictObject({
  appliances: z
    .array(z.string())
    .max(formatLimits.appliances)
    .optional()
    .describe("Their names, or those of all replicas; absent or empty: all of the ensemble."),
});

const suspension = held.extend({
  toDisk: z
    .literal(true)
    .optional()
    .describe("Virtual machines only: with their memory on disk, and nothing reserved for them any more."),
});

const resumption = held.extend({
  to: z.string().optional().describe("The host that machines on disk go on at; absent: theirs if they fit."),
});

const migration = z.strictObject({
  appliances: z
    .array(z.string())
    .min(1)
    .max(formatLimits.appliances)
    .describe("Their names, or those of all replicas."),
  to: z.string().optional().describe("The host they go to; absent: the best of the others."),
});

export const adaptationRoutes: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/ensembles/{name}/resize",
    id: "resizeEnsemble",
    summary: "Give running appliances other sizes where they are, all of them or none",
    params: named,
    body: resizeSchema,
    rawBody: true,
    answer: accepted,
    handle: async ({ params, body, signal }, { service }) => {
      const parsed = parseResize(body);
      if (parsed.ok) return accept(await service.resize(params.name, parsed.value, signal));
      const [first] = parsed.problems;
      const place = first === undefined || first.path === "" ? "" : `${first.path}: `;
      throw new ConsortError("bad_input", `Cannot resize ${params.name}: ${place}${first?.message ?? ""}`, {
        details: { problems: parsed.problems },
      });
    },
  }),
  route({
    method: "POST",
    path: "/v1/ensembles/{name}/migrate",
    id: "migrateAppliances",
    summary: "Move running virtual machines to another host",
    params: named,
    body: migration,
    answer: accepted,
    handle: async ({ params, body, signal }, { service }) => {
      const { appliances, to } = body;
      return accept(
        await service.migrate(params.name, { appliances, ...(to === undefined ? {} : { to }) }, signal),
      );
    },
  }),
  route({
    method: "POST",
    path: "/v1/ensembles/{name}/suspend",
    id: "suspendAppliances",
    summary:
      "Hold appliances where they are, with all that is reserved for them, or suspend virtual machines to disk",
    params: named,
    body: suspension,
    answer: accepted,
    handle: async ({ params, body, signal }, { service }) => {
      const { appliances = [], toDisk } = body;
      const asked =
        toDisk === true
          ? service.suspendToDisk(params.name, appliances, signal)
          : service.suspend(params.name, appliances, signal);
      return accept(await asked);
    },
  }),
  route({
    method: "POST",
    path: "/v1/ensembles/{name}/resume",
    id: "resumeAppliances",
    summary: "Let held appliances go on, and virtual machines that are on disk",
    params: named,
    body: resumption,
    answer: accepted,
    handle: async ({ params, body, signal }, { service }) => {
      const { appliances = [], to } = body;
      const asked =
        to === undefined
          ? service.resume(params.name, appliances, signal)
          : service.resumeOn(params.name, to, appliances, signal);
      return accept(await asked);
    },
  }),
];
