import { z } from "zod";

/** One more program to run inside an appliance. */
export const execRequestSchema = z.strictObject({
  command: z.array(z.string()).min(1),
  env: z.record(z.string(), z.string()).default({}),
  /** All of its standard input. */
  stdinBase64: z.base64().optional(),
});

/** The answer, one JSON object a line: output as it comes, then how it ended. */
export const execLineSchema = z.union([
  z.strictObject({ stream: z.enum(["stdout", "stderr"]), dataBase64: z.base64() }),
  z.strictObject({ exitCode: z.int() }),
  z.strictObject({ error: z.strictObject({ code: z.string(), message: z.string() }) }),
]);
export type ExecLine = z.infer<typeof execLineSchema>;
