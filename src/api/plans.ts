import { ensembleIn } from "#api/ensembles.ts";
import { jsonAnswer, ok, route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { ensembleSchema } from "#formats/ensemble-schema.ts";
import { planResultSchema } from "#protocol/http/plan.ts";

export const planRoutes: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/plans",
    id: "planEnsemble",
    summary: "What putting this ensemble would do, without doing it",
    body: ensembleSchema,
    rawBody: true,
    answer: jsonAnswer(
      "Changes, placements and refusals; `satisfiable` tells whether it would be accepted.",
      planResultSchema,
    ),
    handle: async ({ body, signal }, { service }) => ok(await service.plan(ensembleIn(body), signal)),
  }),
];
