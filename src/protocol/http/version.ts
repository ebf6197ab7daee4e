import { z } from "zod";

export const versionSchema = z.strictObject({
  name: z.literal("consort"),
  version: z.string(),
  /** The newest version of the HTTP API that is served here: the "v1" of its paths. */
  api: z.literal("v1"),
});
export type Version = z.infer<typeof versionSchema>;
