import * as z from "zod";
import { bandwidthSchema, bytesSchema, cpuSchema, wholeNumber } from "#formats/fields.ts";
import { check, located } from "#formats/issues.ts";
import { formatLimits } from "#formats/limits.ts";
import type { Finding, Parsed, Path } from "#formats/problem.ts";
import { given, read } from "#formats/quantities.ts";
import { cpuOf, teamSizesOf } from "#formats/reservation-build.ts";
import { teamSizesSchema } from "#formats/reservation-schema.ts";
import { sourceOf } from "#formats/source.ts";
import { readAction } from "#formats/strategy-text.ts";
import { parseBandwidth, parseBytes } from "#formats/units.ts";
import { diskOf } from "#formats/vm-build.ts";
import { diskSchema } from "#formats/vm-schema.ts";
import type { CpuRequest, StrategyAction, TeamAdjustment } from "#model/ensemble.ts";
import type { DiskLimits } from "#model/vm.ts";
import type { BitsPerSecond, Bytes } from "#base/units.ts";

const sizeSchema = z.strictObject(
  {
    cpu: cpuSchema.optional(),
    memory: bytesSchema.optional(),
    vcpus: wholeNumber(1, formatLimits.vcpus)
      .optional()
      .describe("Processors of a virtual machine, up to its vcpusMax."),
    disk: diskSchema
      .optional()
      .describe("Limits of a virtual machine's disks, all together; what is not named stays as it is."),
    out: bandwidthSchema.optional().describe("Guaranteed for all it sends."),
    in: bandwidthSchema.optional().describe("Guaranteed for all it receives."),
    teams: teamSizesSchema.optional(),
  },
  { error: "a map such as {cpu: 32ms/40ms}" },
);

/** Other sizes for running appliances, in the words of ensemble files; all of them at once or none. */
export const resizeSchema = z.strictObject(
  {
    sizes: z
      .record(z.string(), sizeSchema, { error: "a map of sizes, such as {web-1: {cpu: 32ms/40ms}}" })
      .optional()
      .describe("By appliance; a name with replicas stands for all of them."),
    moves: z
      .array(z.string({ error: "a move such as move 8ms from a to b" }), { error: "a list of moves" })
      .max(64, { error: "at most 64 moves" })
      .optional()
      .describe("After the sizes: move 8ms from A to B, or move 1Mbit/s from A to B."),
  },
  { error: "a map such as {sizes: {web-1: {cpu: 32ms/40ms}}}" },
);

export type ResizeDocument = z.input<typeof resizeSchema>;

type Size = {
  readonly cpu?: CpuRequest;
  readonly memoryBytes?: Bytes;
  readonly vcpus?: number;
  readonly disk?: DiskLimits;
  readonly outBps?: BitsPerSecond;
  readonly inBps?: BitsPerSecond;
  readonly teams?: readonly TeamAdjustment[];
};
type Move = Extract<StrategyAction, { readonly kind: "move-cpu" | "move-bandwidth" }>;

/** Never throws; problems have a path, but no line. */
export function parseResize(
  value: unknown,
): Parsed<{ readonly sizes: ReadonlyMap<string, Size>; readonly moves: readonly Move[] }> {
  const source = sourceOf(value);
  const checked = check(resizeSchema, source, "request");
  if (!checked.ok) return checked;
  const findings: Finding[] = [];
  const sizes = new Map(
    Object.entries(checked.value.sizes ?? {}).map(([name, size]): [string, Size] => {
      const path: Path = ["sizes", name];
      return [
        name,
        {
          ...given("cpu", cpuOf(size.cpu, [...path, "cpu"], findings)),
          ...given("memoryBytes", size.memory === undefined ? undefined : read(parseBytes, size.memory)),
          ...given("vcpus", size.vcpus),
          ...given("disk", size.disk === undefined ? undefined : diskOf(size.disk)),
          ...given("outBps", size.out === undefined ? undefined : read(parseBandwidth, size.out)),
          ...given("inBps", size.in === undefined ? undefined : read(parseBandwidth, size.in)),
          ...given(
            "teams",
            size.teams === undefined ? undefined : teamSizesOf(size.teams, [...path, "teams"], findings),
          ),
        },
      ];
    }),
  );
  const moves = (checked.value.moves ?? []).flatMap((text, index): Move[] => {
    const action = readAction(text);
    const path: Path = ["moves", index];
    if (!action.ok) findings.push({ ...action, path });
    else if (action.value.kind === "move-cpu" || action.value.kind === "move-bandwidth")
      return [action.value];
    else findings.push({ path, message: `no move: "${text}"`, suggestion: "write move 8ms from a to b" });
    return [];
  });
  if (findings.length > 0) return { ok: false, problems: located(findings, source, "request") };
  return { ok: true, value: { sizes, moves } };
}
