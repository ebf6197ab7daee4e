import { z } from "zod";
import { limits } from "#base/limits.ts";

/** An image of the catalogue as it is now. */
export const imageStatusSchema = z.strictObject({
  name: z.string(),
  state: z.enum(["importing", "ready", "failed"]),
  role: z.enum(["base", "software", "root"]),
  architecture: z.string(),
  features: z.array(z.string()),
  /** It boots from its disk, or with a kernel handed to the machine. */
  boots: z.enum(["disk", "kernel"]).optional(),
  format: z.enum(["raw", "qcow2"]).optional(),
  sizeBytes: z.number().optional().meta({ description: "All its content, as it is kept." }),
  virtualBytes: z.number().optional().meta({ description: "Of its disk, as a guest sees it." }),
  content: z.array(z.string()).meta({ description: "Digests of all its content." }),
  origin: z.string().optional(),
  registeredAtMs: z.number(),
  host: z.string().optional().meta({ description: "Where it is being brought to, or was." }),
  copies: z.array(z.string()).meta({ description: "Hosts that have all of it." }),
  usedBy: z.array(z.string()).meta({ description: "Ensembles whose machines are made from it." }),
  doneBytes: z.number().optional().meta({ description: "While it is brought in." }),
  totalBytes: z.number().optional(),
  message: z.string().optional(),
});
export type ImageStatus = z.infer<typeof imageStatusSchema>;

const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/);

/** Part of content, from that byte on. */
export const uploadPartSchema = z.strictObject({
  sizeBytes: z.int().nonnegative().meta({ description: "Of the whole." }),
  fromByte: z.int().nonnegative(),
  dataBase64: z.base64(),
  zeroBytes: z
    .int()
    .nonnegative()
    .max(limits.uploadZeroBytesMax)
    .optional()
    .meta({ description: "So many zeros follow the data." }),
});
export const uploadParams = z.object({ digest: digestSchema });

export const uploadResultSchema = z.strictObject({
  haveBytes: z.int().meta({ description: "What is there, from its beginning: the next part begins there." }),
  complete: z.boolean(),
});

export const discoverSchema = z.strictObject({
  url: z.string().min(1).max(2048),
  credentials: z.string().max(63).optional(),
});

export const collectResultSchema = z.strictObject({ removed: z.int(), freedBytes: z.number() });
