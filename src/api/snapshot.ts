import { jsonAnswer, ok, route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import { snapshotSchema } from "#formats/snapshot-schema.ts";
import type { SnapshotDocument } from "#formats/snapshot.ts";

export const snapshotRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/snapshot",
    id: "takeSnapshot",
    summary: "All that is desired and known, without secrets: what a simulation can start from",
    answer: jsonAnswer("The snapshot.", snapshotSchema),
    handle: async ({ signal }, { service }) => ok(described(await service.snapshot(signal))),
  }),
];

/** Checked when this is compiled: what the manager gives is what the schema says. */
const described = (snapshot: CloudSnapshot): SnapshotDocument => snapshot;
