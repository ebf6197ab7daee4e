import { z } from "zod";

/** What every refused or failed request is answered with. docs/reference/errors.md lists the codes. */
export const errorBodySchema = z.strictObject({
  error: z.strictObject({
    code: z.string(),
    /** For people: "Cannot <action>: <what is>, <what was wanted>". */
    message: z.string(),
    /** Facts for programs. */
    details: z.record(z.string(), z.unknown()).optional(),
    /** All that is wrong with a document; lines count from 1, 0 where there are none. */
    problems: z
      .array(
        z.strictObject({
          file: z.string(),
          line: z.int(),
          column: z.int(),
          path: z.string(),
          message: z.string(),
          suggestion: z.string().optional(),
        }),
      )
      .optional(),
  }),
});
export type ErrorBody = z.infer<typeof errorBodySchema>;
