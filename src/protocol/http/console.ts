import { z } from "zod";

/** The answer, one JSON object a line: by which name to type into it, then what the guest writes, then how it ended. */
export const consoleLineSchema = z.union([
  z.strictObject({ session: z.string() }),
  z.strictObject({ dataBase64: z.base64() }),
  z.strictObject({ ended: z.literal(true) }),
  z.strictObject({ error: z.strictObject({ code: z.string(), message: z.string() }) }),
]);
export type ConsoleLine = z.infer<typeof consoleLineSchema>;

/** What is typed. */
export const consoleInputSchema = z.strictObject({ dataBase64: z.base64().max(65_536) });
