import { z } from "zod";
import type { Program } from "#lab/programs.ts";
import { readJson, writeDurably } from "#lab/record.ts";

const programsSchema = z.array(
  z.strictObject({
    name: z.string(),
    file: z.string(),
    args: z.array(z.string()),
    identity: z.array(z.string()).min(1),
  }),
);

export function writePrograms(file: string, programs: readonly Program[]): void {
  writeDurably(file, JSON.stringify(programs));
}

/** None when the file is absent or torn. */
export function readPrograms(file: string): readonly Program[] {
  return readJson(file, (value): value is Program[] => programsSchema.safeParse(value).success) ?? [];
}
