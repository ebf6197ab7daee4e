import { z } from "zod";
import { accept, accepted } from "#api/accepted.ts";
import { jsonAnswer, ok, route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import {
  checkpointRequestBodySchema,
  checkpointRequestSchema,
  checkpointsSchema,
  restoreBodySchema,
} from "#protocol/http/checkpoint.ts";

const named = z.object({ name: z.string() });

export const checkpointRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/ensembles/{name}/checkpoints",
    id: "listCheckpoints",
    summary: "Complete checkpoints of an ensemble's machines, newest first, and what was requested",
    params: named,
    answer: jsonAnswer("What there is.", checkpointsSchema),
    handle: async ({ params, signal }, { service }) => ok(await service.checkpoints(params.name, signal)),
  }),
  route({
    method: "POST",
    path: "/v1/ensembles/{name}/checkpoints",
    id: "takeCheckpoints",
    summary: "Take checkpoints of virtual machines now",
    params: named,
    body: checkpointRequestBodySchema,
    answer: jsonAnswer("The request, durable; its state is in the list.", checkpointRequestSchema),
    handle: async ({ params, body, signal }, { service }) =>
      ok(await service.takeCheckpoints(params.name, body, signal)),
  }),
  route({
    method: "POST",
    path: "/v1/ensembles/{name}/restore",
    id: "restoreAppliance",
    summary: "Set a virtual machine back to a checkpoint",
    params: named,
    body: restoreBodySchema,
    answer: accepted,
    handle: async ({ params, body, signal }, { service }) => {
      const { appliance, checkpoint } = body;
      const from = { appliance, ...(checkpoint === undefined ? {} : { checkpoint }) };
      return accept(await service.restore(params.name, from, signal));
    },
  }),
];
