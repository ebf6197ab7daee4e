import { z } from "zod";
import { jsonAnswer, ok, route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { hostStatusSchema } from "#protocol/http/status.ts";

export const hostRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/hosts",
    id: "listHosts",
    summary: "All hosts as last heard of",
    answer: jsonAnswer("Every host: capacity, reservations, usage, problems.", z.array(hostStatusSchema)),
    handle: async ({ signal }, { service }) => ok(await service.hosts(signal)),
  }),
];
