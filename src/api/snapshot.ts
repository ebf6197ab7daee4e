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

/** Fields of what is told, or of the items of one of its lists, that whoever reads it knows nothing of. */
type UnknownIn<Told, Known> = Exclude<keyof Told, keyof Known>;
type ItemOf<List> = List extends readonly (infer Item)[] ? Item : never;
type UnknownInItems<Told, Known, Lists extends keyof Told & keyof Known> = {
  [List in Lists]: UnknownIn<ItemOf<Told[List]>, ItemOf<Known[List]>>;
}[Lists];

type TellsOfOne = CloudSnapshot["ensembles"][number]["ensemble"];
type KnowsOfOne = SnapshotDocument["ensembles"][number]["ensemble"];
/** One such field has the whole snapshot refused: with a manager that tells it this is not compiled. */
type Refused = [
  UnknownIn<CloudSnapshot, SnapshotDocument>,
  UnknownInItems<CloudSnapshot, SnapshotDocument, "hosts" | "ensembles">,
  UnknownInItems<TellsOfOne, KnowsOfOne, "appliances" | "links" | "networks" | "placement">,
];

/** Checked when this is compiled: what the manager gives is what the schema says, no less and no more. */
const described = (
  snapshot: Refused extends [never, never, never] ? CloudSnapshot : Refused,
): SnapshotDocument => snapshot;
