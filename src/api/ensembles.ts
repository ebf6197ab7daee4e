import { z } from "zod";
import { ConsortError } from "#base/errors.ts";
import { accept, accepted } from "#api/accepted.ts";
import { jsonAnswer, ok, route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { ensembleSchema } from "#formats/ensemble-schema.ts";
import { ensembleDocument, parseEnsembleDocument } from "#formats/ensemble.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { explanationSchema } from "#protocol/http/plan.ts";
import { ensembleStatusSchema } from "#protocol/http/status.ts";

const named = z.object({ name: z.string() });

/** @throws `bad_input` with all problems of the document. */
export function ensembleIn(body: unknown): Ensemble {
  const parsed = parseEnsembleDocument(body, "request");
  if (parsed.ok) return parsed.value;
  const [first] = parsed.problems;
  const more = parsed.problems.length > 1 ? ` (and ${parsed.problems.length - 1} more)` : "";
  const place = first === undefined || first.path === "" ? "" : `${first.path}: `;
  throw new ConsortError("bad_input", `Cannot read the ensemble: ${place}${first?.message ?? ""}${more}`, {
    details: { problems: parsed.problems },
  });
}

export const ensembleRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/ensembles",
    id: "listEnsembles",
    summary: "All ensembles as they are now",
    answer: jsonAnswer(
      "Every ensemble with its appliances, networks and links.",
      z.array(ensembleStatusSchema),
    ),
    handle: async ({ signal }, { service }) => ok(await service.ensembles(signal)),
  }),
  route({
    method: "GET",
    path: "/v1/ensembles/{name}",
    id: "getEnsemble",
    summary: "One ensemble as it is now",
    params: named,
    answer: jsonAnswer("The ensemble.", ensembleStatusSchema),
    handle: async ({ params, signal }, { service }) => ok(await service.ensemble(params.name, signal)),
  }),
  route({
    method: "PUT",
    path: "/v1/ensembles/{name}",
    id: "putEnsemble",
    summary: "Bring an ensemble up, or to its new form",
    params: named,
    body: ensembleSchema,
    rawBody: true,
    answer: accepted,
    handle: async ({ params, body, signal }, { service }) => {
      const ensemble = ensembleIn(body);
      if (ensemble.name !== params.name) {
        throw new ConsortError(
          "bad_input",
          `Cannot put ${params.name}: the document declares ${ensemble.name}, the same name was wanted`,
        );
      }
      return accept(await service.up(ensemble, signal));
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/ensembles/{name}",
    id: "deleteEnsemble",
    summary: "Take an ensemble down",
    params: named,
    answer: accepted,
    handle: async ({ params, signal }, { service }) => accept(await service.down(params.name, signal)),
  }),
  route({
    method: "GET",
    path: "/v1/ensembles/{name}/document",
    id: "getEnsembleDocument",
    summary: "The ensemble as declared, in the form PUT takes",
    params: named,
    answer: jsonAnswer("The document (docs/reference/ensemble.schema.json).", ensembleSchema),
    handle: async ({ params, signal }, { service }) =>
      ok(ensembleDocument(await service.declared(params.name, signal))),
  }),
  route({
    method: "GET",
    path: "/v1/ensembles/{name}/explanation",
    id: "explainEnsemble",
    summary: "Why everything is where it is",
    params: named,
    answer: jsonAnswer("Candidates, scores and what is binding.", explanationSchema),
    handle: async ({ params, signal }, { service }) => ok(await service.explain(params.name, signal)),
  }),
];
