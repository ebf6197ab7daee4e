import * as z from "zod";
import { milliCpu, millis } from "#base/units.ts";
import type { MilliCpu, Millis } from "#base/units.ts";
import { cpuShareSchema, durationSchema, listOf } from "#formats/fields.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { parseCpuShare, parseDuration } from "#formats/units.ts";
import type { Quantity } from "#formats/units.ts";

/** What appliances would use of a CPU if they were given it, over time: curves as scenarios write them. */
const partExpected = "a number from 0 to 100";
const percent = z
  .number({ error: partExpected })
  .min(0, { error: partExpected })
  .max(100, { error: partExpected });

const fullSchema = cpuShareSchema
  .optional()
  .describe("What 100% in it stands for; the appliance's reservation, else one core, unless told.");

const syntheticSchema = z.strictObject(
  {
    full: fullSchema,
    median: percent.optional().describe("Of the levels drawn for appliances, in percent; 7 unless told."),
    spread: z
      .number({ error: "a number from 0 to 3" })
      .min(0, { error: "a number from 0 to 3" })
      .max(3, { error: "a number from 0 to 3" })
      .optional()
      .describe("Of the levels: standard deviation of their logarithm; 1.1 unless told."),
    daily: z
      .number({ error: "a share from 0 to 1" })
      .min(0, { error: "a share from 0 to 1" })
      .max(1, { error: "a share from 0 to 1" })
      .optional()
      .describe("Swing over a day, as a share of the level; 0.05 unless told."),
    noise: z
      .number({ error: "a number from 0 to 5" })
      .min(0, { error: "a number from 0 to 5" })
      .max(5, { error: "a number from 0 to 5" })
      .optional()
      .describe("Standard deviation of the noise, as a share of the level; 0.55 unless told."),
    memory: z
      .number({ error: "a number from 0 to 0.999" })
      .min(0, { error: "a number from 0 to 0.999" })
      .max(0.999, { error: "a number from 0 to 0.999" })
      .optional()
      .describe("How much of the noise the next sample remembers, AR(1); 0.07 unless told."),
    burstsPerDay: z
      .number({ error: "a number from 0 to 288" })
      .min(0, { error: "a number from 0 to 288" })
      .max(288, { error: "a number from 0 to 288" })
      .optional()
      .describe("3 unless told."),
    burst: percent.optional().describe("Mean height of a burst above the level, in percent; 10 unless told."),
    period: durationSchema.optional().describe("Between two samples; 5m unless told."),
  },
  { error: "a map such as {median: 10, noise: 0.3}, or {}" },
);

const stepSchema = z.tuple([durationSchema, cpuShareSchema], {
  error: "a moment and what is used from then on, such as [10m, 150%]",
});

export const demandSchema = z.strictObject(
  {
    of: z
      .string({ error: "an appliance, an ensemble, or a pattern such as shop/web-*" })
      .min(1, { error: "an appliance, an ensemble, or a pattern such as shop/web-*" })
      .max(128, { error: "at most 128 characters" }),
    constant: cpuShareSchema.optional(),
    steps: listOf(stepSchema, "a list of steps, such as [[0s, 50%], [10m, 150%]]").optional(),
    sine: z
      .strictObject(
        {
          mean: cpuShareSchema,
          amplitude: cpuShareSchema,
          period: durationSchema.optional().describe("A day unless told."),
          peak: durationSchema.optional().describe("When it is highest first; a quarter period unless told."),
        },
        { error: "a map such as {mean: 100%, amplitude: 50%, period: 24h}" },
      )
      .optional(),
    trace: z
      .strictObject(
        {
          from: z.string({ error: "a file, folder or .tar.gz of PlanetLab traces" }).min(1),
          full: fullSchema,
        },
        { error: "a map such as {from: planetlab.tar.gz}" },
      )
      .optional()
      .describe("One trace an appliance, in the order of names; begun again when it ends."),
    synthetic: syntheticSchema.nullable().optional(),
  },
  { error: "a map such as {of: '*', constant: 50%}" },
);

export type DemandDocument = z.input<typeof demandSchema>;

/** How synthetic samples are drawn; in percent of what 100% stands for. */
export type SyntheticShape = {
  readonly median: number;
  readonly spread: number;
  readonly daily: number;
  readonly noise: number;
  readonly memory: number;
  readonly burstsPerDay: number;
  readonly burst: number;
  readonly periodMs: Millis;
};

