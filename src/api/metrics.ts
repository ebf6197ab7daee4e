import { route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { metricsText } from "#api/metrics-text.ts";

export const metricsRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/metrics",
    id: "getMetrics",
    summary: "Metrics for Prometheus",
    answer: { status: 200, about: "Prometheus text format 0.0.4.", type: "text/plain" },
    handle: async ({ signal }, { service, version }) => ({
      status: 200,
      type: "text/plain; version=0.0.4",
      text: metricsText({
        version,
        hosts: await service.hosts(signal),
        ensembles: await service.ensembles(signal),
        operations: await service.operations(signal),
      }),
    }),
  }),
];
