import { z } from "zod";
import { accept, accepted } from "#api/accepted.ts";
import { done, jsonAnswer, ok, route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { hostStatusSchema } from "#protocol/http/status.ts";

const withId = z.object({ id: z.string() });

export const hostRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/hosts",
    id: "listHosts",
    summary: "All hosts as last heard of",
    answer: jsonAnswer("Every host: capacity, reservations, usage, problems.", z.array(hostStatusSchema)),
    handle: async ({ signal }, { service }) => ok(await service.hosts(signal)),
  }),
  route({
    method: "POST",
    path: "/v1/hosts/{id}/cordon",
    id: "cordonHost",
    summary: "Place nothing new on a host; what it runs stays",
    params: withId,
    answer: jsonAnswer("The host as it is now.", hostStatusSchema),
    handle: async ({ params, signal }, { service }) => ok(await service.cordon(params.id, signal)),
  }),
  route({
    method: "POST",
    path: "/v1/hosts/{id}/uncordon",
    id: "uncordonHost",
    summary: "Let a host take appliances again; a drain of it ends as cancelled",
    params: withId,
    answer: jsonAnswer("The host as it is now.", hostStatusSchema),
    handle: async ({ params, signal }, { service }) => ok(await service.uncordon(params.id, signal)),
  }),
  route({
    method: "POST",
    path: "/v1/hosts/{id}/drain",
    id: "drainHost",
    summary: "Cordon a host and move all it runs to other hosts",
    params: withId,
    answer: accepted,
    handle: async ({ params, signal }, { service }) => accept(await service.drain(params.id, signal)),
  }),
  route({
    method: "POST",
    path: "/v1/hosts/{id}/forget",
    id: "forgetHost",
    summary:
      "Give up a lost host that will never return; 409 unless it is lost, and while anything may run there",
    params: withId,
    query: z.object({
      gone: z.stringbool().default(false).meta({
        description:
          "Its machine is off for good: what stays in place runs there no more, and may run elsewhere.",
      }),
    }),
    answer: {
      status: 204,
      about: "Forgotten: what it ran is taken for gone, and runs elsewhere where that is its policy.",
    },
    handle: async ({ params, query, signal }, { service }) => {
      await service.forget(params.id, query, signal);
      return done;
    },
  }),
];