export type DemandCurve =
  | { readonly kind: "constant"; readonly milli: MilliCpu }
  /** Nothing before the first; in order of time. */
  | {
      readonly kind: "steps";
      readonly steps: readonly { readonly fromMs: Millis; readonly milli: MilliCpu }[];
    }
  | {
      readonly kind: "sine";
      readonly meanMilli: MilliCpu;
      readonly amplitudeMilli: MilliCpu;
      readonly periodMs: Millis;
      readonly peakMs: Millis;
    }
  | { readonly kind: "trace"; readonly from: string; readonly fullMilli?: MilliCpu }
  | { readonly kind: "synthetic"; readonly shape: SyntheticShape; readonly fullMilli?: MilliCpu };

/** `of`: an appliance's id or name, an ensemble's name, or a pattern with "*". */
export type DemandRule = { readonly of: string; readonly curve: DemandCurve };

export const syntheticDefaults: SyntheticShape = {
  median: 7,
  spread: 1.1,
  daily: 0.05,
  noise: 0.55,
  memory: 0.07,
  burstsPerDay: 3,
  burst: 10,
  periodMs: millis(300_000),
};

const dayMs = millis(86_400_000);
const curveWords = ["constant", "steps", "sine", "trace", "synthetic"] as const;

/** From a document that fits the schema; undefined with a finding when it is not one curve. */
export function demandOf(document: DemandDocument, path: Path, findings: Finding[]): DemandRule | undefined {
  const words = curveWords.filter((word) => document[word] !== undefined);
  if (words.length !== 1) {
    const message =
      words.length === 0 ? "which demand is not said" : `${words.join(" and ")} are two demands`;
    findings.push({ path, message, suggestion: `write one of ${curveWords.join(", ")}` });
    return undefined;
  }
  const curve = curveOf(document, path, findings);
  return curve === undefined ? undefined : { of: document.of, curve };
}

function curveOf(document: DemandDocument, path: Path, findings: Finding[]): DemandCurve | undefined {
  const { constant, steps, sine, trace, synthetic } = document;
  if (constant !== undefined) return { kind: "constant", milli: share(constant) };
  if (steps !== undefined) {
    const inOrder = steps.map(([at, milli]) => ({ fromMs: duration(at), milli: share(milli) }));
    if (inOrder.some((step, index) => index > 0 && step.fromMs <= (inOrder[index - 1]?.fromMs ?? 0)))
      findings.push({ path: [...path, "steps"], message: "expected steps in order of time" });
    return { kind: "steps", steps: inOrder };
  }
  if (sine !== undefined) {
    const periodMs = sine.period === undefined ? dayMs : duration(sine.period);
    if (periodMs <= 0)
      findings.push({ path: [...path, "sine", "period"], message: "expected more than nothing" });
    const peakMs = sine.peak === undefined ? millis(periodMs / 4) : duration(sine.peak);
    return {
      kind: "sine",
      meanMilli: share(sine.mean),
      amplitudeMilli: share(sine.amplitude),
      periodMs,
      peakMs,
    };
  }
  if (trace !== undefined) return { kind: "trace", from: trace.from, ...fullOf(trace.full) };
  const { full, period, ...told } = synthetic ?? {};
  const periodMs = period === undefined ? syntheticDefaults.periodMs : duration(period);
  if (periodMs <= 0)
    findings.push({ path: [...path, "synthetic", "period"], message: "expected more than nothing" });
  const given = Object.fromEntries(Object.entries(told).filter(([, value]) => value !== undefined));
  return { kind: "synthetic", shape: { ...syntheticDefaults, ...given, periodMs }, ...fullOf(full) };
}

const fullOf = (full: string | number | undefined): { fullMilli?: MilliCpu } =>
  full === undefined ? {} : { fullMilli: share(full) };

const share = (text: string | number): MilliCpu => milliCpu(read(parseCpuShare, text));
const duration = (text: string | number): Millis => millis(read(parseDuration, text));

/** The schema has refused what does not parse. */
function read<T>(parse: (text: string) => Quantity<T>, text: string | number): T {
  const parsed = parse(String(text));
  if (!parsed.ok) throw new TypeError(`the schema let ${text} pass`);
  return parsed.value;
}
