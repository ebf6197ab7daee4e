import * as z from "zod";
import { formatLimits } from "#formats/limits.ts";
import {
  parseBandwidth,
  parseBytes,
  parseCpuReservation,
  parseCpuShare,
  parseDurationUs,
  parsePeriodUs,
  parseQuantumUs,
} from "#formats/units.ts";
import type { Quantity } from "#formats/units.ts";

/**
 * The leaves shared by all our documents. Every schema's own message completes "expected …"; issues.ts adds
 * what was found instead. Quantities stay text here: the document is what people write, the model has numbers.
 */
export const namePattern = /^[a-z]([a-z0-9-]*[a-z0-9])?$/;

export const nameExpected = `a name: a letter a-z, then letters, digits and dashes, at most ${formatLimits.nameLength} in all`;

export const nameSchema = z
  .string({ error: nameExpected })
  .max(formatLimits.nameLength, { error: nameExpected })
  .regex(namePattern, { error: nameExpected });

/** Text a person may have written as a number or a truth value; none of it with a NUL, which no kernel call takes. */
export const plainText = z
  .union([z.string(), z.number(), z.boolean()], { error: "text" })
  .refine((value) => !String(value).includes("\0"), { error: "text without NUL characters" });

export const quantity = (
  parse: (text: string) => Quantity<unknown>,
  examples: readonly string[],
  description: string,
): z.ZodUnion<readonly [z.ZodString, z.ZodNumber]> =>
  z
    .union([z.string(), z.number()], { error: `${description} such as ${examples[0] ?? ""}` })
    .superRefine((value, context) => {
      const parsed = parse(String(value));
      if (parsed.ok) return;
      context.addIssue({
        code: "custom",
        message: parsed.expected,
        params: { suggestion: parsed.suggestion },
      });
    })
    .meta({ examples: [...examples] });

export const bandwidthSchema = quantity(parseBandwidth, ["600Mbit/s", "1Gbit/s"], "a bandwidth");
export const bytesSchema = quantity(parseBytes, ["512MiB", "1GB"], "a size");
export const durationSchema = quantity(parseDurationUs, ["10s", "500ms", "1m30s"], "a duration");
export const periodSchema = quantity(parsePeriodUs, ["40ms"], "a period");
export const quantumSchema = quantity(parseQuantumUs, ["5ms"], "the length of a slot");
export const cpuShareSchema = quantity(parseCpuShare, ["150%", "0.5"], "a share of CPU");

const cpuExpected =
  "a share of CPU such as 150%, execution per period such as 16ms/40ms, {period, execution}, {period, share}, or {share, limit}";

/** Why these words of a map of CPU time do not go together, and what would; undefined: they do. */
function cpuFormProblem(given: ReadonlySet<string>): { message: string; suggestion: string } | undefined {
  const remedy =
    "write {period: 40ms, execution: 16ms}, {period: 40ms, share: 40%}, or {share: 40%, limit: 80%}";
  if (given.has("period")) {
    if (given.has("limit"))
      return { message: "a limit goes with a share alone, not with a period", suggestion: "leave limit out" };
    if (given.has("execution") && given.has("share")) {
      const message = "execution and share of one period are both given";
      return { message, suggestion: "leave one of them out" };
    }
    if (given.has("execution") || given.has("share")) return undefined;
    return { message: "how much of its period is not said", suggestion: "add execution: 16ms or share: 40%" };
  }
  if (given.has("execution"))
    return { message: "an execution time without its period", suggestion: "add period: 40ms" };
  if (given.has("share")) return undefined;
  if (given.has("limit"))
    return { message: "a limit without a share that is guaranteed", suggestion: "add share: 40%" };
  return { message: "nothing is asked for", suggestion: remedy };
}

/** "150%" or "16ms/40ms". Durations alone are what people write who mean the latter. */
function parseCpu(text: string): Quantity<unknown> {
  if (text.includes("/")) return parseCpuReservation(text);
  const parsed = parseCpuShare(text);
  if (parsed.ok) return parsed;
  const expected = "a share of CPU such as 150%, or CPU time per period such as 16ms/40ms";
  const execution = parseDurationUs(text);
  const periodMs = execution.ok ? [40, 100, 1000].find((ms) => execution.value <= ms * 1000) : undefined;
  if (!execution.ok || execution.value < 1 || periodMs === undefined) return { ok: false, expected };
  return { ok: false, expected, suggestion: `write ${text.trim()}/${periodMs}ms` };
}

export const cpuSchema = z.union(
  [
    quantity(parseCpu, ["150%", "0.5", "16ms/40ms"], "a share of CPU"),
    z
      .strictObject({
        period: periodSchema.optional().describe("1ms to 1s; with execution or share."),
        execution: durationSchema
          .optional()
          .describe("CPU time in every period, guaranteed and not exceeded."),
        share: cpuShareSchema.optional().describe("Guaranteed; of every period, where that is given."),
        limit: cpuShareSchema.optional().describe("Never exceeded; the share itself when absent."),
      })
      .superRefine((cpu, context) => {
        const given = Object.entries(cpu).flatMap(([key, value]) => (value === undefined ? [] : [key]));
        const execution = cpu.execution === undefined ? undefined : parseDurationUs(String(cpu.execution));
        const problem = cpuFormProblem(new Set(given));
        if (problem !== undefined) {
          const { message, suggestion } = problem;
          context.addIssue({ code: "custom", message, params: { suggestion, whole: true } });
        } else if (execution?.ok === true && execution.value < 1) {
          context.addIssue({
            code: "custom",
            path: ["execution"],
            message: "an execution time of at least 1us",
          });
        }
      }),
  ],
  { error: cpuExpected },
);

export const wholeNumber = (least: number, most: number): z.ZodNumber => {
  const error = `a whole number from ${least} to ${most}`;
  return z.number({ error }).int({ error }).min(least, { error }).max(most, { error });
};

const absolutePathExpected = "an absolute path without . or .. in it, such as /etc/app/app.conf";
// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const absolutePathPattern = /^(?:\/(?!\.{1,2}(?:\/|$))[^/\u0000-\u001f\u007f]+)+$/;

export const absolutePathSchema = z
  .string({ error: absolutePathExpected })
  .max(formatLimits.pathLength, { error: `a path of at most ${formatLimits.pathLength} characters` })
  .regex(absolutePathPattern, { error: absolutePathExpected });

const labelExpected = "a label of at most 63 letters, digits and . _ - /";

export const labelsSchema = z.record(
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/, { error: labelExpected }),
  plainText,
  { error: "a map of labels, such as {disk: ssd}" },
);

export const listOf = <T extends z.ZodType>(element: T, expected: string): z.ZodArray<T> =>
  z.array(element, { error: expected });
